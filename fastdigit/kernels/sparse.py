"""The first layer of a network, on floats in groups; blocks of zeros are left out.

A block of pixels is multiplied ten units at a time, which stay in registers: forward with weights,
backward with deltas, straight from memory. Its column is looked up once for twenty vectors.
"""

from typing import Any, NamedTuple

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.bundles import (
    UNITS,
    add_totals,
    affine,
    fma_each,
    fma_scalars,
    store_each,
    zeros,
)
from fastdigit.kernels.dense import Pointer, lower_bound
from fastdigit.kernels.groups import GROUPS_NUMBERED, Shape, Tile
from fastdigit.kernels.pixels import COLUMNS, fetch_early, pair
from fastdigit.kernels.simd import advance, splat

AHEAD = 128
"""Blocks between the one that is fetched into the cache and the one that is multiplied. Without,
the way forward took 4.2 ms, with 16 or 256 of them 4.1, with 128 only 3.0 (float32, one thread)."""


class Units(NamedTuple):
    """Ten units of the first layer: what they are made of, and where they go."""

    weights: Pointer
    """(features, 10)"""
    biases: Pointer
    """(10,)"""
    outputs: Pointer
    """(10, lanes): receives scale * W X + b, or max(0, that)."""
    scale: float
    relu: bool


@njit(inner=True)
def finish(units: Units, sums: Any) -> None:
    """Write the outputs of units from their sums W X."""
    floor = lower_bound(units.relu, units.weights)
    z = affine(sums, splat(units.weights, units.scale), units.biases, floor)
    store_each(units.outputs, z)


@njit(inner=True)
def linear_sparse(blocks: Pointer, columns: Any, count: Any, units: Units) -> None:
    """Compute ten units from so many blocks of a group, whose pairs of columns are given."""
    z = zeros(units.weights)
    for k in range(count):
        fetch_early(blocks, k + AHEAD)
        z = add_pair(blocks, k, np.int64(columns[k]), units, z)
    finish(units, z)


@njit(inner=True)
def linear_pairs(group: Pointer, pairs: Any, count: int, units: Units) -> None:
    """Compute ten units from so many pairs of columns of a transposed group."""
    z = zeros(units.weights)
    for k in range(count):
        column = np.int64(pairs[k])
        z = add_pair(group, column, column, units, z)
    finish(units, z)


@njit(inner=True)
def add_pair(blocks: Pointer, block: Any, column: Any, units: Units, sums: Any) -> Any:
    """Return the sums plus weights times pixels of a block, whose pair of columns is given."""
    x = pair(blocks, block)
    w = advance(units.weights, column * (COLUMNS * UNITS))
    return fma_scalars(x[1], advance(w, UNITS), fma_scalars(x[0], w, sums))


@njit(inner=True)
def add_weight_gradients_sparse(
    shape: Shape,
    tile: Tile,
    blocks: Pointer,
    index: Any,
    deltas: Pointer,
    pitch: int,
    gradients: Pointer,
) -> None:
    """Add dW = dZ X^T of ten units for a tile to the gradients (features, 10).

    Parameters
    ----------
    blocks, index
        Of all images.
    deltas
        (groups of the tile, pitch): dZ, the ten units' vectors first.
    """
    first = advance(blocks, np.int64(index[tile.first]) * shape.block)
    starts = advance(index, shape.tile_starts + tile.number * (shape.pairs + 1))
    entries = advance(index, shape.entries)
    for column in range(shape.pairs):
        begin, end = np.int64(starts[column]), np.int64(starts[column + 1])
        if begin == end:
            continue
        left = right = zeros(deltas)
        for k in range(begin, end):
            entry = np.int64(entries[k])
            x = pair(first, entry // GROUPS_NUMBERED)
            d = advance(deltas, entry % GROUPS_NUMBERED * pitch)
            left = fma_each(x[0], d, left)
            right = fma_each(x[1], d, right)
        g = advance(gradients, column * (COLUMNS * UNITS))
        add_totals(g, left)
        add_totals(advance(g, UNITS), right)
