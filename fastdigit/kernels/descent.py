"""Mini-batch steps: forward, backward and update of one batch after another, in one compiled call.

All threads go through the same phases and meet after each. What they divide among them are blocks
of units, whose weights, gradients and optimizer's memory then stay in the caches of one thread; or,
where the blocks do not come out even, rows of the batch. Every sum is formed by one thread in one
order, whichever thread that is: so the weights have the same bits at any number of threads.
"""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels import columns
from fastdigit.kernels.barrier import meet
from fastdigit.kernels.batch import (
    ALL,
    Job,
    Layer,
    Pointer,
    Share,
    Work,
    layer_of,
    rows_of,
    rows_of_share,
    share_of,
    shares,
    span_of,
)
from fastdigit.kernels.hidden import activate, apply_slopes, drop_out
from fastdigit.kernels.output import score
from fastdigit.kernels.pixels import BYTE
from fastdigit.kernels.product import DEPTH, multiply
from fastdigit.kernels.simd import add, advance, lanes, load, record, splat, store
from fastdigit.kernels.strips import NARROW_ROWS, WIDE_ROWS
from fastdigit.kernels.update import Rule, update

SMOOTHING = 6
STEPS = 7
"""What a call is told in float64: the first six of `Rule`, the share of label smoothing, and from
here on the rate and the correction of each step. After these come the tallies of `output.score`."""


@njit(inner=True)
def fill_zeros(start: Pointer, elements: int) -> None:
    """Write zeros into whole vectors."""
    for k in range(0, elements, lanes(start)):
        store(start, k, splat(start, 0.0))


@njit(inner=True)
def take_in(work: Work, first_image: int, count: int) -> None:
    """Bring a thread's part of the batch into the form that the first layer reads."""
    job = work.job
    rows = rows_of(work, count, work.thread)
    order = advance(work.numbers, job.order_at + first_image)
    if job.sparse:
        columns.list_entries(
            work.entries,
            advance(work.numbers, job.starts_at),
            order,
            rows.first,
            min(rows.last, count),
            job.columns,
            job.room,
            advance(work.lists, work.thread * job.columns),
            advance(work.lists, job.lists_at + work.thread * job.columns * job.room),
        )
    else:
        for row in range(rows.first, min(rows.last, count)):
            source = advance(work.images, order[row] * job.features)
            target = advance(work.floats, job.inputs_at + row * job.pitch)
            for j in range(job.features):
                target[j] = source[j]


