"""The fused kernels one by one, on whole arrays: for steps by hand, for tests and benchmarks.

Training runs the same kernels (`dense`, `sparse`) in one pass over the images (`sweep`), without
the arrays in between. Samples are rows, and all arrays of a call have one float type. Each
function names its twin: the reference functions that give the same numbers.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.dense import (
    Pointer,
    add_bias_gradients,
    add_weight_gradients,
    back,
    largest_of,
    linear,
    logits_of,
    softmax,
)
from fastdigit.kernels.groups import SHAPE, shape_of
from fastdigit.kernels.layout import LAYER, aligned
from fastdigit.kernels.memory import Memory
from fastdigit.kernels.parallel import PIECES, available_threads, run
from fastdigit.kernels.parameters import flatten, views
from fastdigit.kernels.simd import advance, lanes, load, store, subtract
from fastdigit.kernels.sweep import JOB, layer_of, work_of
from fastdigit.kernels.transposition import lanes_of, next_group, own_order, restore_rows
from fastdigit.kernels.tree import begin, claim, merge

Floats = npt.NDArray[Any]

TOGETHER = 8
"""Groups in a tile of gradients: the fewer, the more sums of lanes; the more, the less cache."""


def linear_relu(X: Floats, W: Floats, b: Floats, relu: bool = True) -> Floats:
    """Return max(0, X W^T + b), or X W^T + b without ReLU.

    Parameters
    ----------
    X
        (n, inputs)
    W
        (outputs, inputs)
    b
        (outputs,)

    Returns
    -------
    ndarray
        (n, outputs). Twin: ``relu(linear(X, W, b))``.
    """
    _check(X=(X, (len(X), W.shape[-1])), W=(W, (len(W), W.shape[-1])), b=(b, (len(W),)))
    memory = _memory(X, *_second_layer(W, b))
    out = np.empty((len(X), len(W)), W.dtype)
    _run(_linear_relu, memory, relu, X, out)
    return out


def softmax_cross_entropy(
    Z: Floats, labels: npt.NDArray[np.uint8]
) -> tuple[Floats, Floats, npt.NDArray[np.uint8]]:
    """Return the softmax of each row of logits, its loss, and the class of its largest logit.

    Parameters
    ----------
    Z
        (n, outputs)
    labels
        (n,)

    Returns
    -------
    tuple
        (n, outputs), (n,) in nats, and (n,). Twin: ``softmax(Z)``, ``cross_entropy(Z, labels)``
        and ``Z.argmax(axis=1)``.
    """
    outputs = Z.shape[1]
    _check(Z=(Z, (len(Z), outputs)), labels=(labels, (len(Z),)))
    if len(labels) and labels.max() >= outputs:
        raise ValueError(f"label {labels.max()}, but there are {outputs} columns of logits")
    memory = _memory(Z, (1, outputs), np.zeros(2 * outputs, Z.dtype))
    expected = aligned(len(Z) + -len(Z) % lanes_of(Z.dtype), Z.dtype)
    expected[: len(Z)] = labels
    A = np.empty(Z.shape, Z.dtype)
    losses = np.empty(len(Z), Z.dtype)
    classes = np.empty(len(Z), np.uint8)
    _run(_softmax, memory, False, Z, expected, A, losses, classes)
    return A, losses, classes


def layer_gradients(dZ: Floats, A: Floats, W: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what one layer does on the way back: the gradients of W and b, and dZ of its input.

    Parameters
    ----------
    dZ
        (n, outputs): the gradient of the summed loss with respect to the layer's Z.
    A
        (n, inputs): what went into the layer, which came out of ReLU.
    W
        (outputs, inputs)

    Returns
    -------
    tuple
        dW (outputs, inputs) and db (outputs,), divided by n, and (n, inputs). Twin:
        ``weight_gradient(dZ, A)``, ``bias_gradient(dZ)`` and ``hidden_delta(dZ, W, Z)`` where
        A = ReLU(Z).
    """
    outputs, inputs = W.shape
    _check(dZ=(dZ, (len(dZ), outputs)), A=(A, (len(dZ), inputs)), W=(W, (outputs, inputs)))
    sizes, parameters = _second_layer(W, np.zeros(outputs, W.dtype))
    memory = _memory(A, sizes, parameters, groups=TOGETHER, gradients=True)
    below = np.empty(A.shape, W.dtype)
    begin(memory.tree)
    _run(_layer_gradients, memory, True, A, dZ, below, memory.tree)
    dWs, dbs = views(memory.gradient(), sizes)
    return dWs[1], dbs[1], below


def _check(**arrays: tuple[Floats, tuple[int, ...]]) -> None:
    """Raise ValueError unless arrays have the shapes beside them, and one float type."""
    dtypes = {array.dtype for array, _ in arrays.values() if array.dtype.kind == "f"}
    found = ", ".join(f"{name} {array.shape}" for name, (array, _) in arrays.items())
    if any(array.shape != shape for array, shape in arrays.values()):
        expected = ", ".join(f"{name} {shape}" for name, (_, shape) in arrays.items())
        raise ValueError(f"shapes do not fit: {found}; expected {expected}")
    if len(dtypes) != 1 or not dtypes <= {np.dtype("f4"), np.dtype("f8")}:
        raise ValueError(f"arrays of {sorted(map(str, dtypes))}; expected float32 or float64, all")


