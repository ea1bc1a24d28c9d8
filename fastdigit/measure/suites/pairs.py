"""Every fused kernel beside its twin: the same question to both, and the work it takes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import Problem, fused, objective, reference
from fastdigit.measure.result import Check
from fastdigit.measure.suites import trials
from fastdigit.measure.suites.tolerance import ORDINARY, distance
from fastdigit.network import Network

Array = npt.NDArray[Any]
Run = Callable[[], tuple[Any, ...]]

HIDDEN = 10
CLASSES = 10
LARGE = 256.0
"""Times the ordinary weights or logits: e^z overflows."""


class Inputs(NamedTuple):
    """What a pair is asked about."""

    images: Array
    """(n, features): bytes."""
    labels: npt.NDArray[np.uint8]
    """(n,)"""
    dtype: str
    """"float32" or "float64"."""
    scale: float = 1.0
    """What weights, logits and deltas are multiplied by: a power of 2, so that none is rounded."""
    threads: int | None = None
    """Where a kernel can be told; all by default."""


class Call(NamedTuple):
    """Both implementations on the same input; each returns a tuple of arrays."""

    reference: Run
    fused: Run
    operations: int
    """Multiplications and additions that the formula needs; a dense one, zeros included."""
    bytes: int
    """What must be read and written at the least, as the fused kernel stores it."""


def _network(given: Inputs) -> tuple[Array, Network]:
    X = given.images.astype(given.dtype) / 255
    network = Network([X.shape[1], HIDDEN, CLASSES], dtype=given.dtype, seed=0, init="uniform")
    network.parameters[:] *= given.scale
    return X, network


def _normal(given: Inputs, columns: int) -> Array:
    """Return numbers (n, columns) whose float64 are those of float32 exactly."""
    drawn = np.random.RandomState(0).randn(len(given.images), columns).astype(np.float32)
    return (given.scale * drawn).astype(given.dtype)


def linear_relu(given: Inputs) -> Call:
    """Return the first layer's forward pass."""
    X, network = _network(given)
    W, b = network.weights[0], network.biases[0]
    return Call(
        lambda: (reference.relu(reference.linear(X, W, b)),),
        lambda: (fused.linear_relu(X, W, b),),
        2 * X.size * HIDDEN,
        X.nbytes + len(X) * HIDDEN * X.itemsize,
    )


def softmax_cross_entropy(given: Inputs) -> Call:
    """Return probabilities, losses and classes of logits."""
    Z, labels = 4 * _normal(given, CLASSES), given.labels
    return Call(
        lambda: (
            reference.softmax(Z),
            reference.cross_entropy(Z, labels),
            Z.argmax(axis=1),
        ),
        lambda: fused.softmax_cross_entropy(Z, labels),
        # maximum, difference, exp counted as one, sum, quotient
        5 * Z.size,
        2 * Z.nbytes + len(Z) * (Z.itemsize + 2),
    )


def layer_gradients(given: Inputs) -> Call:
    """Return the first layer's backward pass."""
    X, network = _network(given)
    W = network.weights[0]
    dZ = _normal(given, HIDDEN)
    return Call(
        lambda: (
            reference.weight_gradient(dZ, X),
            reference.bias_gradient(dZ),
            reference.hidden_delta(dZ, W, X),
        ),
        lambda: fused.layer_gradients(dZ, X, W),
        4 * X.size * HIDDEN,
        2 * X.nbytes + dZ.nbytes,
    )


def loss_and_gradients(given: Inputs) -> Call:
    """Return loss, accuracy and the gradient of all parameters."""
    images = given.images
    _, network = _network(given._replace(images=images[:1]))
    problem = Problem(network.sizes, network.dtype, images, given.labels)
    parameters = network.parameters

    def run(backend: str) -> Run:
        prepared = objective(problem, backend, given.threads)

        def call() -> tuple[Any, ...]:
            score, gradient = prepared.gradient(parameters)
            return np.array(score), gradient

        return call

    return Call(
        run("numpy"),
        run("numba"),
        4 * images.size * HIDDEN + 6 * len(images) * HIDDEN * CLASSES,
        images.nbytes,
    )


Pair = Callable[[Inputs], Call]

PAIRS: Mapping[str, Pair] = {
    "linear_relu": linear_relu,
    "softmax_cross_entropy": softmax_cross_entropy,
    "layer_gradients": layer_gradients,
    "loss_and_gradients": loss_and_gradients,
}


def furthest(pair: Pair, given: Inputs, twin: bool = False) -> Check:
    """Return how far an implementation is from the reference in float64, where it is furthest.

    Parameters
    ----------
    pair
        One of `PAIRS`.
    given
        What will be timed; for the fused kernel, inputs that reveal mistakes come in addition.
    twin
        Whether the reference itself is asked, in the type that is given.
    """
    found = []
    asked = [] if twin else list(_trials(given))
    # BLAS adds thousands of products up one by one in float32.
    wide = trials.WITHIN[given.dtype] if twin else None
    for what, inputs in [*asked, (f"{len(given.images):,} images", given)]:
        right = pair(inputs._replace(dtype="float64")).reference()
        call = pair(inputs)
        for array, expected in zip((call.reference if twin else call.fused)(), right, strict=True):
            magnitude = ORDINARY * inputs.scale
            found.append((distance(array, expected, given.dtype, magnitude, wide), what))
    worst, where = max(found, key=lambda pair: pair[0].share)
    return Check(what=f"result for {where}", difference=worst.error, allowed=worst.allowed)


def _trials(given: Inputs) -> Iterator[tuple[str, Inputs]]:
    counts = [(count, trials.FEATURES) for count in trials.COUNTS]
    for count, features in [*counts, (trials.MANY, trials.FEW)]:
        yield f"{count:,} images", _drawn(given, count, features)
    odd = _drawn(given, trials.COUNTS[2], trials.FEATURES)
    yield "logits of hundreds", odd._replace(scale=LARGE)


def _drawn(given: Inputs, count: int, features: int) -> Inputs:
    images, labels = trials.images(count, features)
    return given._replace(images=images, labels=labels)
