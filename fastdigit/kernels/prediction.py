"""Labels and probabilities, straight from the images: nothing is stored between them."""

from typing import Any

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels import exact, sweep
from fastdigit.kernels.dense import Pointer, largest_of, softmax
from fastdigit.kernels.groups import SHAPE, choose_pairs
from fastdigit.kernels.layout import LAYER
from fastdigit.kernels.matrix import (
    DEPTH,
    ROWS,
    TILE,
    clear,
    multiply,
    prepare,
    release,
    take,
    transpose_product,
)
from fastdigit.kernels.parallel import PIECES
from fastdigit.kernels.simd import ALIGNMENT, advance, lanes, prefetch_for_later, store, view
from fastdigit.kernels.sparse import linear_pairs
from fastdigit.kernels.transposition import next_group, restore_rows


@njit(inner=True)
def answer(
    work: Any, units: Pointer, first: int, rows: int, labels: Pointer, probabilities: Pointer
) -> None:
    """Write the labels of so many images, and their probabilities, from the first layer's outputs.

    `first` is the number of the first image, whose units are the first lanes.
    """
    job = work.job
    found = advance(units, job.deltas)
    logits = sweep.other_layers(work, units)
    winner, largest = largest_of(logits, job.outputs)
    store(found, 0, winner)
    for lane in range(rows):
        labels[first + lane] = found[lane]
    if job.learning:
        softmax(logits, job.outputs, largest)
        restore_rows(logits, job.outputs, rows, advance(probabilities, first * job.outputs))


@njit()
def classify(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    group: Pointer,
    chosen: Pointer,
    labels: Pointer,
    probabilities: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Write the labels (n,) of a piece of the images, of floats: a kernel of 64 pieces.

    While `learning`, write their probabilities (n, outputs) as well. Behind what `work_of` reads,
    the numbers have the order of the images of a group, and then that of the last one's.
    """
    work = sweep.work_of(numbers, floats)
    job, shape = work.job, work.shape
    in_order = advance(numbers, sweep.JOB + SHAPE + job.layers * LAYER)
    units = advance(floats, job.scratch + thread * job.scratch_size)
    group = advance(group, thread * shape.pairs * shape.block)
    chosen = advance(chosen, thread * shape.pairs)
    for g in range(shape.groups * piece // PIECES, shape.groups * (piece + 1) // PIECES):
        rows = next_group(images, shape.images, shape.features, g, in_order, floats, group)
        count = choose_pairs(shape, group, chosen)
        for block in range(sweep.layer_of(work, 0).blocks):
            linear_pairs(group, chosen, count, sweep.units_of(work, block, units))
        answer(work, units, g * lanes(floats), rows, labels, probabilities)


@njit()
def classify_bytes(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    weights: Pointer,
    room: Pointer,
    labels: Pointer,
    probabilities: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Write the labels of a piece of the images, of bytes: a kernel of 64 pieces; see `classify`.

    Parameters
    ----------
    weights
        The digits of the weights as right tiles: images, unlike in training, are rows.
    room
        (threads, 32 rows): for the last images, behind which there may be no more memory.
    """
    work = exact.work_of(numbers, floats, thread)
    job, shape, depths, lefts = work.job, work.shape, work.digits.depths, work.digits.lefts
    width = lanes(floats)
    halves = ROWS // width
    blocks = sweep.layer_of(work, 0).blocks
    room = advance(room, thread * 2 * ROWS * depths * DEPTH)
    space = view(advance(work.own, work.digits.space), np.int32)
    sums = view(advance(work.own, work.digits.sums), np.int32)
    products = view(advance(work.own, work.digits.turned), np.int32)
    size = lefts * ROWS * ROWS
    last = shape.groups * (piece + 1) // PIECES
    prepare()
    for g in range(shape.groups * piece // PIECES, last, 2):
        first = g * ROWS
        rows = min(2 * ROWS, min(last * ROWS, shape.images) - first)
        left, pitch = advance(images, first * shape.features), shape.features
        # Tiles read beyond the end of a row, where weights are 0.
        if (first + 2 * ROWS) * shape.features + DEPTH > shape.images * shape.features:
            left, pitch = room, depths * DEPTH
            for row in range(rows):
                source = advance(images, (first + row) * shape.features)
                for j in range(shape.features):
                    room[row * pitch + j] = source[j]
        left_too = advance(left, ROWS * pitch)
        ahead = advance(images, (first + 2 * ROWS) * shape.features)
        for block in range(blocks):
            own = advance(weights, block * depths * lefts * TILE)
            for pair in range(0, lefts, 2):
                clear(space)
                for depth in range(depths):
                    if block + pair == 0:
                        # The next images, in the order in which they lie.
                        for line in range(2 * ROWS):
                            at = (depth * 2 * ROWS + line) * ALIGNMENT
                            prefetch_for_later(advance(ahead, at))
                    right = advance(own, (depth * lefts + pair) * TILE)
                    at = depth * DEPTH
                    multiply(
                        space,
                        advance(left, at),
                        advance(left_too, at),
                        pitch,
                        right,
                        advance(right, TILE),
                    )
                take(space, products, advance(products, 2 * ROWS * ROWS))
                for number in range(4):
                    target = (pair + number // 2) * ROWS * ROWS + number % 2 * size
                    source = advance(products, number * ROWS * ROWS)
                    transpose_product(source, advance(sums, target))
            exact.write_outputs(work, block, 0, sums)
            exact.write_outputs(work, block, 1, advance(sums, size))
        for k in range(2 * halves):
            count = min(width, rows - k * width)
            if count > 0:
                units = advance(work.own, k * job.pitch)
                answer(work, units, first + k * width, count, labels, probabilities)
    release()
