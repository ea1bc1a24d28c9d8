"""The fused kernels one by one, on whole arrays: for steps by hand, for tests and benchmarks.

Training runs the same tile kernels (`dense`) in one pass over the images (`sweep`), without the
arrays in between. Samples are rows, and all arrays of a call have one float type. Each function
names its twin: the reference functions that give the same numbers.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.dense import Pointer, Rows, add_gradients, keep_active, linear, read, softmax
from fastdigit.kernels.layout import Layer, aligned, pack, plan, unpack
from fastdigit.kernels.parallel import PIECES, available_threads, run
from fastdigit.kernels.parameters import count, flatten, views
from fastdigit.kernels.simd import LANES, advance, record, splat, store
from fastdigit.kernels.sweep import TILE, add_pieces

Floats = npt.NDArray[Any]


class Step(NamedTuple):
    """The sizes of one layer's step, and offsets into one array of floats."""

    samples: int
    inputs: int
    outputs: int
    relu: int
    weights: int
    """Offset of the weights in blocks, biases behind them; of their gradients, on the way back."""
    transposed: int
    """Offset of the weights in blocks for the way back, zeros for biases behind them."""
    gradient_size: int
    scratch: int
    scratch_size: int


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
    step, floats = _step(len(X), W, b, relu=relu)
    out = np.empty((len(X), len(W)), W.dtype)
    _run(_linear_relu, step, floats, X, out)
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
    step, floats = _step(len(Z), np.zeros((outputs, 1), Z.dtype), np.zeros(outputs, Z.dtype))
    # Logits and labels are replaced in place.
    A = np.array(Z, order="C")
    winners = np.array(labels, np.uint8)
    losses = np.empty(len(Z), Z.dtype)
    _run(_softmax, step, floats, A, losses, winners)
    return A, losses, winners


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
    step, floats = _step(len(dZ), W, np.zeros(outputs, W.dtype))
    below = np.empty(A.shape, W.dtype)
    _run(_layer_gradients, step, floats, dZ, A, below)
    run(_combine, [np.array(step, np.int64), floats], PIECES, available_threads())
    sizes = (1, inputs, outputs)
    flat = np.empty(count(sizes), W.dtype)
    layout, _ = plan(sizes, TILE)
    first = step.weights - Layer(*layout[1]).weights
    unpack(floats[first:], layout, 1.0, 1 / len(dZ), flat)
    dWs, dbs = views(flat, sizes)
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


