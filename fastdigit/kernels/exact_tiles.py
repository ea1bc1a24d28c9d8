"""Exact sums of the first layer with a matrix unit: four products of tiles at a time.

A chunk is a right tile on the way forward. On the way back four groups are, of sixteen columns
each, which are *turned*: from four pixels of an image side by side to four images of a pixel.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from fastdigit.jit import njit
from fastdigit.kernels.chunks import TOGETHER
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.exact import Work, add_products, write_outputs
from fastdigit.kernels.groups import Tile
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.matrix import (
    DEPTH,
    ROWS,
    TILE,
    clear,
    multiply,
    take,
    transpose_product,
)
from fastdigit.kernels.simd import (
    ALIGNMENT,
    advance,
    operation,
    prefetch,
    prefetch_for_later,
    read,
    shuffled,
    view,
    write,
)
from fastdigit.kernels.sweep import layer_of

PARTS = DEPTH // ROWS
"""Right tiles that a chunk is turned into."""
AHEAD = 8
"""Chunks between the one that is fetched into the nearest cache and the one that is multiplied."""
CORNER = 256
"""Bytes of 16 columns of a group."""
LINES = 2 * CORNER // ALIGNMENT
"""Lines of the next tile that are fetched into a near cache for every two corners that are turned:
as many as these have. Without them, the way forward waits for memory two thirds of its time."""


@njit(inner=True)
def find_chunks(work: Work, tile: Tile, index: Pointer) -> Any:
    """Note where the chunks of a tile's groups are, and return the table (groups, chunks).

    0 stands for zeros. There are groups up to whole fours.
    """
    chunks = work.shape.chunks
    found = view(advance(work.own, work.digits.found), np.int32)
    groups = tile.last - tile.first
    for k in range((groups + TOGETHER) // TOGETHER * TOGETHER * chunks):
        found[k] = 0
    numbers = advance(index, work.shape.numbers)
    for g in range(groups):
        for k in range(np.int64(index[tile.first + g]), np.int64(index[tile.first + g + 1])):
            found[g * chunks + np.int64(numbers[k])] = 1 + k
    return found


@njit(inner=True)
def linear(work: Work, tile: Tile, blocks: Pointer, index: Pointer) -> None:
    """Compute all units of all groups of a tile: scale * W X + b, or max(0, that)."""
    found = find_chunks(work, tile, index)
    for block in range(layer_of(work, 0).blocks):
        linear_block(work, block, tile.last - tile.first, blocks, found)


@njit(inner=True)
def linear_block(work: Work, block: int, groups: int, blocks: Pointer, found: Pointer) -> None:
    """Compute ten units of all groups of a tile."""
    chunks, lefts = work.shape.chunks, work.digits.lefts
    tiles = view(advance(work.floats, work.digits.weights), np.int8)
    tiles = advance(tiles, block * work.digits.depths * lefts * TILE)
    space = view(advance(work.own, work.digits.space), np.int32)
    sums = view(advance(work.own, work.digits.sums), np.int32)
    size = lefts * ROWS * ROWS
    for g in range(0, groups, 2):
        for first in range(0, lefts, 2):
            clear(space)
            for chunk in range(chunks):
                a = np.int64(found[g * chunks + chunk])
                b = np.int64(found[(g + 1) * chunks + chunk])
                if a | b:
                    for line in range(0, TILE, ALIGNMENT):
                        prefetch(advance(blocks, (a + AHEAD) * TILE + line))
                        prefetch(advance(blocks, (b + AHEAD) * TILE + line))
                    left = advance(tiles, (chunk * lefts + first) * TILE)
                    multiply(
                        space,
                        left,
                        advance(left, TILE),
                        DEPTH,
                        advance(blocks, a * TILE),
                        advance(blocks, b * TILE),
                    )
            target = advance(sums, first * ROWS * ROWS)
            take(space, target, advance(target, size))
        write_outputs(work, block, g, sums)
        if g + 1 < groups:
            write_outputs(work, block, g + 1, advance(sums, size))


@njit(inner=True)
def add_weight_gradients(
    work: Work, tile: Tile, blocks: Pointer, index: Pointer, gradient: Pointer
) -> None:
    """Add dW = dZ X^T of a tile to the gradients (units, columns), after `linear` of this tile.

    Meanwhile the chunks of the next tile are fetched.
    """
    groups = tile.last - tile.first
    found = view(advance(work.own, work.digits.found), np.int32)
    ahead = advance(blocks, (1 + np.int64(index[tile.last])) * TILE)
    chunks, lefts = work.shape.chunks, work.digits.lefts
    layer = layer_of(work, 0)
    fours = -(-groups // TOGETHER)
    lit = view(advance(work.own, work.digits.lit), np.int32)
    deltas = view(advance(work.own, work.digits.deltas), np.int8)
    turned = view(advance(work.own, work.digits.turned), np.uint8)
    turned_too = advance(turned, fours * TILE)
    space = view(advance(work.own, work.digits.space), np.int32)
    sums = view(advance(work.own, work.digits.sums), np.int32)
    size = lefts * ROWS * ROWS
    for chunk in range(chunks):
        count = find_fours(found, chunk, chunks, fours, lit)
        if count == 0:
            continue
        for part in range(0, PARTS, 2):
            for block in range(layer.blocks):
                left = advance(deltas, block * fours * lefts * TILE)
                for first in range(0, lefts, 2):
                    clear(space)
                    # Each four is turned while the one before is multiplied.
                    turning = block + first == 0
                    for k in range(-1 if turning else 0, count):
                        if turning and k + 1 < count:
                            for g in range(TOGETHER):
                                group = np.int64(lit[k + 1]) * TOGETHER + g
                                for line in range(LINES):
                                    prefetch_for_later(advance(ahead, line * ALIGNMENT))
                                ahead = advance(ahead, LINES * ALIGNMENT)
                                number = np.int64(found[group * chunks + chunk])
                                corner = advance(blocks, number * TILE + part * CORNER)
                                at = (k + 1) * TILE + g * CORNER
                                turn_corner(corner, advance(turned, at))
                                turn_corner(advance(corner, CORNER), advance(turned_too, at))
                        if k < 0:
                            continue
                        own = advance(left, (np.int64(lit[k]) * lefts + first) * TILE)
                        multiply(
                            space,
                            own,
                            advance(own, TILE),
                            DEPTH,
                            advance(turned, k * TILE),
                            advance(turned_too, k * TILE),
                        )
                    target = advance(sums, first * ROWS * ROWS)
                    take(space, target, advance(target, size))
                column = chunk * DEPTH + part * ROWS
                add_products(work, block, sums, advance(gradient, column))
                add_products(work, block, advance(sums, size), advance(gradient, column + ROWS))


def arranged(tiles: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Return the digits of weights, in left tiles, as right tiles (blocks, depths, lefts)."""
    rights = aligned(tiles.shape, np.int8)
    rights[:] = tiles.swapaxes(-3, -2)
    return rights


