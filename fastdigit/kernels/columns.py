"""The first layer for mini-batches, on sparse bytes: pixels listed column by column.

Images are stored by *quads*, four neighbouring columns each; where images are squares, quads are
too, of two by two pixels: a tenth less of these have ink than of four pixels in a row. Only quads
with ink are stored. An image is a row of 32-bit words: first the gaps between the numbers of its
quads, a byte each, and then the four bytes of each quad. Images of a batch lie anywhere in memory,
so the fewer cache lines they fill, the better: 5 instead of 8 with whole numbers for the quads.

A batch is *listed* before it is used: for each quad of columns one *entry* after the other, a
number with the row of the image in its upper half, and the four bytes in its lower one. So four
strips of weights are loaded once, stay in registers, and meet all pixels of the batch that they are
multiplied with; outputs and deltas of the batch, 32 KB, stay in the first cache. On the way back
four strips of the gradient are added up in registers, used by the optimizer, and never stored.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.parallel import PIECES, run
from fastdigit.kernels.simd import advance, prefetch
from fastdigit.kernels.strips import QUAD, add_deltas, add_pixels, load_quad, store_quad

Pointer = Any
"""To elements of one type, in compiled code."""

MOST_FEATURES = 2**24
"""The list of each quad has room for a whole batch: for more columns it would take gigabytes."""
ROWS_AHEAD = 4
"""Images between the one that is fetched into the cache and the one that is listed: their order is
random, and so are their places in memory."""
ENTRIES_OF_LINE = 8
WORDS_OF_LINE = 16
GAPS = 4
"""In a word."""
LARGEST_GAP = 255
"""After so many quads without ink one is stored all the same."""


def in_squares(features: int) -> npt.NDArray[np.int64]:
    """Return an order of columns in which every four are a square of pixels, where that can be."""
    numbers, side = np.arange(features), math.isqrt(features)
    if side * side != features or side % 2:
        return numbers
    return numbers.reshape(side // 2, 2, side // 2, 2).swapaxes(1, 2).ravel()


def compress(
    images: npt.NDArray[np.uint8], columns: npt.NDArray[np.int64], threads: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return the words of all images, and where those of each image begin, (n + 1,).

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
    run(_count, [numbers, images, starts], PIECES, threads)
    np.cumsum(starts, out=starts)
    words = aligned(starts[-1], np.uint32)
    run(_compress, [numbers, images, starts, words], PIECES, threads)
    return words, starts


@njit(kernel=True)
def _count(
    numbers: Pointer,
    images: Pointer,
    starts: Pointer,
    _d: Any,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Write the number of words of each image, one place further on: a kernel of 64 pieces."""
    count, features = numbers[0], numbers[1]
    columns = advance(numbers, 2)
    for i in range(count * piece // PIECES, count * (piece + 1) // PIECES):
        row = advance(images, i * features)
        stored = last = 0
        for quad in range(-(-features // QUAD)):
            if _four(row, columns, quad * QUAD, features) or quad - last == LARGEST_GAP:
                stored += 1
                last = quad
        starts[i + 1] = stored + -(-stored // GAPS)


@njit(kernel=True)
def _compress(
    numbers: Pointer,
    images: Pointer,
    starts: Pointer,
    words: Pointer,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Write the words of each image, which were 0: a kernel of 64 pieces."""
    count, features = numbers[0], numbers[1]
    columns = advance(numbers, 2)
    for i in range(count * piece // PIECES, count * (piece + 1) // PIECES):
        row = advance(images, i * features)
        gaps = advance(words, starts[i])
        quads = advance(gaps, _gap_words(starts[i + 1] - starts[i]))
        stored = last = 0
        for quad in range(-(-features // QUAD)):
            x = _four(row, columns, quad * QUAD, features)
            if x or quad - last == LARGEST_GAP:
                gaps[stored // GAPS] |= (quad - last) << (8 * (stored % GAPS))
                quads[stored] = x
                stored += 1
                last = quad


@njit(inner=True)
def _gap_words(words: int) -> int:
    """Return how many of the words of an image are gaps: one for four quads, or for less."""
    return words - words * GAPS // (GAPS + 1)


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
    words: Pointer,
    starts: Pointer,
    ends: Pointer,
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
    starts, ends
        Of the image in each row of the batch, among the words.
    columns, room
        Quads of columns, and entries that there is room for in the list of each.
    counts, lists
        (columns,) and (columns, room): receive the number of entries, and the entries.
    """
    for c in range(columns):
        counts[c] = 0
    for row in range(first, last):
        soon = min(row + ROWS_AHEAD, last - 1)
        line = starts[soon] // WORDS_OF_LINE * WORDS_OF_LINE
        for word in range(line, ends[soon], WORDS_OF_LINE):
            prefetch(advance(words, word))
        begin, end = starts[row], ends[row]
        quads = begin + _gap_words(end - begin)
        column = 0
        for e in range(end - quads):
            column += words[begin + e // GAPS] >> (8 * (e % GAPS)) & 0xFF
            number = counts[column]
            lists[column * room + number] = np.int64(words[quads + e]) | row << 32
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
