"""The first layer of a network on images of bytes, in exact sums of whole numbers.

Weights are written with digits before a pass (see `digits`), deltas once for each tile, and the
pixels are whole numbers anyway: so all sums are sums of products of bytes. There are two ways to
add them up, which give the same bits: `exact_tiles` with a matrix unit, and `exact_cells` with
vectors. In both, sums run over images on the way back: there four images of a pixel have to lie
side by side instead of four pixels of an image. Prediction, which stores nothing, goes through the
images as they are, in `exact_tiles` and `exact_words`.

A block of ten units has its digits in the rows of two left tiles (float32) or four (float64) of
`matrix`: row 10 d + u is digit d of unit u. With vectors, they are turned: each *word*, four bytes
of a row of a tile, comes to lie beside those of the other digits.
"""

from typing import Any, NamedTuple

import numpy as np

from fastdigit.jit import matrix_unit, njit
from fastdigit.kernels.activation import RELU
from fastdigit.kernels.bundles import UNITS, add_each, add_totals, farthest_each, store_each, zeros
from fastdigit.kernels.chunks import SHAPE, TOGETHER, Shape
from fastdigit.kernels.dense import Pointer, lower_bound
from fastdigit.kernels.digits import joined, power_for, scale_of, write_digits
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE, transpose_product
from fastdigit.kernels.simd import (
    add,
    advance,
    fma,
    lanes,
    load,
    maximum,
    multiply,
    record,
    splat,
    store,
    view,
)
from fastdigit.kernels.sweep import JOB, Job, layer_of


class Digits(NamedTuple):
    """Where the digits are, and what is made of them, as offsets into an array of floats.

    The first three are from its beginning on, the others from where a thread's own part begins.
    """

    weights: int
    """(blocks, depths, lefts) tiles."""
    turned_weights: int
    """(blocks, pairs of lefts, words + 1, two) rows of 64 bytes, the last ones of each pair zeros,
    if there is no unit."""
    scales: int
    """(blocks * 10,): what to multiply the sums of a unit by."""
    depths: int
    """Tiles that the columns of the images take; no offset."""
    lefts: int
    """Left tiles that the digits of ten units take; no offset."""
    deltas: int
    """(blocks, fours of groups, lefts) tiles."""
    delta_scales: int
    """(blocks * 10,)"""
    turned: int
    """(two, fours of groups) right tiles: pixels that were turned; or, without a unit, the deltas:
    (blocks, pairs of lefts, fours of images, two) rows."""
    sums: int
    """(two, lefts) products."""
    found: int
    """(groups, chunks): the numbers of the chunks of a tile, where there is a matrix unit."""
    lit: int
    """(fours of groups,): the numbers of those that have a chunk."""
    room: int
    """A bundle, and as many numbers."""
    space: int
    """What `matrix` works in, or what `digits.store_pairs` writes of sixteen words."""


class Work(NamedTuple):
    """Everything about a pass that does not change from tile to tile, for one thread."""

    job: Job
    shape: Shape
    digits: Digits
    layers: Pointer
    floats: Pointer
    own: Pointer
    """The thread's own part of the floats."""


DIGITS = len(Digits._fields)
TURNED = not matrix_unit()
"""Whether digits are read as `turn` lays them."""


@njit(inner=True)
def work_of(numbers: Pointer, floats: Pointer, thread: int) -> Work:
    """Return what an array of numbers says: a `Job`, a `Shape`, `Digits`, and then the layers."""
    job = record(Job, numbers)
    return Work(
        job,
        record(Shape, advance(numbers, JOB)),
        record(Digits, advance(numbers, JOB + SHAPE)),
        advance(numbers, JOB + SHAPE + DIGITS),
        floats,
        advance(floats, job.scratch + thread * job.scratch_size),
    )


# --- parameters ----------------------------------------------------------------------------------


