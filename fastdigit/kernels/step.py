"""The update of mini-batches: gradients that are used up as soon as they are summed."""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels import columns
from fastdigit.kernels.batch import (
    ALL,
    STEPS,
    Layer,
    Pointer,
    Share,
    Span,
    Work,
    fill_zeros,
    layer_of,
    share_of,
    shares,
    span_of,
    work_of,
)
from fastdigit.kernels.pixels import BYTE
from fastdigit.kernels.product import multiply
from fastdigit.kernels.simd import add, advance, lanes, load, splat, store
from fastdigit.kernels.strips import NARROW_ROWS, QUAD, WIDE_ROWS
from fastdigit.kernels.update import Rule, update


@njit(inner=True)
def step_pixels(work: Work, rule: Rule, share: Share) -> None:
    """Update a share of the first layer's weights, from the lists."""
    job, floats = work.job, work.floats
    layer = layer_of(work, work.number)
    gradient = advance(floats, job.scratch_at + work.thread * job.scratch_size)
    deltas = advance(floats, layer.deltas_at + share.block * job.rows * layer.width)
    first_list = work.thread if share.part == ALL else 0
    last_list = first_list + 1 if share.part == ALL else job.threads
    columns_of_share = span_of(job.used, share.part, job.threads)
    scale = (BYTE if job.bytes else 1.0) / work.filled
    for number in range(columns_of_share.first, columns_of_share.last):
        c = work.numbers[job.used_at + number]
        fill_zeros(gradient, QUAD * layer.width)
        # The lists of the rows that the thread has gone through, or of all rows.
        for lister in range(first_list, last_list):
            columns.add_gradients(
                advance(work.lists, lister * job.columns),
                advance(work.lists, job.lists_at + lister * job.columns * job.room),
                c,
                job.room,
                advance(floats, job.pixels_at),
                layer.width,
                deltas,
                gradient,
            )
        at = layer.weights + (share.block * layer.rows + QUAD * c) * layer.width
        change(work, rule, scale, job.decays != 0, gradient, at, QUAD * layer.width)


@njit(inner=True)
def step_weights(work: Work, rule: Rule, block: int, inputs: Span) -> None:
    """Update the weights of some inputs of a block of units, a tile at a time."""
    job, floats = work.job, work.floats
    layer = layer_of(work, work.number)
    gradient = advance(floats, job.scratch_at + work.thread * job.scratch_size)
    deltas = advance(floats, layer.deltas_at + block * job.rows * layer.width)
    tall = rows_of_tile(work, layer)
    width = layer.input_width
    scale = (BYTE if work.number == 0 and job.bytes else 1.0) / work.filled
    for k in range(inputs.first, inputs.last, tall):
        fill_zeros(gradient, tall * layer.width)
        source = advance(floats, layer.inputs_at + k // width * job.rows * width + k % width)
        multiply(source, 1, width, deltas, layer.width, work.filled, tall, gradient)
        at = layer.weights + (block * layer.rows + k) * layer.width
        change(work, rule, scale, job.decays != 0, gradient, at, tall * layer.width)
        if work.number > 0:
            transpose(work, layer, block, k, tall)


@njit(inner=True)
def rows_of_tile(work: Work, layer: Layer) -> int:
    """Return how many inputs a tile of a layer's weights has."""
    return NARROW_ROWS if layer.width == lanes(work.floats) else WIDE_ROWS


@njit(inner=True)
def inputs_of(work: Work, layer: Layer, first: int, last: int, part: int) -> Span:
    """Return a part of some of the inputs of a layer, or all of these; whole tiles."""
    tall = rows_of_tile(work, layer)
    tiles = span_of(-(-(min(last, layer.inputs) - first) // tall), part, work.job.threads)
    return Span(first + tiles.first * tall, first + tiles.last * tall)


@njit(inner=True)
def step_biases(work: Work, rule: Rule, block: int) -> None:
    """Update the biases of a block of units."""
    job, floats = work.job, work.floats
    layer = layer_of(work, work.number)
    gradient = advance(floats, job.scratch_at + work.thread * job.scratch_size)
    deltas = advance(floats, layer.deltas_at + block * job.rows * layer.width)
    for k in range(0, layer.width, lanes(floats)):
        g = splat(floats, 0.0)
        for row in range(work.filled):
            g = add(g, load(deltas, row * layer.width + k))
        store(gradient, k, g)
    at = layer.biases + block * layer.width
    change(work, rule, 1.0 / work.filled, False, gradient, at, layer.width)


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


@njit(kernel=True)
def step(
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
    """Update a thread's share of the parameters of a layer."""
    work = work_of(numbers, floats, images, words, lists, reals, piece, thread)
    rates = advance(reals, STEPS + 2 * work.step)
    rule = Rule(reals[0], reals[1], reals[2], reals[3], reals[4], reals[5], rates[0], rates[1])
    layer = layer_of(work, work.number)
    if work.number > 0 and work.number == work.job.layers - 1:
        # Each thread keeps the weights of the units that it has computed.
        hidden = layer_of(work, work.number - 1)
        for number in range(shares(work, hidden)):
            share = share_of(work, hidden, number)
            first = share.block * hidden.width
            inputs = inputs_of(work, layer, first, first + hidden.width, share.part)
            for block in range(layer.blocks):
                step_weights(work, rule, block, inputs)
                if share.block == 0 and share.part in (ALL, 0):
                    step_biases(work, rule, block)
        return
    # Back from the last block: its weights were read last, and those of the first are needed next.
    for number in range(shares(work, layer) - 1, -1, -1):
        share = share_of(work, layer, number)
        if work.number == 0 and work.job.sparse:
            step_pixels(work, rule, share)
        else:
            inputs = inputs_of(work, layer, 0, layer.inputs, share.part)
            step_weights(work, rule, share.block, inputs)
        if share.part in (ALL, 0):
            step_biases(work, rule, share.block)