@njit(inner=True)
def forward(work: Work, index: int, share: Share, count: int) -> None:
    """Compute the outputs of a share of a layer."""
    job, floats = work.job, work.floats
    layer = layer_of(work, index)
    rows = rows_of_share(work, share, count)
    z = advance(floats, layer.outputs_at + share.block * job.rows * layer.width)
    own = advance(z, rows.first * layer.width)
    fill_zeros(own, (rows.last - rows.first) * layer.width)
    begin = layer.weights + share.block * layer.rows * layer.width
    weights = advance(floats, job.weights_at + begin)
    if index == 0 and job.sparse:
        for part in range(job.threads):
            if share.part in (ALL, part):
                columns.add_products(
                    advance(work.lists, part * job.columns),
                    advance(work.lists, job.lists_at + part * job.columns * job.room),
                    job.columns,
                    job.room,
                    weights,
                    advance(floats, job.pixels_at),
                    layer.width,
                    z,
                )
    else:
        width = layer.input_width
        for k in range(0, layer.inputs, min(DEPTH, width)):
            at = (k // width * job.rows + rows.first) * width + k % width
            multiply(
                advance(floats, layer.inputs_at + at),
                width,
                1,
                advance(weights, k * layer.width),
                layer.width,
                min(min(DEPTH, width), layer.inputs - k),
                rows.last - rows.first,
                own,
            )
    scale = BYTE if index == 0 and job.bytes else 1.0
    activate(work, layer, share.block, rows, scale, index < job.layers - 1)


@njit(inner=True)
def back(work: Work, index: int, share: Share, count: int) -> None:
    """Compute the deltas of a share of a hidden layer from those of the next layer."""
    job, floats = work.job, work.floats
    layer, later = layer_of(work, index), layer_of(work, index + 1)
    rows = rows_of_share(work, share, count)
    begin = (share.block * job.rows + rows.first) * layer.width
    own = advance(floats, layer.deltas_at + begin)
    fill_zeros(own, (rows.last - rows.first) * layer.width)
    size = later.blocks * later.width * layer.width
    weights = advance(floats, later.transposed_at + share.block * size)
    for block in range(later.blocks):
        multiply(
            advance(floats, later.deltas_at + (block * job.rows + rows.first) * later.width),
            later.width,
            1,
            advance(weights, block * later.width * layer.width),
            layer.width,
            min(later.width, later.outputs - block * later.width),
            rows.last - rows.first,
            own,
        )
    apply_slopes(work, layer, share.block, rows)


@njit(inner=True)
def step_pixels(work: Work, rule: Rule, share: Share, count: int) -> None:
    """Update a share of the first layer's weights, from the lists."""
    job, floats = work.job, work.floats
    layer = layer_of(work, 0)
    gradient = advance(floats, job.scratch_at + work.thread * job.scratch_size)
    deltas = advance(floats, layer.deltas_at + share.block * job.rows * layer.width)
    columns_of_share = span_of(job.used, share.part, job.threads)
    scale = (BYTE if job.bytes else 1.0) / count
    for number in range(columns_of_share.first, columns_of_share.last):
        c = work.numbers[job.used_at + number]
        fill_zeros(gradient, 2 * layer.width)
        for part in range(job.threads):
            columns.add_gradients(
                advance(work.lists, part * job.columns),
                advance(work.lists, job.lists_at + part * job.columns * job.room),
                c,
                job.room,
                advance(floats, job.pixels_at),
                layer.width,
                deltas,
                gradient,
            )
        at = layer.weights + (share.block * layer.rows + 2 * c) * layer.width
        change(work, rule, scale, job.decays != 0, gradient, at, 2 * layer.width)


@njit(inner=True)
def step_weights(work: Work, rule: Rule, index: int, share: Share, count: int) -> None:
    """Update a share of the weights of a layer, a tile at a time."""
    job, floats = work.job, work.floats
    layer = layer_of(work, index)
    gradient = advance(floats, job.scratch_at + work.thread * job.scratch_size)
    deltas = advance(floats, layer.deltas_at + share.block * job.rows * layer.width)
    tall = NARROW_ROWS if layer.width == lanes(floats) else WIDE_ROWS
    width = layer.input_width
    tiles = span_of(-(-layer.inputs // tall), share.part, job.threads)
    scale = (BYTE if index == 0 and job.bytes else 1.0) / count
    for k in range(tiles.first * tall, tiles.last * tall, tall):
        fill_zeros(gradient, tall * layer.width)
        inputs = advance(floats, layer.inputs_at + k // width * job.rows * width + k % width)
        multiply(inputs, 1, width, deltas, layer.width, count, tall, gradient)
        at = layer.weights + (share.block * layer.rows + k) * layer.width
        change(work, rule, scale, job.decays != 0, gradient, at, tall * layer.width)
        if index > 0:
            transpose(work, layer, share.block, k, tall)


@njit(inner=True)
def step_biases(work: Work, rule: Rule, index: int, block: int, count: int) -> None:
    """Update the biases of a block of units."""
    job, floats = work.job, work.floats
    layer = layer_of(work, index)
    gradient = advance(floats, job.scratch_at + work.thread * job.scratch_size)
    deltas = advance(floats, layer.deltas_at + block * job.rows * layer.width)
    for k in range(0, layer.width, lanes(floats)):
        g = splat(floats, 0.0)
        for row in range(count):
            g = add(g, load(deltas, row * layer.width + k))
        store(gradient, k, g)
    at = layer.biases + block * layer.width
    change(work, rule, 1.0 / count, False, gradient, at, layer.width)


@njit(inner=True)
def change(
    work: Work, rule: Rule, scale: float, decays: bool, gradient: Pointer, at: int, elements: int
) -> None:
    """Let the optimizer use up a piece of the gradient."""
    job, floats = work.job, work.floats
    update(
        rule,
        scale,
        decays,
        gradient,
        advance(floats, job.weights_at + at),
        advance(floats, job.memory_at + at),
        advance(floats, job.square_at + at),
        elements // lanes(floats),
    )


@njit(inner=True)
def transpose(work: Work, layer: Layer, block: int, first: int, inputs: int) -> None:
    """Copy the weights of some inputs to where the way back reads them."""
    job, floats = work.job, work.floats
    width = layer.input_width
    at = job.weights_at + layer.weights + block * layer.rows * layer.width
    for k in range(first, first + inputs):
        source = advance(floats, at + k * layer.width)
        begin = (k // width * layer.blocks + block) * layer.width * width + k % width
        target = advance(floats, layer.transposed_at + begin)
        for o in range(layer.width):
            target[o * width] = source[o]


@njit()
def descend(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    entries: Pointer,
    lists: Pointer,
    reals: Pointer,
    arrivals: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Make some steps: a kernel of as many pieces as threads, all of which must run at once.

    Parameters
    ----------
    numbers
        A `batch.Job`, a `batch.Layer` for each layer, and the numbers that they point to.
    floats
        What the job points into, aligned.
    images
        (n, features), if the job is not sparse.
    entries
        See `columns`, if it is.
    lists
        Counts and lists of each thread.
    reals
        float64: see `STEPS`.
    arrivals
        Counter of `barrier.meet`, 0.
    """
    job = record(Job, numbers)
    work = Work(job, numbers, floats, images, entries, lists, piece)
    last = job.layers - 1
    steps = -(-job.images // job.batch)
    tallies = advance(reals, STEPS + 2 * steps)
    for step in range(steps):
        first_image = step * job.batch
        count = min(job.batch, job.images - first_image)
        reals_of_step = advance(reals, STEPS + 2 * step)
        rule = Rule(
            reals[0],
            reals[1],
            reals[2],
            reals[3],
            reals[4],
            reals[5],
            reals_of_step[0],
            reals_of_step[1],
        )
        take_in(work, first_image, count)
        meet(arrivals, job.threads)
        for index in range(job.layers):
            layer = layer_of(work, index)
            if index == last and index > 0:
                break
            for number in range(shares(work, layer.blocks)):
                share = share_of(work, layer.blocks, number)
                forward(work, index, share, count)
                if job.drops and index < last:
                    rows = rows_of_share(work, share, count)
                    drop_out(work, layer, index + 1, share.block, rows, first_image, count)
            meet(arrivals, job.threads)
        layer = layer_of(work, last)
        if last > 0:
            for block in range(layer.blocks):
                forward(work, last, Share(block, piece), count)
        rows = rows_of(work, count, piece)
        score(work, layer, rows, first_image, count, reals[SMOOTHING], tallies)
        meet(arrivals, job.threads)
        for index in range(last - 1, -1, -1):
            blocks = layer_of(work, index).blocks
            for number in range(shares(work, blocks)):
                back(work, index, share_of(work, blocks, number), count)
            if index > 0 or blocks % job.threads:
                meet(arrivals, job.threads)
        layer = layer_of(work, 0)
        for number in range(shares(work, layer.blocks)):
            share = share_of(work, layer.blocks, number)
            if job.sparse:
                step_pixels(work, rule, share, count)
            else:
                step_weights(work, rule, 0, share, count)
            if share.part in (ALL, 0):
                step_biases(work, rule, 0, share.block, count)
        # The other layers' weights were read until here.
        meet(arrivals, job.threads)
        for index in range(1, job.layers):
            layer = layer_of(work, index)
            for number in range(shares(work, layer.blocks)):
                share = share_of(work, layer.blocks, number)
                step_weights(work, rule, index, share, count)
                if share.part in (ALL, 0):
                    step_biases(work, rule, index, share.block, count)
