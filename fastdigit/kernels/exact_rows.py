"""Exact sums of the first layer with vectors, for processors without a matrix unit.

On the way forward a chunk is a row: four columns of sixteen images. The sums of thirty digits stay
in registers for a whole group: each word of digits is read and multiplied with a row at once, and
nothing else is done for it. On the way back the sums of four columns stay there for a whole tile,
with the digits side by side: so that images need not be alike in more than fours.
"""

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.chunks import CELL, FOURS, QUAD, TOGETHER
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.dots import add_dots, add_dots_of_words, has_dots, no_sums, store_sums
from fastdigit.kernels.exact import Work, add_products, write_outputs
from fastdigit.kernels.groups import Tile
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE, transpose_product
from fastdigit.kernels.simd import advance, prefetch, view
from fastdigit.kernels.sweep import layer_of

QUADS = ROWS // QUAD
"""Quads in the columns that are added to the gradients together."""
AT_ONCE = 30 if has_dots() else 5
"""Sums that stay in registers together: of AVX-512's 32, or of sixteen that hold half as much."""
COLUMNS = 4 if has_dots() else 2
"""Columns whose sums stay in registers together, each with those of two left tiles."""
SUMS = 2 * COLUMNS
AHEAD = 32
"""Rows between the one that is fetched into the nearest cache and the one that is multiplied."""
SOON = 2048
"""The same for cells, in bytes."""


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
    lefts = work.digits.lefts
    layer = layer_of(work, 0)
    turned = view(advance(work.own, work.digits.turned), np.int8)
    products = view(advance(work.own, work.digits.space), np.int32)
    sums = view(advance(work.own, work.digits.sums), np.int32)
    shape = work.shape
    starts = advance(index, shape.starts + tile.number * shape.chunks)
    fours = view(advance(index, shape.fours), np.uint16)
    cells = advance(blocks, shape.cells)
    size = turn_deltas(work, tile.last - tile.first, turned)
    for first in range(0, shape.chunks, QUADS):
        if starts[first] == starts[first + QUADS]:
            continue
        for block in range(layer.blocks):
            for pair in range(0, lefts, 2):
                rows = advance(turned, (block * lefts + pair) * size)
                target = advance(products, pair * ROWS * ROWS)
                for column in range(0, ROWS, COLUMNS):
                    quad = first + column // QUAD
                    totals = no_sums(SUMS)
                    for k in range(np.int64(starts[quad]), np.int64(starts[quad + 1])):
                        prefetch(advance(cells, k * CELL + SOON))
                        totals = add_dots_of_words(
                            totals,
                            advance(cells, k * CELL + column % QUAD * FOURS),
                            COLUMNS,
                            advance(rows, np.int64(fours[k]) * DEPTH),
                            size,
                        )
                    store_sums(advance(target, column * 2 * ROWS), totals)
                for left in range(2):
                    transpose_product(
                        advance(target, left * ROWS),
                        2 * ROWS,
                        advance(sums, (pair + left) * ROWS * ROWS),
                    )
            add_products(work, block, sums, advance(gradient, first * QUAD))


@njit(inner=True)
def turn_deltas(work: Work, groups: int, turned: Pointer) -> int:
    """Lay the digits of each four images side by side: a row for each four.

    Returns
    -------
    int
        The bytes of all rows for one left tile, behind which are those for the next one.
    """
    tiles = -(-groups // TOGETHER)
    lefts = work.digits.lefts
    deltas = view(advance(work.own, work.digits.deltas), np.int32)
    target = view(turned, np.int32)
    for block in range(layer_of(work, 0).blocks):
        for number in range(tiles):
            for left in range(lefts):
                source = advance(deltas, ((block * tiles + number) * lefts + left) * ROWS * ROWS)
                at = ((block * lefts + left) * tiles + number) * ROWS * ROWS
                transpose_product(source, ROWS, advance(target, at))
    return tiles * TILE
