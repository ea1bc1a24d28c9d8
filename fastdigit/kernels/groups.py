"""Images of floats in groups: the storage that training reads; for bytes see `chunks`.

Images are put into groups of as many as a vector has lanes, and each group keeps the blocks of
its pixels that are not all zero (see `pixels`). A step of the kernels then works on one column of
a whole group, whose pixels fill all lanes, and reads the number of the column once for all.

So that the images of a group share their background, similar images are put together.

For the way back a column is followed through the groups of a *tile*, so there is a second index.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.parallel import PIECES, available_threads, pieces_of, run
from fastdigit.kernels.pixels import COLUMNS, encode, lit
from fastdigit.kernels.simd import advance, lanes, record
from fastdigit.kernels.similarity import similar
from fastdigit.kernels.transposition import lanes_of, transpose_group

Pointer = Any
"""To elements of one type, in compiled code."""

Array = npt.NDArray[Any]

MOST_IN_TILE = 48
"""Groups in a tile at most. What a tile's deltas take must stay in the first-level cache."""

GROUPS_NUMBERED = 256
"""Groups that an entry of the index can tell apart in a tile."""


class Shape(NamedTuple):
    """What the compiled functions know of the images of a pass, in whole numbers."""

    images: int
    features: int
    pairs: int
    """Pairs of columns, the last one filled up."""
    groups: int
    pieces: int
    """Of a pass; see `parallel.pieces_of`."""
    tiles: int
    """Tiles in each piece."""
    every: int
    """Whether blocks of zeros are kept as well."""
    counting: int
    """Whether blocks are counted only."""
    block: int
    """Elements of a block."""
    columns: int
    """Offset in the index of the pair of columns of each block, group by group. Before it are the
    numbers of the groups' first blocks."""
    tile_starts: int
    """Offset of where each pair of columns of each tile begins among the entries."""
    entries: int
    """Offset of the blocks of a tile, pair by pair: the number of the block, counted from the
    first one of the tile, times 256, plus that of the group in the tile."""


SHAPE = len(Shape._fields)


class Groups(NamedTuple):
    """Images in groups, and in which order."""

    shape: Shape
    order: npt.NDArray[np.int64]
    """(groups * lanes,): which image is where. The last one fills its group up."""
    blocks: Array
    """The pixels, block by block."""
    index: npt.NDArray[np.uint32]  # type: ignore[assignment]  # and not tuple.index
    """The numbers that `Shape` tells of."""


class Workspace(NamedTuple):
    """Where threads transpose groups; one row for each."""

    group: Array
    """(threads, pairs * block): the pixels of a group; see `pixels`."""
    chosen: npt.NDArray[np.uint32]
    """(threads, pairs): the pairs of columns that blocks are made of."""


