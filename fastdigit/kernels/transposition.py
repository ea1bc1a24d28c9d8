"""Rows of floats laid side by side in the lanes of vectors, and back; see `pixels`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.pixels import COLUMNS, restore, transpose
from fastdigit.kernels.simd import ALIGNMENT, advance, lanes

Pointer = Any
"""To elements of one type, in compiled code."""


def lanes_of(dtype: npt.DTypeLike) -> int:
    """Return how many images of this type of float a group has."""
    return ALIGNMENT // np.dtype(dtype).itemsize


def own_order(n: int, dtype: npt.DTypeLike) -> npt.NDArray[np.int64]:
    """Return the numbers of the images of a group as they come, and those of the last group."""
    lanes = np.arange(lanes_of(dtype))
    return np.concatenate([lanes, np.minimum(lanes, (n - 1) % len(lanes))])


@njit(inner=True)
def transpose_group(images: Pointer, features: int, order: Pointer, group: Pointer) -> None:
    """Lay the images that `order` points to side by side; see `pixels.transpose`."""
    width = lanes(group)
    whole = features // width * width
    for j in range(0, whole, width):
        transpose(images, order, features, j, advance(group, j * width))
    if whole and whole < features:
        # The last square overlaps the one before.
        j = features - width
        transpose(images, order, features, j, advance(group, j * width))
        whole = features
    # What is left of each row, and zeros up to a whole pair, one by one.
    for j in range(whole, (features + COLUMNS - 1) // COLUMNS * COLUMNS):
        for lane in range(width):
            pixel = images[order[lane] * features + min(j, features - 1)]
            group[j * width + lane] = pixel if j < features else 0


@njit(inner=True)
def next_group(
    images: Pointer,
    n: int,
    features: int,
    g: int,
    in_order: Pointer,
    like: Pointer,
    group: Pointer,
) -> int:
    """Lay a group of n images side by side as they come, and return how many they are.

    `in_order` is from `own_order`.
    """
    rows = min(lanes(like), n - g * lanes(like))
    order = in_order if rows == lanes(like) else advance(in_order, lanes(like))
    transpose_group(advance(images, g * lanes(like) * features), features, order, group)
    return rows


@njit(inner=True)
def restore_rows(group: Pointer, columns: int, rows: int, target: Pointer) -> None:
    """Write floats that lie side by side as rows (rows, columns), one for each lane."""
    width = lanes(group)
    whole = columns // width * width if rows == width else 0
    for j in range(0, whole, width):
        restore(advance(group, j * width), advance(target, j), columns)
    for j in range(whole, columns):
        for lane in range(rows):
            target[lane * columns + j] = group[j * width + lane]
