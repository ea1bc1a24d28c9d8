"""Exact sums of the first layer with vectors, for processors without a matrix unit.

A chunk is a row: four columns of sixteen images. The sums of thirty digits stay in registers, for a
whole group on the way forward, and for sixteen columns of a whole tile on the way back: each word
of digits is read once and multiplied with a row at once; nothing else is done for it.
"""

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.chunks import CORNER, ENTRY, QUAD, QUADS, turn
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.dots import add_dots, has_dots, no_sums, store_sums
from fastdigit.kernels.exact import TOGETHER, Work, add_products, write_outputs
from fastdigit.kernels.groups import Tile
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE
from fastdigit.kernels.simd import advance, prefetch, view
from fastdigit.kernels.sweep import layer_of

AT_ONCE = 30 if has_dots() else 5
"""Sums that stay in registers together: of AVX-512's 32, or of sixteen that hold half as much."""
AHEAD = 32
"""Rows between the one that is fetched into the nearest cache and the one that is multiplied."""


@njit(inner=True)
def linear(work: Work, tile: Tile, blocks: Pointer, index: Pointer) -> None:
    """Compute all units of all groups of a tile: scale * W X + b, or max(0, that)."""
    for block in range(layer_of(work, 0).blocks):
        linear_block(work, block, tile, blocks, index)


@njit(inner=True)
def linear_block(work: Work, block: int, tile: Tile, blocks: Pointer, index: Pointer) -> None:
    """Compute ten units of all groups of a tile."""
    lefts = work.digits.lefts
    weights = view(advance(work.floats, work.digits.weights), np.int8)
    weights = advance(weights, block * work.digits.depths * lefts * TILE)
    sums = view(advance(work.own, work.digits.sums), np.int32)
    numbers = advance(index, work.shape.numbers)
    for g in range(tile.last - tile.first):
        begin = np.int64(index[tile.first + g])
        end = np.int64(index[tile.first + g + 1])
        for first in range(lefts * ROWS // AT_ONCE):
            words = advance(weights, first * AT_ONCE * DEPTH)
            totals = no_sums(AT_ONCE)
            for k in range(begin, end):
                prefetch(advance(blocks, (1 + k + AHEAD) * DEPTH))
                number = np.int64(numbers[k])
                at = number // ROWS * lefts * TILE + number % ROWS * QUAD
                totals = add_dots(
                    totals, advance(words, at), DEPTH, advance(blocks, (1 + k) * DEPTH)
                )
            store_sums(advance(sums, first * AT_ONCE * ROWS), totals)
        write_outputs(work, block, g, sums)


@njit(inner=True)
def add_weight_gradients(
    work: Work, tile: Tile, blocks: Pointer, index: Pointer, gradient: Pointer
) -> None:
    """Add dW = dZ X^T of a tile to the gradients (units, columns)."""
    groups = tile.last - tile.first
    lefts = work.digits.lefts
    layer = layer_of(work, 0)
    size = -(-groups // TOGETHER) * lefts * TILE
    deltas = view(advance(work.own, work.digits.deltas), np.int8)
    turned = view(advance(work.own, work.digits.turned), np.uint8)
    sums = view(advance(work.own, work.digits.sums), np.int32)
    shape = work.shape
    starts = advance(index, shape.starts + tile.number * shape.corners)
    for number in range(shape.corners):
        begin = np.int64(starts[number])
        count = np.int64(starts[number + 1]) - begin
        if count == 0:
            continue
        entries = advance(index, shape.entries + begin * ENTRY)
        for k in range(count):
            turn_corner(blocks, advance(entries, k * ENTRY + 1), advance(turned, k * CORNER))
        for block in range(layer.blocks):
            for first in range(lefts * ROWS // AT_ONCE):
                words = advance(deltas, block * size + first * AT_ONCE * DEPTH)
                totals = no_sums(AT_ONCE)
                for k in range(count):
                    g = np.int64(entries[k * ENTRY])
                    corner = advance(turned, k * CORNER)
                    at = g // TOGETHER * lefts * TILE + g % TOGETHER * ROWS
                    for quad in range(QUADS):
                        totals = add_dots(
                            totals,
                            advance(words, at + quad * QUAD),
                            DEPTH,
                            advance(corner, quad * DEPTH),
                        )
                store_sums(advance(sums, first * AT_ONCE * ROWS), totals)
            add_products(work, block, sums, advance(gradient, number * ROWS))


@njit(inner=True)
def turn_corner(blocks: Pointer, found: Pointer, target: Pointer) -> None:
    """Turn the four rows of a corner, of which an entry says where they are; 0 is zeros."""
    turn(
        advance(blocks, np.int64(found[0]) * DEPTH),
        advance(blocks, np.int64(found[1]) * DEPTH),
        advance(blocks, np.int64(found[2]) * DEPTH),
        advance(blocks, np.int64(found[3]) * DEPTH),
        target,
    )
