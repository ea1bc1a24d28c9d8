"""The first layer for mini-batches, on sparse bytes: pixels listed column by column.

Four neighbouring pixels of an image, one of which at least is not 0, are an *entry*: a number with
that of their *quad* of columns in its upper half, and the four bytes in its lower one. Where images
are squares, quads are too, of two by two pixels: a tenth less of these have ink than of four pixels
in a row. A batch is
*listed* before it is used: the entries of each quad one after the other, with the row of their
image instead of the number of the quad. So four strips of weights are loaded once, stay in
registers, and meet all pixels of the batch that they are multiplied with; outputs and deltas of the
batch, 32 KB, stay in the first cache. On the way back four strips of the gradient are added up in
registers, used by the optimizer, and never stored.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.parallel import PIECES, run
from fastdigit.kernels.simd import advance, prefetch
from fastdigit.kernels.strips import QUAD, add_deltas, add_pixels, load_quad, store_quad

Pointer = Any
"""To elements of one type, in compiled code."""

MOST_FEATURES = 2**24
"""A number of a quad, and that of a row of a batch, has to fit the upper half of an entry."""
ROWS_AHEAD = 4
"""Images between the one whose entries are fetched into the cache and the one that is listed: their
order is random, and so are their places in memory."""
ENTRIES_OF_LINE = 8


def in_squares(features: int) -> npt.NDArray[np.int64]:
    """Return an order of columns in which every four are a square of pixels, where that can be."""
    numbers, side = np.arange(features), math.isqrt(features)
    if side * side != features or side % 2:
        return numbers
    return numbers.reshape(side // 2, 2, side // 2, 2).swapaxes(1, 2).ravel()


def compress(
    images: npt.NDArray[np.uint8], columns: npt.NDArray[np.int64], threads: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the entries of all images, and where those of each image begin, (n + 1,).

    Parameters
    ----------
    images
        (n, features), C-contiguous.
    columns
        (features,): their order.
    threads
        How many may work on it.
    """
    starts = np.zeros(len(images) + 1, np.int64)
    numbers = np.array([*images.shape, *columns], np.int64)
    nothing = np.zeros(0, np.int64)
    run(_compress, [numbers, images, starts, nothing, np.array([0])], PIECES, threads)
    np.cumsum(starts, out=starts)
    entries = np.empty(starts[-1], np.int64)
    run(_compress, [numbers, images, starts, entries, np.array([1])], PIECES, threads)
    return entries, starts


@njit()
def _compress(
    numbers: Pointer,
    images: Pointer,
    starts: Pointer,
    entries: Pointer,
    filling: Pointer,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Count the entries of each image of a piece, or write them: a kernel of 64 pieces.

    Counting writes them into `starts`, one place further on.
    """
    count, features = numbers[0], numbers[1]
    columns = advance(numbers, 2)
    for i in range(count * piece // PIECES, count * (piece + 1) // PIECES):
        row = advance(images, i * features)
        number = starts[i]
        if filling[0]:
            for quad in range(-(-features // QUAD)):
                x = _four(row, columns, quad * QUAD, features)
                if x:
                    entries[number] = quad << 32 | x
                    number += 1
        else:
            number = 0
            for quad in range(-(-features // QUAD)):
                number += _four(row, columns, quad * QUAD, features) != 0
            starts[i + 1] = number


@njit(inner=True)
def _four(row: Pointer, columns: Pointer, first: int, features: int) -> Any:
    """Return the bytes of a quad in one number; 0 where the row has ended."""
    found = np.int64(0)
    for j in range(QUAD):
        if first + j < features:
            found |= np.int64(row[columns[first + j]]) << (8 * j)
    return found


@njit(inner=True)
def list_entries(
    entries: Pointer,
    starts: Pointer,
    order: Pointer,
    first: int,
    last: int,
    columns: int,
    room: int,
    counts: Pointer,
    lists: Pointer,
) -> None:
    """List rows `first` to `last` of a batch by quads of columns.

    Parameters
    ----------
    order
        The image in each row of the batch.
    columns, room
        Quads of columns, and entries that there is room for in the list of each.
    counts, lists
        (columns,) and (columns, room): receive the number of entries, and the entries.
    """
    for c in range(columns):
        counts[c] = 0
    for row in range(first, last):
        soon = order[min(row + ROWS_AHEAD, last - 1)]
        for e in range(starts[soon], starts[soon + 1], ENTRIES_OF_LINE):
            prefetch(advance(entries, e))
        image = order[row]
        for e in range(starts[image], starts[image + 1]):
            column = entries[e] >> 32
            number = counts[column]
            lists[column * room + number] = entries[e] & 0xFFFFFFFF | row << 32
            counts[column] = number + 1


@njit(inner=True)
def add_products(
    counts: Pointer,
    lists: Pointer,
    columns: int,
    room: int,
    weights: Pointer,
    pixels: Pointer,
    strip: int,
    outputs: Pointer,
) -> None:
    """Add the listed pixels times their weights to a strip of outputs of each row.

    Parameters
    ----------
    weights
        (4 * columns, strip)
    pixels
        (256,): the float of each byte.
    strip
        Elements of a strip.
    outputs
        (rows of the batch, strip)
    """
    for c in range(columns):
        count = counts[c]
        if count:
            w = load_quad(advance(weights, QUAD * c * strip))
            entries = advance(lists, c * room)
            for e in range(count):
                add_pixels(advance(outputs, (entries[e] >> 32) * strip), pixels, entries[e], w)


@njit(inner=True)
def add_gradients(
    counts: Pointer,
    lists: Pointer,
    c: int,
    room: int,
    pixels: Pointer,
    strip: int,
    deltas: Pointer,
    gradient: Pointer,
) -> None:
    """Add what the listed pixels of a quad of columns give to four strips of the gradient."""
    g = load_quad(gradient)
    entries = advance(lists, c * room)
    for e in range(counts[c]):
        g = add_deltas(advance(deltas, (entries[e] >> 32) * strip), pixels, entries[e], g)
    store_quad(gradient, g)
