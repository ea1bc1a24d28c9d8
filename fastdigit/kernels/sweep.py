"""One pass over all images: forward, loss and accuracy, and, while learning, backward.

The images are cut into pieces, 64 at most, wherever and by however many threads they are worked on.
Each piece adds up its own loss and gradient, tile by tile and group by group, and the pieces are
combined in a fixed tree: so every sum has one order, and the result the same bits at any number of
threads.
"""

from typing import Any, NamedTuple

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.activation import RELU
from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.dense import (
    Pointer,
    activate,
    add_bias_gradients,
    add_weight_gradients,
    apply_slopes,
    back,
    largest_of,
    linear,
    logits_of,
    softmax,
    subtract_one_hot,
)
from fastdigit.kernels.groups import SHAPE, Shape, tile_of
from fastdigit.kernels.layout import LAYER, Layer
from fastdigit.kernels.simd import (
    advance,
    equal,
    greater,
    lanes,
    load,
    record,
    select,
    splat,
    subtract,
    total,
)
from fastdigit.kernels.sparse import Units, add_weight_gradients_sparse, linear_sparse
from fastdigit.kernels.tree import claim, merge


class Job(NamedTuple):
    """What a pass works on: sizes, and offsets into one array of floats."""

    layers: int
    outputs: int
    learning: int
    """Whether to compute the gradient; for predictions, whether to write probabilities."""
    activation: int
    """Of the hidden layers: its place in `activation.ACTIVATIONS`."""
    scale: int
    """Offset of what pixels are multiplied by: 1 / 255 for bytes (see `exact`). It is applied to
    the sums of the first layer, and left out of the gradient of its weights."""
    blocked: int
    """Offset of the parameters in blocks; see `layout`."""
    transposed: int
    """Offset of the weights in blocks for the way back."""
    scratch: int
    """Offset of the activations and deltas of a tile, for each thread."""
    scratch_size: int
    """Elements between those of two threads."""
    deltas: int
    """Offset of the deltas in them."""
    pitch: int
    """Elements that the activations of a group take."""
    gradients: int
    """Offset of the gradients of the pieces; see `tree`."""
    gradient_size: int


JOB = len(Job._fields)
AT_ONCE = 8
"""Groups that take each step together."""


class Work(NamedTuple):
    """Everything about a pass that does not change from tile to tile."""

    job: Job
    shape: Shape
    layers: Pointer
    floats: Pointer


@njit(inner=True)
def work_of(numbers: Pointer, floats: Pointer) -> Work:
    """Return what an array of numbers says: a `Job`, a `Shape`, and a `Layer` for each layer."""
    layers = advance(numbers, JOB + SHAPE)
    return Work(record(Job, numbers), record(Shape, advance(numbers, JOB)), layers, floats)


AnyWork = Any
"""A `Work` of this module, or of `exact`."""


@njit(inner=True)
def layer_of(work: AnyWork, index: int) -> Layer:
    """Return a layer of the network."""
    return record(Layer, advance(work.layers, index * LAYER))


@njit(inner=True)
def units_of(work: Work, block: int, activations: Pointer) -> Units:
    """Return ten units of the first layer."""
    layer = layer_of(work, 0)
    weights = work.job.blocked + layer.weights + block * layer.rows * UNITS
    return Units(
        advance(work.floats, weights),
        advance(work.floats, work.job.blocked + layer.biases + block * UNITS),
        advance(activations, block * UNITS * lanes(work.floats)),
        work.floats[work.job.scale],
        work.job.activation == RELU and work.job.layers > 1,
    )


@njit(inner=True, inlined=True)
def other_layers(work: AnyWork, activations: Pointer) -> Pointer:
    """Pass a group on from the first layer's outputs to the logits, and return where they are."""
    outputs = activations
    for index in range(1, work.job.layers):
        layer = layer_of(work, index)
        inputs = outputs
        activate(work.job.activation, inputs, layer.inputs)
        outputs = advance(activations, layer.activations)
        linear(
            inputs,
            layer.inputs,
            advance(work.floats, work.job.blocked + layer.weights),
            layer.rows,
            advance(work.floats, work.job.blocked + layer.biases),
            layer.blocks,
            work.job.activation == RELU and index < work.job.layers - 1,
            outputs,
        )
    return outputs


@njit(inner=True, inlined=True)
def deltas_of(work: AnyWork, activations: Pointer, deltas: Pointer) -> None:
    """Take the deltas of a group's logits back to those of the first layer."""
    for index in range(work.job.layers - 1, 0, -1):
        layer = layer_of(work, index)
        below = layer_of(work, index - 1)
        inputs = advance(activations, below.activations)
        earlier = advance(deltas, below.activations)
        back(
            advance(deltas, layer.activations),
            layer.outputs,
            advance(work.floats, work.job.transposed + layer.transposed),
            below.blocks,
            inputs,
            earlier,
            work.job.activation == RELU,
        )
        apply_slopes(work.job.activation, inputs, earlier, layer.inputs)