def _step(samples: int, W: Floats, b: Floats, relu: bool = False) -> tuple[Step, Floats]:
    """Return a step with the weights packed and with room for each thread and piece."""
    outputs, inputs = W.shape
    # The way back begins at a second layer, so one of a single input goes before.
    layout, extents = plan((1, inputs, outputs), TILE)
    layer = Layer(*(int(field) for field in layout[1]))
    in_pitch, out_pitch = (-(-units // LANES) * LANES for units in (inputs, outputs))
    size = out_pitch * (inputs + 1)
    scratch_size = TILE * (2 * in_pitch + out_pitch + 2)
    scratch = extents.blocked + size * PIECES + extents.transposed + in_pitch
    transposed = extents.blocked + size * PIECES
    floats = aligned(scratch + scratch_size * available_threads(), W.dtype)
    nothing = np.zeros((inputs, 1), W.dtype)
    parameters = flatten([nothing, W], [nothing[:, 0], b])
    pack(parameters, layout, floats, floats[transposed:])
    step = Step(
        samples,
        inputs,
        outputs,
        relu,
        layer.weights,
        transposed + layer.transposed,
        size,
        scratch,
        scratch_size,
    )
    return step, floats


def _run(kernel: Any, step: Step, floats: Floats, *arrays: Floats) -> None:
    words = np.array(step, np.int64)
    given = [np.ascontiguousarray(array) for array in arrays]
    run(kernel, [words, floats, *given], PIECES, available_threads())


@njit(inner=True)
def _spread(source: Pointer, width: int, target: Rows, rows: int) -> None:
    for row in range(rows):
        for j in range(width):
            target.start[row * target.pitch + j] = source[row * width + j]


@njit(inner=True)
def _collect(source: Rows, target: Pointer, width: int, rows: int) -> None:
    for row in range(rows):
        for j in range(width):
            target[row * width + j] = source.start[row * source.pitch + j]


@njit()
def _linear_relu(
    words: Any,
    floats: Pointer,
    X: Pointer,
    out: Pointer,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    step = record(Step, words)
    pixels = advance(floats, step.scratch + thread * step.scratch_size)
    units = Rows(
        advance(pixels, TILE * ((step.inputs + LANES - 1) // LANES * LANES)),
        (step.outputs + LANES - 1) // LANES * LANES,
    )
    weights = advance(floats, step.weights)
    biases = advance(weights, units.pitch * step.inputs)
    last = step.samples * (piece + 1) // PIECES
    for start in range(step.samples * piece // PIECES, last, TILE):
        rows = min(TILE, last - start)
        read(advance(X, start * step.inputs), rows * step.inputs, pixels)
        tile = Rows(pixels, step.inputs)
        linear(tile, step.inputs, weights, biases, 1.0, step.relu != 0, units, rows)
        _collect(units, advance(out, start * step.outputs), step.outputs, rows)


@njit()
def _softmax(
    words: Any,
    floats: Pointer,
    A: Pointer,
    losses: Pointer,
    winners: Pointer,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Replace logits by probabilities, and labels by the classes of the largest logits."""
    step = record(Step, words)
    pitch = (step.outputs + LANES - 1) // LANES * LANES
    units = Rows(advance(floats, step.scratch + thread * step.scratch_size), pitch)
    found = advance(units.start, TILE * pitch)
    normalisers = advance(found, TILE)
    last = step.samples * (piece + 1) // PIECES
    for start in range(step.samples * piece // PIECES, last, TILE):
        rows = min(TILE, last - start)
        logits = advance(A, start * step.outputs)
        _spread(logits, step.outputs, units, rows)
        softmax(units, step.outputs, rows, found, normalisers)
        for row in range(rows):
            label = winners[start + row]
            losses[start + row] = normalisers[row] - logits[row * step.outputs + label]
            winners[start + row] = found[row]
        _collect(units, logits, step.outputs, rows)


@njit()
def _layer_gradients(
    words: Any,
    floats: Pointer,
    dZ: Pointer,
    A: Pointer,
    below: Pointer,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    step = record(Step, words)
    in_pitch = (step.inputs + LANES - 1) // LANES * LANES
    out_pitch = (step.outputs + LANES - 1) // LANES * LANES
    activations = Rows(advance(floats, step.scratch + thread * step.scratch_size), in_pitch)
    earlier = Rows(advance(activations.start, TILE * in_pitch), in_pitch)
    deltas = Rows(advance(earlier.start, TILE * in_pitch), out_pitch)
    transposed = advance(floats, step.transposed)
    zeros = advance(transposed, in_pitch * step.outputs)
    # The first gradient takes the place of the weights, which are not needed here.
    weights = advance(floats, step.weights + piece * step.gradient_size)
    biases = advance(weights, out_pitch * step.inputs)
    for k in range(0, step.gradient_size, LANES):
        store(weights, k, splat(weights, 0.0))
    last = step.samples * (piece + 1) // PIECES
    for start in range(step.samples * piece // PIECES, last, TILE):
        rows = min(TILE, last - start)
        inputs = advance(A, start * step.inputs)
        _spread(inputs, step.inputs, activations, rows)
        _spread(advance(dZ, start * step.outputs), step.outputs, deltas, rows)
        add_gradients(activations, step.inputs, deltas, rows, weights, biases)
        linear(deltas, step.outputs, transposed, zeros, 1.0, step.relu != 0, earlier, rows)
        keep_active(activations, earlier, rows)
        _collect(earlier, advance(below, start * step.inputs), step.inputs, rows)


@njit()
def _combine(
    words: Any,
    floats: Pointer,
    _c: Any,
    _d: Any,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Add up a share of the gradients of all pieces, in the tree of `sweep`."""
    step = record(Step, words)
    add_pieces(advance(floats, step.weights), step.gradient_size, piece)
