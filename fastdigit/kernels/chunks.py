"""Images of bytes in chunks: the storage that training on bytes reads.

A *group* is sixteen images. Four columns of a group are a row of 64 bytes, an image's four pixels
side by side, and a *chunk* is what is stored or left out: a row, or where there is a matrix unit,
the sixteen rows of a right tile (see `matrix`). Chunks that are all zero are left out. So that
there are many of these, similar images are put together, and those columns that are lit in as many
images (see `similarity`).

Where chunks are rows, the way back reads the pixels from *cells*: four columns of four images, 16
bytes, with the four images of a column side by side. Those of a tile lie quad by quad, a quad being
the columns of a row, and each has the number of its *four* of images in the tile.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from fastdigit.jit import matrix_unit, njit
from fastdigit.kernels.groups import tile_of
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.matrix import DEPTH, ROWS
from fastdigit.kernels.parallel import available_threads, pieces_of, run
from fastdigit.kernels.simd import advance, load, operation, read, record, store, view
from fastdigit.kernels.similarity import similar

Pointer = Any
"""To elements of one type, in compiled code."""

Array = npt.NDArray[Any]

QUAD = 4
"""Columns of a row."""
WIDTH = DEPTH if matrix_unit() else QUAD
"""Columns of a chunk."""
CHUNK = WIDTH * ROWS
"""Bytes of a chunk."""
FOURS = 4
"""Fours of images in a group, and images in a four."""
CELL = QUAD * FOURS
"""Bytes of a cell."""

TOGETHER = DEPTH // ROWS
"""Groups that a matrix unit takes back at once: the digits of their deltas fill a left tile."""
STRIPS = 16
"""Strips of a piece that come from different places of the order, if it has enough groups."""

MOST_IN_TILE = 48
"""Groups in a tile at most: what their deltas take must stay in a near cache, and the sums of a
tile must fit 32 bits."""


class Shape(NamedTuple):
    """What the compiled functions know of the images of a pass, in whole numbers."""

    images: int
    features: int
    chunks: int
    """In a group, those that are left out included; their columns are whole sixteens."""
    groups: int
    pieces: int
    """Of a pass; see `parallel.pieces_of`."""
    tiles: int
    """Tiles in each piece."""
    every: int
    """Whether chunks of zeros are kept as well."""
    counting: int
    """Whether chunks are counted only."""
    numbers: int
    """Offset in the index of which of a group's chunks each one is. Before it are the numbers of
    the groups' first chunks."""
    starts: int
    """Offset of where the cells of each quad of each tile begin; 0 where chunks are not rows."""
    fours: int
    """Offset of the fours of all cells, which are numbers of 16 bits."""
    cells: int
    """Offset of the cells among the chunks, in bytes."""


SHAPE = len(Shape._fields)


class Chunks(NamedTuple):
    """Images in chunks, and in which order."""

    shape: Shape
    order: npt.NDArray[np.int64]
    """(groups * 16,): which image is where. The last one fills its group up."""
    columns: npt.NDArray[np.int64]
    """(features,): which column is where."""
    blocks: npt.NDArray[np.uint8]
    """(1 + chunks, CHUNK): first a chunk of zeros, which stands for all that were left out. Where
    chunks are rows, the cells are behind them."""
    index: npt.NDArray[np.uint32]  # type: ignore[assignment]  # and not tuple.index
    """The numbers that `Shape` tells of."""


