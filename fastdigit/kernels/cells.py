"""Images of bytes in cells: the storage that training reads where there is no matrix unit.

A *cell* is two *words* of four bytes, and it is left out if all of them are zeros. On the way
forward it is four columns of two images, one word an image; on the way back it is two columns of
four images, one word a column. Each way has its own cells, so a pixel is stored twice, and both do
the same with them: a word is multiplied with a row of digits (see `dots`).

Cells lie in lists, one after the other. Forward, each pair of images has a list, and a cell the
number of its columns. Back, each pair of columns of a tile has one, and a cell the number of its
images in the tile. Similar images are put together, and columns as well (see `similarity`), so that
there are many cells of zeros.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.chunks import SHAPE, WORD, Shape, orders_of, shape_of
from fastdigit.kernels.groups import tile_of
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.matrix import ROWS
from fastdigit.kernels.parallel import available_threads, run
from fastdigit.kernels.simd import advance, record, view

Pointer = Any
"""To elements of one type, in compiled code."""

Array = npt.NDArray[Any]

PAIR = 2
"""Words of a cell: images forward, columns back."""
CELL = PAIR * WORD
"""Bytes of a cell."""
PAIRS = ROWS // PAIR
"""Lists that sixteen images have forward, and sixteen columns back."""
FOURS = ROWS // WORD
"""Fours of images in a group."""


class Cells(NamedTuple):
    """Images in cells, and in which order."""

    shape: Shape
    order: npt.NDArray[np.int64]
    """(groups * 16,): which image is where. The last one fills its group up."""
    columns: npt.NDArray[np.int64]
    """(features,): which column is where."""
    blocks: npt.NDArray[np.uint8]
    """(cells, CELL): those of all lists, the ones for the way forward first."""
    index: npt.NDArray[np.uint32]  # type: ignore[assignment]  # and not tuple.index
    """Where each list begins; and then, in 16 bits, the numbers of all cells."""


def in_cells(images: npt.NDArray[np.uint8], every: bool, threads: int) -> Cells:
    """Return images (n, features) in cells.

    With `every`, cells of zeros are kept, and the order of images and columns as well.

    Raises
    ------
    ValueError
        If there are 2^32 cells or more: of images like MNIST's, 76 million.
    """
    shape = shape_of(images, every, width=WORD)
    order, columns = orders_of(images, shape, threads)
    room = aligned((available_threads(), ROWS), np.uint32)
    filled = np.pad(columns, (0, shape.chunks * WORD - len(columns)))
    lists = PAIRS * shape.groups + PAIR * shape.chunks * shape.pieces * shape.tiles

    def cut(shape: Shape, index: Array, blocks: Array) -> None:
        numbers = np.concatenate([np.array(shape, np.int64), order, filled])
        run(_cut, [numbers, images, room, index, blocks], shape.pieces * shape.tiles, threads)

    # A count is two places further on, so that a start is one: there it moves on to the next one.
    counts = np.zeros(lists + 2, np.uint32)
    cut(shape, counts, np.empty(0, np.uint8))
    starts = np.cumsum(counts, dtype=np.int64)
    cells = int(starts[-1])
    if cells >= 2**32:
        raise ValueError(
            f"{cells} cells of pixels, but they are counted in 32 bits; use fewer images"
        )
    index = np.zeros(lists + 2 + -(-cells // 2), np.uint32)
    index[: lists + 2] = starts
    blocks = aligned((cells, CELL), np.uint8)
    shape = shape._replace(counting=False, numbers=lists + 2)
    cut(shape, index, blocks)
    return Cells(shape, order, columns, blocks, index)


@njit(kernel=True)
def _cut(
    numbers: Any,
    images: Pointer,
    room: Pointer,
    index: Pointer,
    blocks: Pointer,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Count the cells of each list, or write them and their numbers: a kernel of all tiles.

    The numbers are the fields of a `Shape`, then the order of the images, and that of the columns,
    filled up; room is for a word of each image of a group.
    """
    shape = record(Shape, numbers)
    order = advance(numbers, SHAPE)
    columns = advance(order, shape.groups * ROWS)
    words = advance(room, thread * ROWS)
    pairs = view(words, np.uint64)
    tile = tile_of(shape, piece // shape.tiles, piece % shape.tiles)
    back = PAIRS * shape.groups + PAIR * shape.chunks * tile.number
    of_two = np.uint64(0x0000FFFF0000FFFF)
    for g in range(tile.first, tile.last):
        first = (g - tile.first) * FOURS
        for word in range(shape.chunks):
            some = advance(columns, word * WORD)
            there = min(max(shape.features - word * WORD, 0), WORD)
            for lane in range(ROWS):
                image = advance(images, order[g * ROWS + lane] * shape.features)
                pixels = np.uint32(0)
                for k in range(WORD):
                    pixels |= np.uint32(image[some[k]]) << np.uint32(8 * k)
                words[lane] = pixels & np.uint32((1 << 8 * there) - 1)
            for pair in range(PAIRS):
                keep(shape, index, blocks, g * PAIRS + pair, word, pairs[pair])
            for four in range(FOURS):
                upper, lower = pairs[PAIR * four], pairs[PAIR * four + 1]
                for pair in range(PAIR):
                    shift = np.uint64(16 * pair)
                    cell = turned(upper >> shift & of_two, lower >> shift & of_two)
                    number = back + word * PAIR + pair
                    keep(shape, index, blocks, number, first + four, cell)


@njit(inner=True)
def keep(
    shape: Shape, index: Pointer, blocks: Pointer, number: int, place: int, cell: np.uint64
) -> None:
    """Count a cell of a list, or write it there with its number, unless it is to be left out."""
    kept = (cell != 0) | (shape.every != 0)
    if shape.counting:
        index[number + 2] += kept
    elif kept:
        at = np.int64(index[number + 1])
        index[number + 1] += 1
        view(blocks, np.uint64)[at] = cell
        view(advance(index, shape.numbers), np.uint16)[at] = place


@njit(inner=True)
def turned(upper: np.uint64, lower: np.uint64) -> np.uint64:
    """Return two columns of four images, column by column.

    They are given with two images in each number: the two pixels of the first one in the lowest
    bytes, those of the second one from the 32nd bit on.
    """
    of_one = np.uint64(0x000000FF000000FF)
    cell = np.uint64(0)
    for column in range(PAIR):
        shift = np.uint64(8 * column)
        first, last = upper >> shift & of_one, lower >> shift & of_one
        first |= first >> np.uint64(24)
        last |= last >> np.uint64(24)
        word = first & np.uint64(0xFFFF) | (last & np.uint64(0xFFFF)) << np.uint64(16)
        cell |= word << np.uint64(32 * column)
    return cell