def shape_of(images: Array, dtype: npt.DTypeLike, every: bool) -> Shape:
    """Return the shape of images in groups before their blocks are counted."""
    n, features = images.shape
    lanes = lanes_of(dtype)
    groups = -(-n // lanes)
    pieces = pieces_of(groups)
    return Shape(
        images=n,
        features=features,
        pairs=-(-features // COLUMNS),
        groups=groups,
        pieces=pieces,
        tiles=-(-groups // (pieces * MOST_IN_TILE)),
        every=every,
        counting=True,
        block=lanes * COLUMNS,
        columns=groups + 1,
        tile_starts=0,
        entries=0,
    )


def workspace(shape: Shape, dtype: npt.DTypeLike) -> Workspace:
    """Return memory in which each thread can transpose a group of images."""
    threads = available_threads()
    return Workspace(
        aligned((threads, shape.pairs * shape.block), dtype),
        np.zeros((threads, shape.pairs), np.uint32),
    )


def in_groups(order: npt.NDArray[np.int64], dtype: npt.DTypeLike) -> npt.NDArray[np.int64]:
    """Return the order with its last image repeated until the last group is full."""
    return np.pad(order, (0, -len(order) % lanes_of(dtype)), mode="edge")


def group(images: Array, every: bool, threads: int) -> Groups:
    """Return images (n, features) of floats in groups.

    With `every`, blocks of zeros are kept, and the order as well.
    """
    dtype = images.dtype
    shape = shape_of(images, dtype, every)
    order = in_groups(np.arange(shape.images) if every else similar(images, threads)[0], dtype)
    space = workspace(shape, dtype)

    def pack(index: Array, blocks: Array) -> None:
        numbers = np.concatenate([np.array(shape, np.int64), order])
        run(_pack, [numbers, images, *space, index, blocks], PIECES, threads)

    counted = np.zeros(shape.groups + 1, np.uint32)
    pack(counted, np.empty(0, dtype))
    starts = np.cumsum(counted, dtype=np.int64)
    count = int(starts[-1])
    if count >= 2**32:
        raise ValueError(
            f"{count} blocks of pixels, but they are counted in 32 bits; use fewer images"
        )
    tile_starts = shape.columns + count
    tiles = shape.pieces * shape.tiles
    entries = tile_starts + tiles * (shape.pairs + 1)
    shape = shape._replace(counting=False, tile_starts=tile_starts, entries=entries)
    index = np.empty(entries + count, np.uint32)
    index[: shape.columns] = starts
    blocks = aligned(count * shape.block, dtype)
    pack(index, blocks)
    run(_index, [np.array(shape, np.int64), index], tiles, threads)
    return Groups(shape, order, blocks, index)


@njit(inner=True)
def choose_pairs(shape: Shape, group: Pointer, chosen: Pointer) -> int:
    """Note the pairs of columns that have pixels, or all, and return how many they are."""
    count = 0
    for number in range(shape.pairs):
        # Without a branch, which the processor could not foresee.
        chosen[count] = number
        count += shape.every | lit(group, number)
    return count


@njit(kernel=True)
def _pack(
    numbers: Any,
    images: Pointer,
    group: Pointer,
    chosen: Pointer,
    index: Pointer,
    blocks: Pointer,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Count the blocks of each group, or write them and their columns: a kernel of 64 pieces.

    Parameters
    ----------
    numbers
        The fields of a `Shape`, then the order of the images.
    group, chosen
        A `Workspace`.
    """
    shape = record(Shape, numbers)
    order = advance(numbers, SHAPE)
    group = advance(group, thread * shape.pairs * shape.block)
    chosen = advance(chosen, thread * shape.pairs)
    for g in range(shape.groups * piece // PIECES, shape.groups * (piece + 1) // PIECES):
        transpose_group(images, shape.features, advance(order, g * lanes(images)), group)
        count = choose_pairs(shape, group, chosen)
        if shape.counting:
            index[g + 1] = count
        else:
            first = np.int64(index[g])
            for k in range(count):
                pair = np.int64(chosen[k])
                index[shape.columns + first + k] = pair
                encode(group, pair, blocks, first + k)


class Tile(NamedTuple):
    """Which groups a tile has, and where it is among all."""

    first: int
    last: int
    number: int


@njit(inner=True)
def tile_of(shape: Any, piece: int, tile: int) -> Tile:
    """Return one of the tiles of a piece, which are all about as large.

    The shape is one of this module or of `chunks`.
    """
    first = shape.groups * piece // shape.pieces
    count = shape.groups * (piece + 1) // shape.pieces - first
    return Tile(
        first + count * tile // shape.tiles,
        first + count * (tile + 1) // shape.tiles,
        piece * shape.tiles + tile,
    )


@njit(kernel=True)
def _index(
    numbers: Any, index: Any, _c: Any, _d: Any, _e: Any, _f: Any, _g: Any, piece: int, _: int
) -> None:
    """Write the entries of a tile, pair by pair, and where each begins: a kernel of all tiles."""
    shape = record(Shape, numbers)
    tile = tile_of(shape, piece // shape.tiles, piece % shape.tiles)
    begin, end = np.int64(index[tile.first]), np.int64(index[tile.last])
    columns = advance(index, shape.columns)
    starts = advance(index, shape.tile_starts + tile.number * (shape.pairs + 1))
    entries = advance(index, shape.entries)
    for pair in range(shape.pairs + 1):
        starts[pair] = 0
    for block in range(begin, end):
        starts[np.int64(columns[block]) + 1] += 1
    starts[0] = begin
    for pair in range(shape.pairs):
        starts[pair + 1] += starts[pair]
    for g in range(tile.first, tile.last):
        for block in range(np.int64(index[g]), np.int64(index[g + 1])):
            column = np.int64(columns[block])
            entries[starts[column]] = (block - begin) * GROUPS_NUMBERED + g - tile.first
            starts[column] += 1
    # Each start has moved on to the next one.
    for pair in range(shape.pairs, 0, -1):
        starts[pair] = starts[pair - 1]
    starts[0] = begin
