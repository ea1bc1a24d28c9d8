"""Labels and probabilities, straight from the images: nothing is stored between them."""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels.dense import Pointer, largest_of, softmax
from fastdigit.kernels.groups import SHAPE, choose_words
from fastdigit.kernels.layout import LAYER
from fastdigit.kernels.parallel import PIECES
from fastdigit.kernels.simd import advance, lanes, store
from fastdigit.kernels.sparse import linear_words
from fastdigit.kernels.sweep import JOB, layer_of, other_layers, units_of, work_of
from fastdigit.kernels.transposition import next_group, restore_rows


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
    """Write the labels (n,) of a piece of the images: a kernel of 64 pieces.

    While `learning`, write their probabilities (n, outputs) as well. Behind what `work_of` reads,
    the numbers have the order of the images of a group, and then that of the last one's.
    """
    work = work_of(numbers, floats)
    job, shape = work.job, work.shape
    width = lanes(floats)
    in_order = advance(numbers, JOB + SHAPE + job.layers * LAYER)
    units = advance(floats, job.scratch + thread * job.scratch_size)
    found = advance(units, job.scratch_size // 2)
    group = advance(group, thread * shape.room)
    chosen = advance(chosen, thread * shape.pairs)
    for g in range(shape.groups * piece // PIECES, shape.groups * (piece + 1) // PIECES):
        rows = next_group(images, shape.images, shape.features, g, in_order, floats, group)
        count = choose_words(shape, group, floats, chosen)
        for block in range(layer_of(work, 0).blocks):
            linear_words(group, chosen, count, units_of(work, block, units))
        logits = other_layers(work, units)
        winner, largest = largest_of(logits, job.outputs)
        store(found, 0, winner)
        for lane in range(rows):
            labels[g * width + lane] = found[lane]
        if job.learning:
            softmax(logits, job.outputs, largest)
            restore_rows(
                logits,
                job.outputs,
                rows,
                advance(probabilities, g * width * job.outputs),
            )
