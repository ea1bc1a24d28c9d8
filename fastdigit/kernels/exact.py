"""The first layer of a network on images of bytes, in exact sums of whole numbers.

Weights are written with digits before a pass (see `digits`), deltas once for each tile, and the
pixels are whole numbers anyway: so all sums are sums of products of bytes. There are two ways to
add them up, which give the same bits: `exact_tiles` with a matrix unit, and `exact_rows` with
vectors. In both, images lie side by side in the sums on the way forward, so that a unit's outputs
fill a vector, and sums run over images on the way back: there four images of a pixel have to lie
side by side instead of four pixels of an image. Prediction, which stores nothing, goes through the
images as they are, in `exact_tiles` and `exact_words`.

A block of ten units has its digits in the rows of two left tiles (float32) or four (float64) of
`matrix`: row 10 d + u is digit d of unit u.
"""

from typing import Any, NamedTuple

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.activation import RELU
from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.chunks import SHAPE, TOGETHER, Shape
from fastdigit.kernels.dense import Pointer, lower_bound
from fastdigit.kernels.digits import joined, scale_of, write_digits
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE
from fastdigit.kernels.simd import advance, fma, lanes, load, maximum, record, splat, store, view
from fastdigit.kernels.sweep import JOB, Job, layer_of


class Digits(NamedTuple):
    """Where the digits are, and what is made of them, as offsets into an array of floats.

    The first two are from its beginning on, the others from where a thread's own part begins.
    """

    weights: int
    """(blocks, depths, lefts) tiles."""
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
    """(two, fours of groups) right tiles: pixels that were turned; or the deltas, see
    `exact_rows.turn_deltas`."""
    sums: int
    """(two, lefts) products."""
    found: int
    """(groups, chunks): the numbers of the chunks of a tile, where there is a matrix unit."""
    lit: int
    """(fours of groups,): the numbers of those that have a chunk."""
    room: int
    """A vector."""
    space: int
    """What `matrix` works in, or the sums of digits of sixteen columns."""


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


@njit()
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
    """Write the digits of a unit's weights: a kernel of a piece for each unit of the first layer.

    Parameters
    ----------
    numbers, floats
        See `work_of`.
    """
    work = work_of(numbers, floats, thread)
    layer = layer_of(work, 0)
    row = advance(floats, work.job.blocked + layer.weights + piece * layer.rows)
    width = lanes(floats)
    block, unit = piece // UNITS, piece % UNITS
    room = advance(work.own, work.digits.room)
    factor, inverse = scale_of(row, layer.rows // width, width, room)
    floats[work.digits.scales + piece] = inverse * floats[work.job.scale]
    digits = view(advance(floats, work.digits.weights), np.int8)
    depths = work.digits.depths
    for depth in range(depths):
        first = ((block * depths + depth) * work.digits.lefts * ROWS + unit) * DEPTH
        for j in range(0, DEPTH, width):
            x = load(row, depth * DEPTH + j)
            write_digits(advance(digits, first + j), x, splat(floats, factor))


# --- forward -------------------------------------------------------------------------------------


@njit(inner=True)
def write_outputs(work: Work, block: int, g: int, sums: Pointer) -> None:
    """Write the outputs of ten units for a group from their sums of digits."""
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
def split_deltas(work: Work, block: int, groups: int, deltas: Pointer) -> None:
    """Write the digits of ten units' deltas for all groups of a tile, and the units' scales."""
    job, digits = work.job, work.digits
    width = lanes(deltas)
    halves = ROWS // width
    fours = -(-groups // TOGETHER)
    size = fours * digits.lefts * TILE
    target = advance(view(advance(work.own, digits.deltas), np.int8), block * size)
    # Groups that are not there, in the last four, have no deltas.
    for k in range((fours - 1) * digits.lefts * TILE, size):
        target[k] = 0
    room = advance(work.own, digits.room)
    for unit in range(UNITS):
        vectors = advance(deltas, (block * UNITS + unit) * width)
        factor, inverse = scale_of(vectors, groups * halves, job.pitch, room)
        work.own[digits.delta_scales + block * UNITS + unit] = inverse
        for k in range(groups * halves):
            g, half = k // halves, k % halves
            row = g // TOGETHER * digits.lefts * ROWS + unit
            at = row * DEPTH + g % TOGETHER * ROWS + half * width
            write_digits(advance(target, at), load(vectors, k * job.pitch), splat(deltas, factor))


@njit(inner=True)
def add_products(work: Work, block: int, sums: Pointer, gradient: Pointer) -> None:
    """Add sixteen columns of ten units, from their sums of digits, to the gradients."""
    width = lanes(gradient)
    rows = layer_of(work, 0).rows
    scales = advance(work.own, work.digits.delta_scales + block * UNITS)
    for unit in range(UNITS):
        row = advance(gradient, (block * UNITS + unit) * rows)
        for half in range(0, ROWS, width):
            g = joined(advance(sums, unit * ROWS + half), gradient)
            store(row, half, fma(g, splat(gradient, scales[unit]), load(row, half)))
