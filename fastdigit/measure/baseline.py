"""The notebook's training loop in plain NumPy, as it is written there.

Every ratio in this project is against this loop, so it is kept as people write it, with what it
wastes: float64, samples as columns, the one-hot matrix built again in every iteration, a softmax
that does not subtract the maximum and adds up its rows by Python's own sum. It has none of the
notebooks' mistakes: ten classes whatever the labels, a bias gradient for each class.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]


class Parameters(NamedTuple):
    """W1 (hidden, 784), b1 (hidden, 1), W2 (10, hidden), b2 (10, 1)."""

    W1: Floats
    b1: Floats
    W2: Floats
    b2: Floats


class Activations(NamedTuple):
    """What the forward pass leaves: one column a sample."""

    Z1: Floats
    A1: Floats
    Z2: Floats
    A2: Floats


def as_columns(images: npt.NDArray[np.uint8]) -> Floats:
    """Return images (m, 784) as the notebook's X: (784, m), divided by 255, column by column."""
    X: Floats = images.T / 255.0
    return X


def softmax(Z: Floats) -> Floats:
    """Return e^Z over the sum of its column; overflows for large Z, as the notebook's does."""
    A: Floats = np.exp(Z) / sum(np.exp(Z))
    return A


def one_hot(Y: Labels, classes: int) -> Floats:
    """Return a matrix (classes, m) with a 1 at each sample's label."""
    rows = np.zeros((Y.size, classes))
    rows[np.arange(Y.size), Y] = 1
    return rows.T


def forward(parameters: Parameters, X: Floats) -> Activations:
    """Return Z and A of both layers."""
    W1, b1, W2, b2 = parameters
    Z1 = W1.dot(X) + b1
    A1 = np.maximum(Z1, 0)
    Z2 = W2.dot(A1) + b2
    return Activations(Z1, A1, Z2, softmax(Z2))


def backward(activations: Activations, W2: Floats, X: Floats, Y: Labels) -> Parameters:
    """Return the gradients of the mean loss, laid out like the parameters."""
    Z1, A1, _, A2 = activations
    m = Y.size
    dZ2 = A2 - one_hot(Y, len(W2))
    dW2 = 1 / m * dZ2.dot(A1.T)
    db2 = 1 / m * np.sum(dZ2, axis=1, keepdims=True)
    dZ1 = W2.T.dot(dZ2) * (Z1 > 0)
    dW1 = 1 / m * dZ1.dot(X.T)
    db1 = 1 / m * np.sum(dZ1, axis=1, keepdims=True)
    return Parameters(dW1, db1, dW2, db2)


def update(parameters: Parameters, gradients: Parameters, alpha: float) -> Parameters:
    """Return each parameter minus alpha times its gradient."""
    return Parameters(*(p - alpha * d for p, d in zip(parameters, gradients, strict=True)))


def accuracy(A2: Floats, Y: Labels) -> float:
    """Return the share of columns whose largest entry is at their label."""
    predictions = np.argmax(A2, 0)
    return float(np.sum(predictions == Y) / Y.size)


def mean_loss(A2: Floats, Y: Labels) -> float:
    """Return the mean cross-entropy; the notebook has no such line, so it is never timed."""
    with np.errstate(divide="ignore"):
        return float(-np.log(A2[Y, np.arange(Y.size)]).mean())


def flat(parameters: Parameters) -> npt.NDArray[Any]:
    """Return all parameters in one array, in the order W1, b1, W2, b2."""
    return np.concatenate([array.ravel() for array in parameters])
