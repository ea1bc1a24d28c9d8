"""Images in memory: what arrays of pixels are accepted, and in which form they leave."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdigit.errors import DataError, warn_caller

# Scaled pixels end at 1.0; augmentation or standardisation may go a little above.
LOOKS_UNSCALED = 1.5


def as_images(images: ArrayLike) -> NDArray[Any]:
    """Return images as a C-contiguous array of one row per image.

    Parameters
    ----------
    images
        ``(n, features)`` or ``(n, height, width)``: an array, a DataFrame or nested lists.
        The dtype decides what a pixel means. Integers are bytes 0..255; floats are used as they
        are.

    Returns
    -------
    ndarray
        ``(n, features)`` of uint8 (from integers), float32 or float64. The caller's own memory
        is returned where it already has this form.

    Raises
    ------
    DataError
        For text, booleans, other shapes, no features, an integer outside 0..255, NaN or infinity;
        the message names the row and the column, both counted from 0.

    Warns
    -----
    UserWarning
        When a float is above 1.5: the pixels were probably never divided by 255.
    """
    array = _array(images)
    rows = _rows_of_pixels(array)
    if array.dtype.kind in "iu":
        return _bytes(rows)
    if array.dtype.kind == "f":
        return _floats(rows)
    hint = (
        "multiply by 255 and convert to uint8 (or pass float32 zeros and ones)"
        if array.dtype.kind == "b"
        else "pass integers 0..255, or floats that are already scaled"
    )
    raise DataError(f"images are of dtype {array.dtype}, which has no pixel values; {hint}")


def as_bytes(images: ArrayLike) -> NDArray[np.uint8]:
    """Return images as `as_images` does, but refuse floats: for data sets and files.

    Raises
    ------
    DataError
        As `as_images` does, and for floats.
    """
    array = _array(images)
    if array.dtype.kind == "f":
        raise DataError(
            f"the images are {array.dtype}, but a data set holds bytes: integers 0..255; scaled "
            "pixels can be handed to fit as an array"
        )
    return as_images(array)


def _array(images: ArrayLike) -> NDArray[Any]:
    if np.ma.isMaskedArray(images):
        raise DataError("the images are a masked array; say what masked pixels are with .filled(0)")
    try:
        return np.asarray(images)
    except (ValueError, TypeError) as error:
        raise DataError(f"images do not form an array: {error}") from error


def _rows_of_pixels(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim not in (2, 3):
        hint = "; give a single image as images[np.newaxis]" if array.ndim == 1 else ""
        raise DataError(
            f"images have shape {array.shape}; expected (n, features) or (n, height, width){hint}"
        )
    features = int(np.prod(array.shape[1:], dtype=np.int64))
    if features == 0:
        raise DataError(f"images have shape {array.shape}: there is no pixel in an image")
    return array.reshape(len(array), features)


def _bytes(rows: NDArray[Any]) -> NDArray[np.uint8]:
    if rows.dtype != np.uint8 and rows.size and not 0 <= rows.min() <= rows.max() <= 255:
        row, column = _first((rows < 0) | (rows > 255))
        raise DataError(
            f"pixel {rows[row, column]} in row {row}, column {column} is outside 0..255; "
            "integers are taken as bytes, so convert other scales to float32 yourself"
        )
    return np.ascontiguousarray(rows, dtype=np.uint8)


def _floats(rows: NDArray[Any]) -> NDArray[Any]:
    dtype = np.float64 if rows.dtype.itemsize == 8 else np.float32
    # What becomes infinite here is refused below.
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(rows, dtype=dtype)
    if rows.size == 0:
        return rows
    # The minimum and the maximum are NaN if any pixel is, and need no array of their own.
    lowest, highest = rows.min(), rows.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        row, column = _first(~np.isfinite(rows))
        raise DataError(
            f"pixel {rows[row, column]} in row {row}, column {column} is not a finite number; "
            "repair or drop that image"
        )
    if highest > LOOKS_UNSCALED:
        warn_caller(
            f"the largest pixel is {highest:g}, so the images look unscaled: divide them by 255, "
            "or pass integers, which fastdigit scales itself"
        )
    return rows


def _first(wrong: NDArray[np.bool_]) -> tuple[int, int]:
    row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return int(row), int(column)