@njit(kernel=True)
def pack(
    numbers: Any,
    floats: Pointer,
    _c: Any,
    _d: Any,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Write the digits of the weights of ten units: a kernel of a piece for each block.

    Parameters
    ----------
    numbers, floats
        See `work_of`.
    """
    work = work_of(numbers, floats, thread)
    layer, depths, lefts = layer_of(work, 0), work.digits.depths, work.digits.lefts
    digits = view(advance(floats, work.digits.weights), np.int8)
    tiles = advance(digits, piece * depths * lefts * TILE)
    for unit in range(min(UNITS, layer.outputs - piece * UNITS)):
        pack_unit(work, piece * UNITS + unit, advance(tiles, unit * DEPTH))
    if TURNED:
        rows = view(advance(floats, work.digits.turned_weights), np.int8)
        words = depths * ROWS + 1
        turn(tiles, depths, lefts, words, advance(rows, piece * words * lefts * DEPTH))


@njit(inner=True)
def pack_unit(work: Work, unit: int, digits: Pointer) -> None:
    """Write the digits of a unit's weights, the first one into a row of a tile."""
    floats, layer = work.floats, layer_of(work, 0)
    row = advance(floats, work.job.blocked + layer.weights + unit * layer.rows)
    width = lanes(floats)
    room = advance(work.own, work.digits.room)
    factor, inverse = scale_of(row, layer.rows // width, room)
    floats[work.digits.scales + unit] = inverse * floats[work.job.scale]
    for depth in range(work.digits.depths):
        tile = advance(digits, depth * work.digits.lefts * TILE)
        for j in range(0, DEPTH, width):
            x = load(row, depth * DEPTH + j)
            write_digits(advance(tile, j), x, splat(floats, factor))


@njit(inner=True)
def turn(tiles: Pointer, depths: int, lefts: int, words: int, rows: Pointer) -> None:
    """Lay words of digits side by side: rows (lefts // 2, words, 2) from tiles (depths, lefts).

    What is read together, for two left tiles, is one after the other, as a cache likes it.
    """
    source, target = view(tiles, np.int32), view(rows, np.int32)
    for depth in range(depths):
        for left in range(lefts):
            tile = advance(source, (depth * lefts + left) * ROWS * ROWS)
            word = left // 2 * words + depth * ROWS
            row = advance(target, (2 * word + left % 2) * ROWS)
            transpose_product(tile, ROWS, row, 2 * ROWS)


# --- forward -------------------------------------------------------------------------------------


@njit(inner=True, inlined=True)
def write_outputs(work: Work, block: int, g: int, sums: Pointer) -> None:
    """Write the outputs of ten units for a group from their sums, as `digits.joined` reads them."""
    job, floats = work.job, work.floats
    width = lanes(floats)
    halves = ROWS // width
    relu = job.activation == RELU and job.layers > 1
    floor = lower_bound(relu, floats)
    scales = advance(floats, work.digits.scales + block * UNITS)
    biases = advance(floats, job.blocked + layer_of(work, 0).biases + block * UNITS)
    for half in range(halves):
        outputs = advance(work.own, (g * halves + half) * job.pitch + block * UNITS * width)
        for unit in range(UNITS):
            z = joined(advance(sums, unit * ROWS + half * width), floats)
            z = fma(z, splat(floats, scales[unit]), splat(floats, biases[unit]))
            store(outputs, unit * width, maximum(floor, z))


# --- backward ------------------------------------------------------------------------------------


@njit(inner=True)
def split_deltas(work: Work, block: int, groups: int, deltas: Pointer, biases: Pointer) -> None:
    """Write the digits of ten units' deltas for all groups of a tile, and the units' scales.

    And add the sums of the deltas to the gradients of the layer's biases.
    """
    job, digits = work.job, work.digits
    width = lanes(deltas)
    halves = ROWS // width
    fours = -(-groups // TOGETHER)
    size = fours * digits.lefts * TILE
    target = advance(view(advance(work.own, digits.deltas), np.int8), block * size)
    # Groups that are not there, in the last four, have no deltas.
    for k in range((fours - 1) * digits.lefts * TILE, size):
        target[k] = 0
    vectors = advance(deltas, block * UNITS * width)
    sums = largest = zeros(deltas)
    for k in range(groups * halves):
        own = advance(vectors, k * job.pitch)
        sums = add_each(own, sums)
        largest = farthest_each(own, largest)
    room = advance(work.own, digits.room)
    store_each(room, largest)
    numbers = advance(room, UNITS * width)
    for unit in range(UNITS):
        numbers[unit] = 0
    add_totals(numbers, sums)
    for unit in range(UNITS):
        bias = numbers[unit]
        biases[block * UNITS + unit] += bias
        factor, inverse = power_for(advance(room, unit * width))
        # What is not finite shows in the sum.
        work.own[digits.delta_scales + block * UNITS + unit] = inverse + (bias - bias)
        numbers[unit] = factor
    for k in range(groups * halves):
        g, half = k // halves, k % halves
        row = g // TOGETHER * digits.lefts * ROWS
        at = row * DEPTH + g % TOGETHER * ROWS + half * width
        for unit in range(UNITS):
            x = load(vectors, k * job.pitch + unit * width)
            write_digits(advance(target, at + unit * DEPTH), x, splat(deltas, numbers[unit]))


@njit(inner=True, inlined=True)
def add_products(work: Work, block: int, sums: Pointer, gradient: Pointer) -> None:
    """Add sixteen columns of ten units, from sums as `digits.joined` reads them, to gradients."""
    width = lanes(gradient)
    rows = layer_of(work, 0).rows
    scales = advance(work.own, work.digits.delta_scales + block * UNITS)
    for unit in range(UNITS):
        row = advance(gradient, (block * UNITS + unit) * rows)
        for half in range(0, ROWS, width):
            g = joined(advance(sums, unit * ROWS + half), gradient)
            # Rounded before it is added: see `tree.take_over`.
            store(row, half, add(load(row, half), multiply(g, splat(gradient, scales[unit]))))
