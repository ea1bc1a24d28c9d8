"""Exact sums of the first layer with vectors, for processors without a matrix unit.

Both ways read cells (see `cells`), and add the dots of their words with rows of digits: forward
with the digits of four columns' weights, back with those of four images' deltas. The sums of a list
of cells stay in registers: those of two images, or of two columns, with the digits side by side. As
a row is read once for two words, and a word once for two rows, each dot takes one load.
"""

from typing import NamedTuple

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.cells import CELL, PAIR, PAIRS
from fastdigit.kernels.chunks import TOGETHER
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.digits import store_pairs, sums_of_pairs, turn_pairs, vectors_of_pair
from fastdigit.kernels.dots import add_dots_of_words, no_sums
from fastdigit.kernels.exact import Work, add_products, turn, write_outputs
from fastdigit.kernels.groups import Tile
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE
from fastdigit.kernels.simd import advance, opaque, prefetch, view
from fastdigit.kernels.sweep import layer_of

SUMS = 2 * PAIR
"""Sums of a list, each of two words with two rows."""
SOON = 2048
"""Bytes between the cell that is fetched into the nearest cache and the one that is multiplied."""


class Pass(NamedTuple):
    """What both ways through the cells of a thread's tile need."""

    blocks: Pointer
    starts: Pointer
    """Where each list begins."""
    numbers: Pointer
    """Of all cells."""
    lefts: int
    pairs: Pointer
    """Room for the sums of sixteen words, with the digits of ten units side by side."""
    sums: Pointer
    """(lefts, 16, 16): receives them with the sixteen words side by side; see `sums_of_pairs`."""


@njit(inner=True)
def pass_of(work: Work, blocks: Pointer, index: Pointer) -> Pass:
    """Return what `multiply` needs."""
    return Pass(
        blocks,
        index,
        view(advance(index, work.shape.numbers), np.uint16),
        work.digits.lefts,
        view(advance(work.own, work.digits.space), np.int32),
        sums_of_pairs(advance(work.own, work.digits.sums)),
    )


@njit(inner=True)
def linear(work: Work, tile: Tile, blocks: Pointer, index: Pointer) -> None:
    """Compute all units of all groups of a tile: scale * W X + b, or max(0, that)."""
    way = pass_of(work, blocks, index)
    weights = view(advance(work.floats, work.digits.turned_weights), np.int8)
    words = work.digits.depths * ROWS + 1
    for block in range(layer_of(work, 0).blocks):
        rows = advance(weights, block * words * way.lefts * DEPTH)
        for g in range(tile.first, tile.last):
            multiply(way, g * PAIRS, rows, words)
            write_outputs(work, block, g - tile.first, way.sums)


@njit(inner=True)
def add_weight_gradients(
    work: Work, tile: Tile, blocks: Pointer, index: Pointer, gradient: Pointer
) -> None:
    """Add dW = dZ X^T of a tile to the gradients (units, columns)."""
    way = pass_of(work, blocks, index)
    layer, shape = layer_of(work, 0), work.shape
    fours = -(-(tile.last - tile.first) // TOGETHER)
    size, words = fours * way.lefts * TILE, fours * ROWS
    deltas = view(advance(work.own, work.digits.deltas), np.int8)
    rows = view(advance(work.own, work.digits.turned), np.int8)
    for block in range(layer.blocks):
        own = advance(rows, block * size)
        turn(advance(deltas, block * size), fours, way.lefts, words, own)
    first = PAIRS * shape.groups + PAIR * shape.chunks * tile.number
    for columns in range(PAIR * shape.chunks // PAIRS):
        lists = first + columns * PAIRS
        if index[lists] == index[lists + PAIRS]:
            continue
        for block in range(layer.blocks):
            multiply(way, lists, advance(rows, block * size), words)
            add_products(work, block, way.sums, advance(gradient, columns * ROWS))


@njit(inner=True)
def multiply(way: Pass, first: int, rows: Pointer, words: int) -> None:
    """Sum up the words of eight lists of cells, from the first one on, each times its row.

    The rows are what `exact.turn` writes: digits of so many words of weights, or fours of deltas.
    """
    apart = vectors_of_pair(way.sums) * ROWS
    for pair in range(0, way.lefts, 2):
        some = advance(rows, pair * words * DEPTH)
        for number in range(PAIRS):
            k = np.int64(way.starts[first + number])
            end = np.int64(way.starts[first + number + 1])
            totals = no_sums(SUMS)
            while k != end:
                cell = advance(way.blocks, k * CELL)
                prefetch(advance(cell, SOON))
                row = advance(some, np.int64(way.numbers[k]) * 2 * DEPTH)
                totals = add_dots_of_words(totals, cell, PAIR, row, DEPTH)
                k = opaque(k + 1)
            store_pairs(advance(way.pairs, number * PAIR * apart), apart, totals, way.sums)
        turn_pairs(way.pairs, apart, advance(way.sums, pair * ROWS * ROWS))
