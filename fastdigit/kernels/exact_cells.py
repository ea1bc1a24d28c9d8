"""Exact sums of the first layer with vectors, for processors without a matrix unit.

Both ways read cells (see `cells`), and add the dots of their words with rows of digits: forward
with the digits of four columns' weights, back with those of four images' deltas. The sums of a list
of cells stay in registers: those of two images, or of two columns, with the digits side by side. As
a row is read once for two words, and a word once for two rows, each dot takes one load.
"""

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.cells import CELL, PAIR, PAIRS
from fastdigit.kernels.chunks import TOGETHER
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.dots import add_dots_of_words, no_sums, store_sums
from fastdigit.kernels.exact import Work, add_products, turn, write_outputs
from fastdigit.kernels.groups import Tile
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE, transpose_product
from fastdigit.kernels.simd import advance, opaque, prefetch, view
from fastdigit.kernels.sweep import layer_of

SUMS = 2 * PAIR
"""Sums of a list, each of two words with two rows."""
SOON = 2048
"""Bytes between the cell that is fetched into the nearest cache and the one that is multiplied."""


@njit(inner=True)
def linear(work: Work, tile: Tile, blocks: Pointer, index: Pointer) -> None:
    """Compute all units of all groups of a tile: scale * W X + b, or max(0, that)."""
    lefts = work.digits.lefts
    weights = view(advance(work.floats, work.digits.turned_weights), np.int8)
    words = work.digits.depths * ROWS + 1
    sums = view(advance(work.own, work.digits.sums), np.int32)
    for block in range(layer_of(work, 0).blocks):
        for g in range(tile.first, tile.last):
            rows = advance(weights, block * words * lefts * DEPTH)
            multiply(work, blocks, index, g * PAIRS, rows, words, sums)
            write_outputs(work, block, g - tile.first, sums)


@njit(inner=True)
def add_weight_gradients(
    work: Work, tile: Tile, blocks: Pointer, index: Pointer, gradient: Pointer
) -> None:
    """Add dW = dZ X^T of a tile to the gradients (units, columns)."""
    lefts = work.digits.lefts
    layer, shape = layer_of(work, 0), work.shape
    fours = -(-(tile.last - tile.first) // TOGETHER)
    size, words = fours * lefts * TILE, fours * ROWS
    deltas = view(advance(work.own, work.digits.deltas), np.int8)
    rows = view(advance(work.own, work.digits.turned), np.int8)
    sums = view(advance(work.own, work.digits.sums), np.int32)
    for block in range(layer.blocks):
        turn(advance(deltas, block * size), fours, lefts, words, advance(rows, block * size))
    first = PAIRS * shape.groups + PAIR * shape.chunks * tile.number
    for columns in range(PAIR * shape.chunks // PAIRS):
        lists = first + columns * PAIRS
        if index[lists] == index[lists + PAIRS]:
            continue
        for block in range(layer.blocks):
            multiply(work, blocks, index, lists, advance(rows, block * size), words, sums)
            add_products(work, block, sums, advance(gradient, columns * ROWS))


@njit(inner=True)
def multiply(
    work: Work,
    blocks: Pointer,
    index: Pointer,
    first: int,
    rows: Pointer,
    words: int,
    sums: Pointer,
) -> None:
    """Sum up the words of eight lists of cells, each times its row of digits.

    Parameters
    ----------
    first
        The number of the first list.
    rows, words
        What `exact.turn` writes: digits of so many words of weights, or fours of deltas.
    sums
        (lefts, 16, 16): receives the sums of each digit, with the sixteen words side by side.
    """
    lefts = work.digits.lefts
    numbers = view(advance(index, work.shape.numbers), np.uint16)
    products = view(advance(work.own, work.digits.space), np.int32)
    for pair in range(0, lefts, 2):
        some = advance(rows, pair * words * DEPTH)
        for number in range(PAIRS):
            k, end = np.int64(index[first + number]), np.int64(index[first + number + 1])
            totals = no_sums(SUMS)
            while k != end:
                cell = advance(blocks, k * CELL)
                prefetch(advance(cell, SOON))
                row = advance(some, np.int64(numbers[k]) * 2 * DEPTH)
                totals = add_dots_of_words(totals, cell, PAIR, row, DEPTH)
                k = opaque(k + 1)
            store_sums(advance(products, number * SUMS * ROWS), totals)
        for left in range(2):
            target = advance(sums, (pair + left) * ROWS * ROWS)
            transpose_product(advance(products, left * ROWS), 2 * ROWS, target, ROWS)