def shape_of(images: npt.NDArray[np.uint8], every: bool) -> Shape:
    """Return the shape of images in chunks before these are counted."""
    n, features = images.shape
    groups = -(-n // ROWS)
    pieces = pieces_of(groups)
    return Shape(
        images=n,
        features=features,
        chunks=-(-features // max(WIDTH, ROWS)) * (max(WIDTH, ROWS) // WIDTH),
        groups=groups,
        pieces=pieces,
        tiles=max(1, -(-groups // (pieces * MOST_IN_TILE))),
        every=every,
        counting=True,
        numbers=groups + 1,
        starts=0,
        fours=0,
        cells=0,
    )


def in_chunks(images: npt.NDArray[np.uint8], every: bool, threads: int) -> Chunks:
    """Return images (n, features) in chunks.

    With `every`, chunks of zeros are kept, and the order of images and columns as well.
    """
    shape = shape_of(images, every)
    n, features, groups = shape.images, shape.features, shape.groups
    as_given = np.arange(n), np.arange(features)
    order, columns = as_given if every else similar(images, threads)
    order = np.pad(order, (0, -n % ROWS), mode="edge")
    if not every:
        order = dealt(order.reshape(groups, ROWS), shape.pieces).ravel()
    room = aligned((available_threads(), shape.chunks * CHUNK), np.uint8)

    def cut(shape: Shape, index: Array, blocks: Array) -> None:
        numbers = np.concatenate([np.array(shape, np.int64), order, columns])
        run(_cut, [numbers, images, room, index, blocks], shape.pieces * shape.tiles, threads)

    # A count of cells is two places further on, so that a start is one: there it moves on to the
    # next one.
    lists = shape.pieces * shape.tiles * shape.chunks + 2 if WIDTH == QUAD else 0
    shape = shape._replace(starts=shape.numbers)
    counted = np.zeros(shape.starts + lists, np.uint32)
    cut(shape, counted, np.empty(0, np.uint8))
    firsts = np.cumsum(counted[: groups + 1], dtype=np.int64)
    starts = np.cumsum(counted[shape.starts :], dtype=np.int64)
    rows, cells = int(firsts[-1]), int(starts[-1]) if lists else 0
    shape = shape._replace(
        counting=False,
        starts=shape.numbers + rows if lists else 0,
        fours=shape.numbers + rows + lists,
        cells=(1 + rows) * CHUNK,
    )
    index = np.empty(shape.fours + -(-cells // 2), np.uint32)
    index[: groups + 1] = firsts
    index[shape.starts : shape.fours][:lists] = starts
    blocks = aligned((1 + rows + -(-cells * CELL // CHUNK), CHUNK), np.uint8)
    cut(shape, index, blocks)
    return Chunks(shape, order, columns, blocks, index)


def dealt(groups: npt.NDArray[np.int64], pieces: int) -> npt.NDArray[np.int64]:
    """Return groups (groups, images) of similar images in an order that makes pieces equal.

    Images with much ink are alike, so some pieces would take twice as long as others. Strips of
    neighbours go to one piece after the other, there and back; the last group stays the last.
    """
    firsts = len(groups) * np.arange(pieces + 1) // pieces
    piece = np.repeat(np.arange(pieces), np.diff(firsts))
    place = np.arange(len(groups)) - firsts[piece]
    strip = place // (TOGETHER * -(-len(groups) // (TOGETHER * pieces * STRIPS)))
    there = (strip[-1] - strip) % 2 == 0
    order = np.empty_like(groups)
    order[np.lexsort((place, np.where(there, piece, -piece), strip))] = groups
    return order


@operation
def is_lit(typing: Any, chunk: Any) -> Any:
    """Return whether any pixel of a chunk is not 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row = ir.VectorType(ir.IntType(64), DEPTH // 8)
        lit = ir.Constant(row, None)
        for at in range(0, CHUNK, DEPTH):
            place = builder.gep(arguments[0], [ir.IntType(64)(at)])
            lit = builder.or_(lit, read(builder, place, row))
        found = builder.icmp_unsigned("!=", lit, ir.Constant(row, None))
        bits = builder.bitcast(found, ir.IntType(row.count))
        return builder.icmp_unsigned("!=", bits, bits.type(0))

    return types.boolean(chunk), generate


@njit()
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
    """Count chunks and cells, or write them and their numbers: a kernel of all tiles.

    The numbers are the fields of a `Shape`, then the order of the images, and that of the columns.
    """
    shape = record(Shape, numbers)
    order = advance(numbers, SHAPE)
    columns = advance(order, shape.groups * ROWS)
    room = advance(room, thread * shape.chunks * CHUNK)
    tile = tile_of(shape, piece // shape.tiles, piece % shape.tiles)
    starts = advance(index, shape.starts + tile.number * shape.chunks)
    fours = view(advance(index, shape.fours), np.uint16)
    cells = advance(blocks, shape.cells)
    for g in range(tile.first, tile.last):
        for lane in range(ROWS):
            image = advance(images, order[g * ROWS + lane] * shape.features)
            target = advance(room, lane * QUAD)
            for j in range(shape.features):
                target[j // QUAD * DEPTH + j % QUAD] = image[columns[j]]
        count = 0
        for chunk in range(shape.chunks):
            source = advance(room, chunk * CHUNK)
            if not (shape.every or is_lit(source)):
                continue
            if not shape.counting:
                number = np.int64(index[g]) + count
                index[shape.numbers + number] = chunk
                target = advance(blocks, (1 + number) * CHUNK)
                for k in range(0, CHUNK, DEPTH):
                    store(target, k, load(source, k))
            count += 1
            if WIDTH == QUAD:
                for four in range(FOURS):
                    cell = advance(source, four * CELL)
                    if not (shape.every or is_lit_cell(cell)):
                        continue
                    if shape.counting:
                        starts[chunk + 2] += 1
                    else:
                        at = np.int64(starts[chunk + 1])
                        fours[at] = (g - tile.first) * FOURS + four
                        turn_cell(cell, advance(cells, at * CELL))
                        starts[chunk + 1] += 1
        if shape.counting:
            index[g + 1] = count


@njit(inner=True)
def is_lit_cell(cell: Pointer) -> bool:
    """Return whether any of the 16 pixels is not 0."""
    halves = view(cell, np.uint64)
    return (halves[0] | halves[1]) != 0


@njit(inner=True)
def turn_cell(source: Pointer, target: Pointer) -> None:
    """Write the 16 pixels with the four images of a column side by side; they were columns."""
    for column in range(QUAD):
        for image in range(FOURS):
            target[column * FOURS + image] = source[image * QUAD + column]
