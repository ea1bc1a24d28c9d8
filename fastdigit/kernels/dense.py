"""The layers of a network for a group of images, which lie side by side in the lanes of vectors.

A layer's outputs are vectors one after the other, one a unit. Ten units, a *bundle*, stay in
registers while the inputs pass by: so an input costs one load, and a weight one multiplication
whose operand comes straight from memory. The kernels differ from the formulas in `reference` in
nothing but the order of sums.
"""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels.activation import RELU, activated, slope
from fastdigit.kernels.bundles import (
    UNITS,
    add_each,
    add_totals,
    affine,
    fma_each,
    fma_scalars,
    store_each,
    where_positive,
    zeros,
)
from fastdigit.kernels.elementary import exp, log
from fastdigit.kernels.reference import LEAK
from fastdigit.kernels.simd import (
    add,
    advance,
    divide,
    equal,
    greater,
    lanes,
    load,
    maximum,
    multiply,
    select,
    splat,
    store,
    subtract,
)

Pointer = Any
"""To elements of one type, in compiled code."""


@njit(inner=True)
def lower_bound(relu: bool, like: Pointer) -> Any:
    """Return what the outputs of a layer are at least: 0 after ReLU, and before it nothing."""
    return splat(like, 0.0 if relu else -float("inf"))


@njit(inner=True)
def linear(
    inputs: Pointer,
    count: int,
    weights: Pointer,
    rows: int,
    biases: Pointer,
    blocks: int,
    relu: bool,
    outputs: Pointer,
) -> None:
    """Z = W X + b for a group, or max(0, Z).

    Parameters
    ----------
    inputs
        (count, lanes)
    weights
        (blocks, rows, 10); see `layout`.
    biases
        (blocks * 10,)
    outputs
        (blocks * 10, lanes)
    """
    one = splat(weights, 1.0)
    floor = lower_bound(relu, weights)
    for block in range(blocks):
        w = advance(weights, block * rows * UNITS)
        z = zeros(weights)
        for i in range(count):
            z = fma_scalars(load(inputs, i * lanes(weights)), advance(w, i * UNITS), z)
        z = affine(z, one, advance(biases, block * UNITS), floor)
        store_each(advance(outputs, block * UNITS * lanes(weights)), z)


@njit(inner=True)
def back(
    deltas: Pointer,
    outputs: int,
    transposed: Pointer,
    blocks: int,
    activations: Pointer,
    earlier: Pointer,
    relu: bool = True,
) -> None:
    """Compute dX = W^T dZ, or, for inputs X that came out of ReLU, that where X > 0.

    Parameters
    ----------
    deltas
        (outputs, lanes): dZ.
    transposed
        (blocks, outputs, 10)
    activations
        (blocks * 10, lanes): X.
    earlier
        (blocks * 10, lanes): receives dX.
    """
    for block in range(blocks):
        w = advance(transposed, block * outputs * UNITS)
        at = block * UNITS * lanes(deltas)
        d = zeros(deltas)
        for o in range(outputs):
            d = fma_scalars(load(deltas, o * lanes(deltas)), advance(w, o * UNITS), d)
        if relu:
            d = where_positive(advance(activations, at), d)
        store_each(advance(earlier, at), d)


@njit(inner=True)
def activate(kind: int, outputs: Pointer, units: int) -> None:
    """Turn Z (units, lanes) of a group into A, in place; `linear` has done so for ReLU."""
    if kind == RELU:
        return
    zero, one, leak = splat(outputs, 0.0), splat(outputs, 1.0), splat(outputs, LEAK)
    for unit in range(units):
        at = unit * lanes(outputs)
        store(outputs, at, activated(kind, load(outputs, at), zero, one, leak))


@njit(inner=True)
def apply_slopes(kind: int, activations: Pointer, deltas: Pointer, units: int) -> None:
    """Turn dA (units, lanes) of a group into dZ, in place; `back` has done so for ReLU."""
    if kind == RELU:
        return
    zero, one, leak = splat(deltas, 0.0), splat(deltas, 1.0), splat(deltas, LEAK)
    for unit in range(units):
        at = unit * lanes(deltas)
        slopes = slope(kind, load(activations, at), zero, one, leak)
        store(deltas, at, multiply(load(deltas, at), slopes))