@njit(inner=True)
def pass_through(
    work: AnyWork, labels: Pointer, groups: int, activations: Pointer, deltas: Pointer
) -> tuple[float, float]:
    """Take a tile from the first layer's outputs to the loss, and, while learning, back to deltas.

    Each step is taken for some groups before the next one: within a group, each waits for the one
    before, and the processor only looks some hundred instructions ahead for what need not wait.

    Parameters
    ----------
    labels
        Of the tile.
    groups
        How many vectors of images the tile has.

    Returns
    -------
    tuple
        The loss and the number of right answers, each added up.
    """
    job, width = work.job, lanes(work.floats)
    last_layer = layer_of(work, job.layers - 1).activations
    zero = splat(work.floats, 0.0)
    one = splat(work.floats, 1.0)
    minus_one = splat(work.floats, -1.0)
    loss = 0.0
    correct = 0.0
    for first in range(0, groups, AT_ONCE):
        last = min(first + AT_ONCE, groups)
        for g in range(first, last):
            other_layers(work, advance(activations, g * job.pitch))
        for g in range(first, last):
            logits = advance(activations, g * job.pitch + last_layer)
            expected = load(labels, g * width)
            counts = greater(expected, minus_one)
            target = logits_of(expected, logits, job.outputs)
            winner, largest = largest_of(logits, job.outputs)
            normaliser = softmax(logits, job.outputs, largest)
            loss += total(select(counts, subtract(normaliser, target), zero))
            correct += total(select(equal(winner, expected), one, zero))
            if job.learning:
                back_from = advance(deltas, g * job.pitch + last_layer)
                subtract_one_hot(expected, logits, job.outputs, back_from)
        if job.learning:
            for g in range(first, last):
                at = g * job.pitch
                deltas_of(work, advance(activations, at), advance(deltas, at))
    return loss, correct


@njit(inner=True)
def add_gradients(
    work: AnyWork, groups: int, activations: Pointer, deltas: Pointer, gradient: Pointer
) -> None:
    """Add what a tile has to the gradient of all layers but the first."""
    pitch = work.job.pitch
    for i in range(1, work.job.layers):
        layer = layer_of(work, i)
        d = advance(deltas, layer.activations)
        add_bias_gradients(d, layer.blocks, groups, pitch, advance(gradient, layer.biases))
        inputs = advance(activations, layer_of(work, i - 1).activations)
        weights = advance(gradient, layer.weights)
        add_weight_gradients(
            inputs, layer.inputs, d, layer.rows, layer.blocks, groups, pitch, weights
        )


@njit(kernel=True)
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
    """Pass one piece of the images through: a kernel of `Shape.pieces`.

    Parameters
    ----------
    numbers
        See `work_of`.
    floats
        The array that the job points into, aligned.
    blocks, index
        The images; see `groups.Groups`.
    labels
        (groups * lanes,) floats; those of images that do not count are negative.
    results
        (pieces, 2) float64: receives the loss and the number of right answers of the piece.
    tree
        See `tree`.
    """
    work = work_of(numbers, floats)
    job = work.job
    width = lanes(floats)
    activations = advance(floats, job.scratch + thread * job.scratch_size)
    deltas = advance(activations, job.deltas)
    gradients = advance(floats, job.gradients)
    pieces = work.shape.pieces
    buffer = claim(tree, gradients, job.gradient_size, pieces, thread) if job.learning else 0
    gradient = advance(gradients, buffer * job.gradient_size)
    first = layer_of(work, 0)
    loss = 0.0
    correct = 0.0
    for number in range(work.shape.tiles):
        tile = tile_of(work.shape, piece, number)
        groups = tile.last - tile.first
        for block in range(first.blocks):
            for g in range(groups):
                begin = np.int64(index[tile.first + g])
                linear_sparse(
                    advance(blocks, begin * work.shape.block),
                    advance(index, work.shape.columns + begin),
                    np.int64(index[tile.first + g + 1]) - begin,
                    units_of(work, block, advance(activations, g * job.pitch)),
                )
        own_labels = advance(labels, tile.first * width)
        found = pass_through(work, own_labels, groups, activations, deltas)
        loss += found[0]
        correct += found[1]
        if job.learning:
            add_gradients(work, groups, activations, deltas, gradient)
            biases = advance(gradient, first.biases)
            add_bias_gradients(deltas, first.blocks, groups, job.pitch, biases)
            for block in range(first.blocks):
                add_weight_gradients_sparse(
                    work.shape,
                    tile,
                    blocks,
                    index,
                    advance(deltas, block * UNITS * width),
                    job.pitch,
                    advance(gradient, first.weights + block * first.rows * UNITS),
                )
    results[2 * piece] = loss
    results[2 * piece + 1] = correct
    if job.learning:
        merge(tree, gradients, job.gradient_size, pieces, piece, buffer)
