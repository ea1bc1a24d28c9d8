"""Images of bytes in chunks: the storage that training reads where there is a matrix unit.

A *group* is sixteen images, and a *chunk*, which is stored or left out, 64 columns of a group: a
right tile of `matrix`, where an image's pixels of four columns lie side by side. Chunks that are
all zero are left out. So that there are many of these, similar images are put together, and those
columns that are lit in as many images (see `similarity`). Without a matrix unit, see `cells`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from fastdigit.jit import njit
from fastdigit.kernels.groups import tile_of
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE
from fastdigit.kernels.parallel import available_threads, pieces_of, run
from fastdigit.kernels.simd import advance, load, operation, read, record, store
from fastdigit.kernels.similarity import similar

Pointer = Any
"""To elements of one type, in compiled code."""

Array = npt.NDArray[Any]

WORD = 4
"""Columns whose pixels of an image lie side by side."""
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
    """In a group, those that are left out included; or words of an image, see `cells`. Their
    columns are whole sixteens."""
    groups: int
    pieces: int
    """Of a pass; see `parallel.pieces_of`."""
    tiles: int
    """Tiles in each piece."""
    every: int
    """Whether zeros are kept as well."""
    counting: int
    """Whether chunks, or cells, are counted only."""
    numbers: int
    """Offset in the index of which of a group's chunks each one is; or of the numbers of cells."""


SHAPE = len(Shape._fields)


class Chunks(NamedTuple):
    """Images in chunks, and in which order."""

    shape: Shape
    order: npt.NDArray[np.int64]
    """(groups * 16,): which image is where. The last one fills its group up."""
    columns: npt.NDArray[np.int64]
    """(features,): which column is where."""
    blocks: npt.NDArray[np.uint8]
    """(1 + chunks, TILE): first a chunk of zeros, which stands for all that were left out."""
    index: npt.NDArray[np.uint32]  # type: ignore[assignment]  # and not tuple.index
    """The number of each group's first chunk, and then what `Shape` tells of."""


def shape_of(images: npt.NDArray[np.uint8], every: bool, width: int = DEPTH) -> Shape:
    """Return the shape of images in chunks of so many columns before these are counted."""
    n, features = images.shape
    groups = -(-n // ROWS)
    pieces = pieces_of(groups)
    whole = max(width, ROWS)
    return Shape(
        images=n,
        features=features,
        chunks=-(-features // whole) * (whole // width),
        groups=groups,
        pieces=pieces,
        tiles=max(1, -(-groups // (pieces * MOST_IN_TILE))),
        every=every,
        counting=True,
        numbers=groups + 1,
    )


def in_chunks(images: npt.NDArray[np.uint8], every: bool, threads: int) -> Chunks:
    """Return images (n, features) in chunks.

    With `every`, chunks of zeros are kept, and the order of images and columns as well.
    """
    shape = shape_of(images, every)
    order, columns = orders_of(images, shape, threads)
    room = aligned((available_threads(), shape.chunks * TILE), np.uint8)

    def cut(shape: Shape, index: Array, blocks: Array) -> None:
        numbers = np.concatenate([np.array(shape, np.int64), order, columns])
        run(_cut, [numbers, images, room, index, blocks], shape.pieces * shape.tiles, threads)

    counts = np.zeros(shape.groups + 1, np.uint32)
    cut(shape, counts, np.empty(0, np.uint8))
    firsts = np.cumsum(counts, dtype=np.int64)
    chunks = int(firsts[-1])
    index = np.empty(shape.numbers + chunks, np.uint32)
    index[: shape.numbers] = firsts
    blocks = aligned((1 + chunks, TILE), np.uint8)
    shape = shape._replace(counting=False)
    cut(shape, index, blocks)
    return Chunks(shape, order, columns, blocks, index)


def orders_of(
    images: npt.NDArray[np.uint8], shape: Shape, threads: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the order of images, their last group filled up, and that of columns."""
    n, features = images.shape
    as_given = np.arange(n), np.arange(features)
    order, columns = as_given if shape.every else similar(images, threads)
    order = np.pad(order, (0, -n % ROWS), mode="edge")
    if not shape.every:
        order = dealt(order.reshape(shape.groups, ROWS), shape.pieces).ravel()
    return order, columns


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
        for at in range(0, TILE, DEPTH):
            place = builder.gep(arguments[0], [ir.IntType(64)(at)])
            lit = builder.or_(lit, read(builder, place, row))
        found = builder.icmp_unsigned("!=", lit, ir.Constant(row, None))
        bits = builder.bitcast(found, ir.IntType(row.count))
        return builder.icmp_unsigned("!=", bits, bits.type(0))

    return types.boolean(chunk), generate


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
    """Count chunks, or write them and their numbers: a kernel of all tiles.

    The numbers are the fields of a `Shape`, then the order of the images, and that of the columns.
    """
    shape = record(Shape, numbers)
    order = advance(numbers, SHAPE)
    columns = advance(order, shape.groups * ROWS)
    room = advance(room, thread * shape.chunks * TILE)
    tile = tile_of(shape, piece // shape.tiles, piece % shape.tiles)
    for g in range(tile.first, tile.last):
        for lane in range(ROWS):
            image = advance(images, order[g * ROWS + lane] * shape.features)
            target = advance(room, lane * WORD)
            for j in range(shape.features):
                target[j // WORD * DEPTH + j % WORD] = image[columns[j]]
        count = 0
        for chunk in range(shape.chunks):
            source = advance(room, chunk * TILE)
            if not (shape.every or is_lit(source)):
                continue
            if not shape.counting:
                number = np.int64(index[g]) + count
                index[shape.numbers + number] = chunk
                target = advance(blocks, (1 + number) * TILE)
                for k in range(0, TILE, DEPTH):
                    store(target, k, load(source, k))
            count += 1
        if shape.counting:
            index[g + 1] = count