@njit(inner=True)
def add_weight_gradients(
    inputs: Pointer,
    count: int,
    deltas: Pointer,
    rows: int,
    blocks: int,
    groups: int,
    pitch: int,
    gradients: Pointer,
) -> None:
    """Add dW = dZ X^T of a tile to the gradients.

    Parameters
    ----------
    inputs, deltas
        (groups, pitch): X and dZ, vectors one after the other.
    gradients
        (blocks, rows, 10)
    """
    for block in range(blocks):
        first = advance(deltas, block * UNITS * lanes(deltas))
        # Deltas are read once for two inputs; the last one is its own neighbour if it has none.
        for i in range(0, count, 2):
            other = min(i + 1, count - 1)
            left = right = zeros(deltas)
            for group in range(groups):
                d = advance(first, group * pitch)
                left = fma_each(load(inputs, group * pitch + i * lanes(deltas)), d, left)
                right = fma_each(load(inputs, group * pitch + other * lanes(deltas)), d, right)
            add_totals(advance(gradients, (block * rows + i) * UNITS), left)
            if other > i:
                add_totals(advance(gradients, (block * rows + other) * UNITS), right)


@njit(inner=True)
def add_bias_gradients(
    deltas: Pointer, blocks: int, groups: int, pitch: int, gradients: Pointer
) -> None:
    """Add db, the sums of dZ, of a tile to the gradients (blocks * 10,)."""
    for block in range(blocks):
        first = advance(deltas, block * UNITS * lanes(deltas))
        g = zeros(deltas)
        for group in range(groups):
            g = add_each(advance(first, group * pitch), g)
        add_totals(advance(gradients, block * UNITS), g)


@njit(inner=True)
def largest_of(logits: Pointer, outputs: int) -> Any:
    """Return the class of each image's largest logit, the first of equal ones, and that logit."""
    largest = load(logits, 0)
    winner = number = splat(logits, 0.0)
    one = splat(logits, 1.0)
    for o in range(1, outputs):
        z = load(logits, o * lanes(logits))
        number = add(number, one)
        winner = select(greater(z, largest), number, winner)
        largest = maximum(largest, z)
    return winner, largest


@njit(inner=True)
def softmax(logits: Pointer, outputs: int, largest: Any) -> Any:
    """Turn the logits (outputs, lanes) of a group into probabilities, in place.

    Returns the logarithm of the sum of e^z: the loss of label y is that normaliser minus the logit
    of y. The largest logit is subtracted first: e^z overflows, e^(z - largest) cannot.
    """
    total = splat(logits, 0.0)
    for o in range(outputs):
        e = exp(subtract(load(logits, o * lanes(logits)), largest))
        total = add(total, e)
        store(logits, o * lanes(logits), e)
    share = divide(splat(logits, 1.0), total)
    for o in range(outputs):
        store(logits, o * lanes(logits), multiply(load(logits, o * lanes(logits)), share))
    return add(largest, log(total))


@njit(inner=True)
def logits_of(labels: Any, logits: Pointer, outputs: int) -> Any:
    """Return the logit of each image's label; 0 where the label is none of the classes."""
    found = number = splat(logits, 0.0)
    one = splat(logits, 1.0)
    for o in range(outputs):
        found = select(equal(labels, number), load(logits, o * lanes(logits)), found)
        number = add(number, one)
    return found


@njit(inner=True)
def subtract_one_hot(labels: Any, probabilities: Pointer, outputs: int, deltas: Pointer) -> None:
    """Write dZ = A - Y for a group; 0 where the label is negative."""
    one = splat(probabilities, 1.0)
    number = zero = splat(probabilities, 0.0)
    counts = greater(labels, splat(probabilities, -1.0))
    for o in range(outputs):
        y = select(equal(labels, number), one, zero)
        number = add(number, one)
        d = subtract(load(probabilities, o * lanes(probabilities)), y)
        store(deltas, o * lanes(deltas), select(counts, d, zero))
