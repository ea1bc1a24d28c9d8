"""Every fused kernel beside its twin: the same question to both, and the work it takes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastdigit.kernels import Problem, fused, objective, reference
from fastdigit.network import Network

HIDDEN = 10
CLASSES = 10


class Call(NamedTuple):
    """Both implementations on the same input; each returns a tuple of arrays."""

    reference: Callable[[], tuple[Any, ...]]
    fused: Callable[[], tuple[Any, ...]]
    operations: int
    """Multiplications and additions that the formula needs; a dense one, zeros included."""
    bytes: int
    """What must be read and written at the least, as the fused kernel stores it."""


def _inputs(images, dtype):
    X = images.astype(dtype) / 255
    network = Network([X.shape[1], HIDDEN, CLASSES], dtype=dtype, seed=0, init="uniform")
    return X, network


def linear_relu(images, labels, dtype):
    X, network = _inputs(images, dtype)
    W, b = network.weights[0], network.biases[0]
    return Call(
        lambda: (reference.relu(reference.linear(X, W, b)),),
        lambda: (fused.linear_relu(X, W, b),),
        2 * X.size * HIDDEN,
        X.nbytes + len(X) * HIDDEN * X.itemsize,
    )


def softmax_cross_entropy(images, labels, dtype):
    random = np.random.RandomState(0)
    Z = (4 * random.randn(len(images), CLASSES)).astype(dtype)
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


def layer_gradients(images, labels, dtype):
    X, network = _inputs(images, dtype)
    W = network.weights[0]
    dZ = np.random.RandomState(0).randn(len(X), HIDDEN).astype(dtype)
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


def loss_and_gradients(images, labels, dtype):
    network = Network([images.shape[1], HIDDEN, CLASSES], dtype=dtype, seed=0, init="uniform")
    problem = Problem(network.sizes, network.dtype, images, labels)
    parameters = network.parameters

    def run(backend):
        prepared = objective(problem, backend)

        def call():
            score, gradient = prepared.gradient(parameters)
            return np.array(score), gradient

        return call

    return Call(
        run("numpy"),
        run("numba"),
        4 * images.size * HIDDEN + 6 * len(images) * HIDDEN * CLASSES,
        images.nbytes,
    )


PAIRS = {
    "linear_relu": linear_relu,
    "softmax_cross_entropy": softmax_cross_entropy,
    "layer_gradients": layer_gradients,
    "loss_and_gradients": loss_and_gradients,
}
