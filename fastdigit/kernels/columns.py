"""The first layer for mini-batches, on sparse bytes: pixels listed column by column.

Two neighbouring pixels of an image, one of which at least is not 0, are an *entry*: a word with the
number of their pair of columns in its upper half, and the two bytes in its lower one. A batch is
*listed* before it is used: the entries of each pair of columns one after the other, with the row of
their image instead of the number of columns. So two strips of weights are loaded once, stay in
registers, and meet all pixels of the batch that they are multiplied with; outputs and deltas of the
batch, 32 KB, stay in the first cache. On the way back two strips of the gradient are added up in
registers, used by the optimizer, and never stored.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.parallel import PIECES, run
from fastdigit.kernels.simd import advance, prefetch
from fastdigit.kernels.strips import add_deltas, add_pixels, load_pair, store_pair

Pointer = Any
"""To elements of one type, in compiled code."""

MOST_FEATURES = 2 * 65536
"""The number of a pair of columns has 16 bits."""
MOST_ROWS = 65536
"""And so has the row of an image in its batch."""
ROWS_AHEAD = 4
"""Images between the one whose entries are fetched into the cache and the one that is listed: their
order is random, and so are their places in memory."""
ENTRIES_OF_LINE = 16


def compress(
    images: npt.NDArray[np.uint8], threads: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return the entries of all images, and where those of each image begin, (n + 1,).

    Parameters
    ----------
    images
        (n, features), C-contiguous.
    threads
        How many may work on it.
    """
    starts = np.zeros(len(images) + 1, np.int64)
    shape = np.array(images.shape, np.int64)
    nothing = np.zeros(0, np.uint32)
    run(_compress, [shape, images, starts, nothing, np.array([0])], PIECES, threads)
    np.cumsum(starts, out=starts)
    entries = np.empty(starts[-1], np.uint32)
    run(_compress, [shape, images, starts, entries, np.array([1])], PIECES, threads)
    return entries, starts


@njit()
def _compress(
    shape: Pointer,
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
    count, features = shape[0], shape[1]
    for i in range(count * piece // PIECES, count * (piece + 1) // PIECES):
        row = advance(images, i * features)
        number = starts[i]
        if filling[0]:
            for j in range(0, features, 2):
                x = _two(row, j, features)
                if x:
                    entries[number] = np.uint32(np.int64(j) << 15 | x)
                    number += 1
        else:
            number = 0
            for j in range(0, features, 2):
                number += _two(row, j, features) != 0
            starts[i + 1] = number


@njit(inner=True)
def _two(row: Pointer, j: int, features: int) -> Any:
    """Return two neighbouring bytes of a row in one word; 0 where the row has ended."""
    second = np.int64(row[j + 1]) if j + 1 < features else np.int64(0)
    return second << 8 | np.int64(row[j])


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
    """List rows `first` to `last` of a batch by pairs of columns.

    Parameters
    ----------
    order
        The image in each row of the batch.
    columns, room
        Pairs of columns, and entries that there is room for in the list of each.
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
            entry = np.int64(entries[e])
            column = entry >> 16
            number = np.int64(counts[column])
            lists[column * room + number] = np.uint32((entry & 0xFFFF) << 16 | row)
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
        (2 * columns, strip)
    pixels
        (256,): the float of each byte.
    strip
        Elements of a strip.
    outputs
        (rows of the batch, strip)
    """
    for c in range(columns):
        count = np.int64(counts[c])
        if count:
            w = load_pair(advance(weights, 2 * c * strip))
            entries = advance(lists, c * room)
            for e in range(count):
                entry = np.int64(entries[e])
                row = advance(outputs, (entry & 0xFFFF) * strip)
                add_pixels(row, pixels[entry >> 16 & 0xFF], pixels[entry >> 24], w)


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
    """Add what the listed pixels of a pair of columns give to two strips of the gradient."""
    g = load_pair(gradient)
    entries = advance(lists, c * room)
    for e in range(np.int64(counts[c])):
        entry = np.int64(entries[e])
        row = advance(deltas, (entry & 0xFFFF) * strip)
        g = add_deltas(row, pixels[entry >> 16 & 0xFF], pixels[entry >> 24], g)
    store_pair(gradient, g)