@njit(inner=True)
def sums_of(work: Work) -> Pointer:
    """Return room for the sums of two groups: (two, lefts) products."""
    return view(advance(work.own, work.digits.sums), np.int32)


@njit(inner=True)
def linear_images(
    work: Work,
    block: int,
    images: Pointer,
    pitch: int,
    rows: int,
    ahead: Pointer,
    weights: Pointer,
    _lists: Pointer,
    sums: Pointer,
) -> None:
    """Sum up ten units of two groups of images; see `exact_words.linear_images`."""
    depths, lefts = work.digits.depths, work.digits.lefts
    space = view(advance(work.own, work.digits.space), np.int32)
    products = view(advance(work.own, work.digits.turned), np.int32)
    digits = advance(weights, block * depths * lefts * TILE)
    images_too = advance(images, ROWS * pitch)
    for pair in range(0, lefts, 2):
        clear(space)
        for depth in range(depths):
            if block + pair == 0:
                # The next images, in the order in which they lie.
                for line in range(2 * ROWS):
                    at = (depth * 2 * ROWS + line) * ALIGNMENT
                    prefetch_for_later(advance(ahead, at))
            right = advance(digits, (depth * lefts + pair) * TILE)
            at = depth * DEPTH
            some, others = advance(images, at), advance(images_too, at)
            multiply(space, some, others, pitch, right, advance(right, TILE))
        take(space, products, advance(products, 2 * ROWS * ROWS))
        for number in range(4):
            target = (number % 2 * lefts + pair + number // 2) * ROWS * ROWS
            source = advance(products, number * ROWS * ROWS)
            transpose_product(source, ROWS, advance(sums, target), ROWS)


@njit(inner=True)
def find_fours(found: Pointer, chunk: int, chunks: int, fours: int, lit: Pointer) -> int:
    """Note the fours of groups of a tile of which any has this chunk, and return how many do."""
    count = 0
    for k in range(fours):
        any_has = np.int64(0)
        for g in range(k * TOGETHER, (k + 1) * TOGETHER):
            any_has |= np.int64(found[g * chunks + chunk])
        lit[count] = k
        if any_has:
            count += 1
    return count


@operation
def turn(typing: Any, first: Any, second: Any, third: Any, fourth: Any, target: Any) -> Any:
    """Turn 16 columns of a group: from four pixels of an image side by side to four images.

    Four rows of 64 bytes are read, four columns each, and four written, four images each, one
    after the other.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        narrow = ir.VectorType(ir.IntType(8), DEPTH)
        wide = ir.VectorType(ir.IntType(64), DEPTH // 8)
        *sources, target = arguments
        lanes = [(4 * b + i) * 4 + p for b in range(4) for p in range(4) for i in range(4)]
        rows = []
        for source in sources:
            row = read(builder, source, narrow)
            rows.append(builder.bitcast(shuffled(builder, row, row, lanes), wide))
        # Quarters of 16 bytes change places across the diagonal.
        low, high = [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]
        a, b = (shuffled(builder, rows[0], rows[1], half) for half in (low, high))
        c, d = (shuffled(builder, rows[2], rows[3], half) for half in (low, high))
        even, odd = [0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]
        turned = [
            shuffled(builder, first, second, half)
            for first, second in ((a, c), (b, d))
            for half in (even, odd)
        ]
        for number, row in enumerate(turned):
            write(builder, row, builder.gep(target, [ir.IntType(64)(number * DEPTH)]))
        return context.get_dummy_value()

    return types.none(first, second, third, fourth, target), generate


@njit(inner=True)
def turn_corner(source: Pointer, target: Pointer) -> None:
    """Turn sixteen columns of a chunk."""
    rows = (advance(source, DEPTH), advance(source, 2 * DEPTH), advance(source, 3 * DEPTH))
    turn(source, rows[0], rows[1], rows[2], target)
