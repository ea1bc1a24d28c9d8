"""The last layer of a mini-batch: softmax, loss, right answers, and where the way back begins."""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels.batch import (
    SMOOTHING,
    STEPS,
    Layer,
    Pointer,
    Span,
    Work,
    layer_of,
    rows_of,
    work_of,
)
from fastdigit.kernels.dense import largest_of, logits_of, softmax
from fastdigit.kernels.simd import (
    add,
    advance,
    equal,
    greater,
    lanes,
    load,
    multiply,
    select,
    splat,
    store,
    subtract,
    total,
)


@njit(kernel=True)
def score(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    words: Pointer,
    lists: Pointer,
    reals: Pointer,
    arrivals: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Turn a thread's rows of logits into deltas, and tally their losses and right answers.

    The tallies are the last of `reals`, two for each group of rows: so sums have one order.
    """
    work = work_of(numbers, floats, images, words, lists, reals, piece, thread)
    layer = layer_of(work, work.number)
    rows = rows_of(work, thread)
    if work.number > 0:
        combine(work, layer, rows)
    smoothing = reals[SMOOTHING]
    tallies = advance(reals, STEPS + 2 * -(-work.job.images // work.job.batch))
    job, classes = work.job, work.job.classes
    width = lanes(work.floats)
    # Images lie side by side in the lanes here, as in the full-batch kernels.
    logits = advance(work.floats, job.scratch_at + thread * job.scratch_size)
    labels = advance(logits, classes * width)
    zero, one = splat(logits, 0.0), splat(logits, 1.0)
    spread = splat(logits, smoothing / classes)
    hit = splat(logits, 1.0 - smoothing + smoothing / classes)
    for first in range(rows.first, rows.last, width):
        for i in range(width):
            row = first + i
            place = job.labels_at + work.first_image + row
            labels[i] = work.numbers[place] if row < work.filled else -1
        for o in range(classes):
            column = advance(work.floats, _place(work, layer, layer.outputs_at, first, o))
            for i in range(width):
                logits[o * width + i] = column[i * layer.width]
        expected = load(labels, 0)
        counts = greater(expected, splat(logits, -1.0))
        target = logits_of(expected, logits, classes)
        all_logits = zero
        for o in range(classes):
            all_logits = add(all_logits, load(logits, o * width))
        winner, largest = largest_of(logits, classes)
        normaliser = softmax(logits, classes, largest)
        loss = subtract(normaliser, target)
        if smoothing > 0:
            mean = multiply(all_logits, splat(logits, 1.0 / classes))
            smooth = subtract(normaliser, mean)
            share = splat(logits, smoothing)
            loss = add(multiply(subtract(one, share), loss), multiply(share, smooth))
        group = advance(tallies, 2 * (first // width))
        group[0] += total(select(counts, loss, zero))
        group[1] += total(select(equal(winner, expected), one, zero))
        for o in range(classes):
            y = select(equal(expected, splat(logits, o)), hit, spread)
            delta = subtract(load(logits, o * width), y)
            store(logits, o * width, select(counts, delta, zero))
        for o in range(classes):
            column = advance(work.floats, _place(work, layer, layer.deltas_at, first, o))
            for i in range(width):
                column[i * layer.width] = logits[o * width + i]


@njit(inner=True)
def combine(work: Work, layer: Layer, rows: Span) -> None:
    """Add up the sums over all blocks of inputs, and the biases."""
    job, floats = work.job, work.floats
    partial = layer.blocks * job.rows * layer.width
    for block in range(layer.blocks):
        biases = advance(floats, job.weights_at + layer.biases + block * layer.width)
        begin = layer.outputs_at + block * job.rows * layer.width
        for row in range(rows.first, rows.last):
            z = advance(floats, begin + row * layer.width)
            for k in range(0, layer.width, lanes(z)):
                sums = load(z, k)
                for inputs in range(1, layer.rows // layer.input_width):
                    sums = add(sums, load(z, inputs * partial + k))
                store(z, k, add(sums, load(biases, k)))


@njit(inner=True)
def _place(work: Work, layer: Layer, begin: int, row: int, unit: int) -> int:
    """Return where the number of a unit in a row of the batch lies."""
    block = unit // layer.width
    return begin + (block * work.job.rows + row) * layer.width + unit % layer.width
