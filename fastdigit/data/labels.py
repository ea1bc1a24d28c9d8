"""Labels in memory: what is accepted as the class of each image."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdigit.errors import DataError


def as_labels(
    labels: ArrayLike, classes: int | None = None, what: str = "labels"
) -> NDArray[np.uint8]:
    """Return labels as one byte per image.

    Parameters
    ----------
    labels
        ``(n,)`` or ``(n, 1)`` integers or integral floats, or a one-hot ``(n, k)`` array with
        ``k`` > 1: an array, a Series, a DataFrame or lists.
    classes
        The number of outputs of the network, where there is one.
    what
        What the caller calls these labels; error messages begin with it.

    Returns
    -------
    ndarray
        ``(n,)`` uint8, C-contiguous.

    Raises
    ------
    DataError
        For text, booleans, fractions, NaN, negative labels, labels above 255 or not below
        ``classes``, and rows of a one-hot array that do not hold a single 1; the message names
        the value and the row, counted from 0.
    """
    try:
        array = np.asarray(labels)
    except (ValueError, TypeError) as error:
        raise DataError(f"{what} do not form an array: {error}") from error
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        array = _from_one_hot(array, what)
    elif array.ndim != 1:
        raise DataError(f"{what} have shape {array.shape}; expected (n,), or one-hot (n, k)")
    _check_numbers(array, what)
    _check_range(array, classes, what)
    return np.ascontiguousarray(array, dtype=np.uint8)


def _from_one_hot(array: NDArray[Any], what: str) -> NDArray[Any]:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} of shape {array.shape} are of dtype {array.dtype}, not one-hot")
    wrong = ((array == 1).sum(axis=1) != 1) | ((array != 0).sum(axis=1) != 1)
    if array.shape[1] == 0 or wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{what} of shape {array.shape} are taken as one-hot rows, but row {row} does not "
            "hold a single 1 among zeros; pass (n,) integers, or images as rows (transpose?)"
        )
    # Not uint8: beyond 256 columns that would wrap before the range is checked.
    return np.asarray(array.argmax(axis=1))


def _check_numbers(array: NDArray[Any], what: str) -> None:
    if array.dtype.kind in "iu" or array.size == 0:
        return
    if array.dtype.kind != "f":
        raise DataError(
            f"{what}: {array[:1].tolist()[0]!r} in row 0 is of dtype {array.dtype}, not a number; "
            "convert with labels.astype(np.uint8) if that is what it means"
        )
    # NaN and infinity minus their floor are NaN, which is not 0 either.
    with np.errstate(invalid="ignore"):
        wrong = array - np.floor(array) != 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{what}: {array[row]} in row {row} is not a whole number")


def _check_range(array: NDArray[Any], classes: int | None, what: str) -> None:
    if array.size == 0:
        return
    highest = 255 if classes is None else min(classes - 1, 255)
    if array.min() >= 0 and array.max() <= highest:
        return
    wrong = (array < 0) | (array > highest)
    row = int(np.argmax(wrong))
    value = int(array[row])
    if classes is None or value < 0:
        reason = "a label is a whole number from 0 to 255"
    else:
        reason = f"but the network has {classes} outputs (0..{classes - 1})"
    raise DataError(f"{what}: label {value} in row {row}, {reason}")
