"""The first layer of a network on images of bytes, in exact sums of whole numbers.

Weights are written with digits before a pass (see `digits`), deltas once for each tile, and the
pixels are whole numbers anyway: so all sums are products of tiles of bytes (see `matrix`). Images
are the columns of the products on the way forward, so that a unit's outputs fill a vector, and
what the sums run over on the way back. There four images of a pixel have to lie side by side
instead of four pixels of an image: chunks are *turned*, 16 columns of 64 images at a time.

A block of ten units has its digits in the rows of two left tiles (float32) or four (float64): row
10 d + u is digit d of unit u.
"""

from typing import Any, NamedTuple

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.activation import RELU
from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.chunks import CORNER, SHAPE, Shape, turn
from fastdigit.kernels.dense import Pointer, lower_bound
from fastdigit.kernels.digits import joined, scale_of, write_digits
from fastdigit.kernels.groups import Tile, tile_of
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE, clear, multiply, prepare, release, take
from fastdigit.kernels.simd import (
    ALIGNMENT,
    advance,
    fma,
    lanes,
    load,
    maximum,
    prefetch,
    prefetch_for_later,
    record,
    splat,
    store,
    view,
)
from fastdigit.kernels.sweep import JOB, Job, add_gradients, layer_of, pass_through
from fastdigit.kernels.tree import claim, merge

TOGETHER = DEPTH // ROWS
"""Groups whose deltas are the digits of a left tile."""
PARTS = DEPTH // ROWS
"""Right tiles that a chunk is turned into."""
AHEAD = 8
"""Chunks between the one that is fetched into the nearest cache and the one that is multiplied."""
LINES = 2 * CORNER // ALIGNMENT
"""Lines of the next tile that are fetched into a near cache for every two corners that are turned:
as many as these have. Without them, the way forward waits for memory two thirds of its time."""


class Digits(NamedTuple):
    """Where the digits are, and what is made of them, as offsets into an array of floats.

    The first two are from its beginning on, the others from where a thread's own part begins.
    """

    weights: int
    """(blocks, chunks, lefts) tiles."""
    scales: int
    """(blocks * 10,): what to multiply the sums of a unit by."""
    lefts: int
    """Left tiles that the digits of ten units take; no offset."""
    deltas: int
    """(blocks, fours of groups, lefts) tiles."""
    delta_scales: int
    """(blocks * 10,)"""
    turned: int
    """(two, fours of groups) right tiles."""
    sums: int
    """(two, lefts) products."""
    found: int
    """(groups, chunks): the numbers of the chunks of a tile."""
    lit: int
    """(fours of groups,): the numbers of those that have a chunk."""
    row: int
    """A row of weights in the order of the columns."""
    room: int
    """A vector."""
    space: int
    """What `matrix` works in."""


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
    weights: Pointer,
    columns: Pointer,
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
    weights
        (units, features)
    columns
        Which column of the images is where.
    """
    work = work_of(numbers, floats, thread)
    layer = layer_of(work, 0)
    row = advance(work.own, work.digits.row)
    for j in range(layer.inputs):
        row[j] = weights[piece * layer.inputs + columns[j]]
    width = lanes(floats)
    block, unit = piece // UNITS, piece % UNITS
    room = advance(work.own, work.digits.room)
    factor, inverse = scale_of(row, layer.rows // width, width, room)
    floats[work.digits.scales + piece] = inverse * floats[work.job.scale]
    digits = view(advance(floats, work.digits.weights), np.int8)
    chunks = work.shape.chunks
    for chunk in range(chunks):
        first = ((block * chunks + chunk) * work.digits.lefts * ROWS + unit) * DEPTH
        for j in range(0, DEPTH, width):
            x = load(row, chunk * DEPTH + j)
            write_digits(advance(digits, first + j), x, splat(floats, factor))


# --- forward -------------------------------------------------------------------------------------


@njit(inner=True)
def find_chunks(work: Work, tile: Tile, index: Pointer) -> Any:
    """Note where the chunks of a tile's groups are, and return the table; 0 stands for zeros."""
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
def linear_exact(work: Work, block: int, groups: int, blocks: Pointer, found: Pointer) -> None:
    """Compute ten units of all groups of a tile: scale * W X + b, or max(0, that)."""
    chunks, lefts = work.shape.chunks, work.digits.lefts
    tiles = view(advance(work.floats, work.digits.weights), np.int8)
    tiles = advance(tiles, block * chunks * lefts * TILE)
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
def add_weight_gradients_exact(
    work: Work, groups: int, blocks: Pointer, found: Pointer, ahead: Pointer, gradient: Pointer
) -> None:
    """Add dW = dZ X^T of a tile to the gradients (units, columns).

    Meanwhile what begins at `ahead` is fetched, the chunks of the next tile.
    """
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
                                at = (k + 1) * TILE + g * TILE // TOGETHER
                                turn(corner, advance(turned, at))
                                turn(advance(corner, CORNER), advance(turned_too, at))
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


@njit()
def learn(
    numbers: Any,
    floats: Pointer,
    blocks: Pointer,
    index: Pointer,
    labels: Pointer,
    results: Pointer,
    tree: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Pass one piece of the images through: a kernel of `Shape.pieces`; see `sweep.learn`.

    Parameters
    ----------
    numbers
        See `work_of`.
    blocks, index
        The images; see `chunks.Chunks`.
    """
    work = work_of(numbers, floats, thread)
    job = work.job
    halves = ROWS // lanes(floats)
    activations = work.own
    deltas = advance(activations, job.deltas)
    gradients = advance(floats, job.gradients)
    pieces = work.shape.pieces
    buffer = claim(tree, gradients, job.gradient_size, pieces, thread) if job.learning else 0
    gradient = advance(gradients, buffer * job.gradient_size)
    first = layer_of(work, 0)
    loss = 0.0
    correct = 0.0
    prepare()
    for number in range(work.shape.tiles):
        tile = tile_of(work.shape, piece, number)
        groups = tile.last - tile.first
        if groups == 0:
            continue
        found = find_chunks(work, tile, index)
        for block in range(first.blocks):
            linear_exact(work, block, groups, blocks, found)
        own_labels = advance(labels, tile.first * ROWS)
        right = pass_through(work, own_labels, groups * halves, activations, deltas)
        loss += right[0]
        correct += right[1]
        if job.learning:
            add_gradients(work, groups * halves, activations, deltas, gradient)
            for block in range(first.blocks):
                split_deltas(work, block, groups, deltas)
            ahead = advance(blocks, (1 + np.int64(index[tile.last])) * TILE)
            weights = advance(gradient, first.weights)
            add_weight_gradients_exact(work, groups, blocks, found, ahead, weights)
    release()
    results[2 * piece] = loss
    results[2 * piece + 1] = correct
    if job.learning:
        merge(tree, gradients, job.gradient_size, pieces, piece, buffer)
