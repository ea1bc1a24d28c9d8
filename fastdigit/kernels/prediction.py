"""Labels and probabilities, straight from the images: nothing is stored between them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import matrix_unit, njit
from fastdigit.kernels import exact, exact_tiles, exact_words, sweep
from fastdigit.kernels.dense import Pointer, largest_of, softmax
from fastdigit.kernels.exact_memory import ExactMemory
from fastdigit.kernels.groups import SHAPE, choose_pairs
from fastdigit.kernels.layout import LAYER
from fastdigit.kernels.matrix import DEPTH, ROWS, prepare, release
from fastdigit.kernels.parallel import PIECES
from fastdigit.kernels.simd import advance, lanes, store, view
from fastdigit.kernels.sparse import linear_pairs
from fastdigit.kernels.transposition import next_group, restore_rows

way = exact_tiles if matrix_unit() else exact_words
linear_images, sums_of = way.linear_images, way.sums_of


def weights_of(memory: ExactMemory) -> npt.NDArray[np.int8]:
    """Return the digits of the weights as `linear_images` reads them."""
    if matrix_unit():
        return exact_tiles.arranged(memory.left_tiles())
    return memory.turned_weights()


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


@njit(kernel=True)
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


@njit(kernel=True)
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
        What `weights_of` returns.
    room
        (threads, 32 images, depths + 1 + depths + lefts, 64): for the last images, behind which
        there may be no more memory, and for what `exact_words` works in.
    """
    work = exact.work_of(numbers, floats, thread)
    job, shape, depths, lefts = work.job, work.shape, work.digits.depths, work.digits.lefts
    width = lanes(floats)
    halves = ROWS // width
    size = 2 * ROWS * depths * DEPTH
    room = advance(room, thread * 2 * ROWS * (2 * depths + 1 + lefts) * DEPTH)
    lists = view(advance(room, size), np.int32)
    sums = sums_of(work)
    last = shape.groups * (piece + 1) // PIECES
    prepare()
    for g in range(shape.groups * piece // PIECES, last, 2):
        first = g * ROWS
        rows = min(2 * ROWS, min(last * ROWS, shape.images) - first)
        some, pitch = advance(images, first * shape.features), shape.features
        # What is read of an image may end behind it, where weights are 0: a word after as many
        # bytes as fill up rows of 64.
        if (first + 2 * ROWS) * shape.features + 2 * DEPTH > shape.images * shape.features:
            some, pitch = room, depths * DEPTH
            for row in range(rows):
                source = advance(images, (first + row) * shape.features)
                for j in range(shape.features):
                    room[row * pitch + j] = source[j]
        ahead = advance(images, (first + 2 * ROWS) * shape.features)
        for block in range(sweep.layer_of(work, 0).blocks):
            linear_images(work, block, some, pitch, rows, ahead, weights, lists, sums)
            exact.write_outputs(work, block, 0, sums)
            exact.write_outputs(work, block, 1, advance(sums, lefts * ROWS * ROWS))
        for k in range(2 * halves):
            count = min(width, rows - k * width)
            if count > 0:
                units = advance(work.own, k * job.pitch)
                answer(work, units, first + k * width, count, labels, probabilities)
    release()