def _second_layer(W: Floats, b: Floats) -> tuple[tuple[int, ...], Floats]:
    """Return a network, whose second layer it is: so its inputs are units, as between layers."""
    outputs, inputs = W.shape
    nothing = np.zeros((inputs, 1), W.dtype)
    return (1, inputs, outputs), flatten([nothing, W], [nothing[:, 0], b])


def _memory(
    images: Floats,
    sizes: tuple[int, ...],
    parameters: Floats,
    groups: int = 1,
    gradients: bool = False,
) -> Memory:
    shape = shape_of(images, images.dtype, every=True)
    memory = Memory(sizes, images.dtype, shape, 1.0, groups, gradients)
    memory.load(parameters)
    return memory


def _run(kernel: Any, memory: Memory, flag: bool, *arrays: Floats) -> None:
    order = own_order(memory.count, memory.floats.dtype)
    numbers = np.concatenate([memory.numbers(flag), order])
    given = [np.ascontiguousarray(array) for array in arrays]
    run(kernel, [numbers, memory.floats, *given], PIECES, available_threads())


@njit(kernel=True)
def _linear_relu(
    numbers: Any,
    floats: Pointer,
    X: Pointer,
    out: Pointer,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    work = work_of(numbers, floats)
    shape, layer = work.shape, layer_of(work, 1)
    in_order = advance(numbers, JOB + SHAPE + work.job.layers * LAYER)
    inputs = advance(floats, work.job.scratch + thread * work.job.scratch_size)
    outputs = advance(inputs, layer.activations)
    for g in range(shape.groups * piece // PIECES, shape.groups * (piece + 1) // PIECES):
        rows = next_group(X, shape.images, shape.features, g, in_order, floats, inputs)
        linear(
            inputs,
            layer.inputs,
            advance(floats, work.job.blocked + layer.weights),
            layer.rows,
            advance(floats, work.job.blocked + layer.biases),
            layer.blocks,
            work.job.learning != 0,
            outputs,
        )
        first = advance(out, g * lanes(floats) * layer.outputs)
        restore_rows(outputs, layer.outputs, rows, first)


@njit(kernel=True)
def _softmax(
    numbers: Any,
    floats: Pointer,
    Z: Pointer,
    labels: Pointer,
    A: Pointer,
    losses: Pointer,
    classes: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Write probabilities, losses and the classes of the largest logits."""
    work = work_of(numbers, floats)
    shape = work.shape
    width = lanes(floats)
    in_order = advance(numbers, JOB + SHAPE + work.job.layers * LAYER)
    logits = advance(floats, work.job.scratch + thread * work.job.scratch_size)
    for g in range(shape.groups * piece // PIECES, shape.groups * (piece + 1) // PIECES):
        rows = next_group(Z, shape.images, shape.features, g, in_order, floats, logits)
        expected = load(labels, g * width)
        target = logits_of(expected, logits, shape.features)
        winner, largest = largest_of(logits, shape.features)
        normaliser = softmax(logits, shape.features, largest)
        restore_rows(logits, shape.features, rows, advance(A, g * width * shape.features))
        store(logits, 0, winner)
        store(logits, width, subtract(normaliser, target))
        for lane in range(rows):
            classes[g * width + lane] = logits[lane]
            losses[g * width + lane] = logits[width + lane]


@njit(kernel=True)
def _layer_gradients(
    numbers: Any,
    floats: Pointer,
    A: Pointer,
    dZ: Pointer,
    below: Pointer,
    tree: Pointer,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    work = work_of(numbers, floats)
    job, shape = work.job, work.shape
    layer, before = layer_of(work, 1), layer_of(work, 0)
    in_order = advance(numbers, JOB + SHAPE + job.layers * LAYER)
    units = advance(floats, job.scratch + thread * job.scratch_size)
    earlier = advance(units, job.deltas)
    gradients = advance(floats, job.gradients)
    buffer = claim(tree, gradients, job.gradient_size, PIECES, thread)
    gradient = advance(gradients, buffer * job.gradient_size)
    last = shape.groups * (piece + 1) // PIECES
    for first in range(shape.groups * piece // PIECES, last, TOGETHER):
        groups = min(TOGETHER, last - first)
        for k in range(groups):
            inputs = advance(units, k * job.pitch)
            deltas = advance(inputs, layer.activations)
            n, g = shape.images, first + k
            rows = next_group(A, n, layer.inputs, g, in_order, floats, inputs)
            next_group(dZ, n, layer.outputs, g, in_order, floats, deltas)
            # Lanes that only fill up the last group do not count.
            for o in range(layer.outputs):
                for lane in range(rows, lanes(floats)):
                    deltas[o * lanes(floats) + lane] = 0
            back(
                deltas,
                layer.outputs,
                advance(floats, job.transposed + layer.transposed),
                before.blocks,
                inputs,
                earlier,
            )
            target = advance(below, g * lanes(floats) * layer.inputs)
            restore_rows(earlier, layer.inputs, rows, target)
        deltas = advance(units, layer.activations)
        biases = advance(gradient, layer.biases)
        add_bias_gradients(deltas, layer.blocks, groups, job.pitch, biases)
        add_weight_gradients(
            units,
            layer.inputs,
            deltas,
            layer.rows,
            layer.blocks,
            groups,
            job.pitch,
            advance(gradient, layer.weights),
        )
    merge(tree, gradients, job.gradient_size, PIECES, piece, buffer)
