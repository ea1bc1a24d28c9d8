"""The mathematics in plain NumPy: one function a formula, nothing clever.

Every fused kernel is tested against a composition of these. Samples are rows: X is (n, features),
W is (outputs, inputs), b is (outputs,). The notebooks keep samples as columns; each formula here
is theirs, transposed. m is the number of samples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Labels = npt.NDArray[Any]


def linear(X: Floats, W: Floats, b: Floats) -> Floats:
    """Return Z = X W^T + b."""
    # (W X^T)^T is the same; OpenBLAS takes 40 ms for it where X W^T takes 59 (41,000 x 784 x 10).
    return (W @ X.T).T + b


def relu(Z: Floats) -> Floats:
    """Return A = max(0, Z)."""
    return np.maximum(Z, 0)


def relu_derivative(Z: Floats) -> npt.NDArray[np.bool_]:
    """Return where Z > 0: the slope of ReLU, 0 included among the places where it is 0."""
    return Z > 0


def softmax(Z: Floats) -> Floats:
    """Return A = e^Z / row sum of e^Z, shifted by the row's maximum so that nothing overflows."""
    e = np.exp(Z - Z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def one_hot(labels: Labels, classes: int, dtype: npt.DTypeLike = np.float64) -> Floats:
    """Return Y: Y[i, k] is 1 where k is the label of sample i, else 0; a class may be missing."""
    return np.eye(classes, dtype=dtype)[labels]


def cross_entropy(Z: Floats, labels: Labels) -> Floats:
    """Return each sample's loss, -log of the softmax of its label: log sum of e^z, minus z[label].

    Taken from the logits, it stays finite where the probability itself underflows to 0.
    """
    largest = Z.max(axis=1)
    normaliser = largest + np.log(np.exp(Z - largest[:, None]).sum(axis=1))
    return normaliser - Z[np.arange(len(labels)), labels]


def logits_delta(A: Floats, labels: Labels) -> Floats:
    """DZ = A - Y: the gradient of the summed loss with respect to the logits."""
    return A - one_hot(labels, A.shape[1], A.dtype)


def weight_gradient(dZ: Floats, A: Floats) -> Floats:
    """DW = dZ^T A / m, where A went into the layer."""
    return dZ.T @ A / len(dZ)


def bias_gradient(dZ: Floats) -> Floats:
    """Return db = sum of dZ over the samples / m: one number for each output."""
    return dZ.sum(axis=0) / len(dZ)


def hidden_delta(dZ: Floats, W: Floats, Z: Floats) -> Floats:
    """DZ of the layer below = (dZ W) where its own Z > 0."""
    return dZ @ W * relu_derivative(Z)


def update(parameter: Floats, gradient: Floats, learning_rate: float) -> Floats:
    """Return the parameter minus the learning rate times its gradient."""
    return parameter - parameter.dtype.type(learning_rate) * gradient


def forward(
    X: Floats, weights: Sequence[Floats], biases: Sequence[Floats]
) -> tuple[list[Floats], list[Floats]]:
    """Return Z and A of every layer; the last A is the softmax."""
    Zs: list[Floats] = []
    As: list[Floats] = []
    A = X
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        Z = linear(A, W, b)
        A = softmax(Z) if layer == len(weights) - 1 else relu(Z)
        Zs.append(Z)
        As.append(A)
    return Zs, As


def backward(
    X: Floats, labels: Labels, weights: Sequence[Floats], Zs: Sequence[Floats], As: Sequence[Floats]
) -> tuple[list[Floats], list[Floats]]:
    """Return the gradients of the mean loss with respect to every layer's W and b."""
    dWs: list[Floats] = []
    dbs: list[Floats] = []
    dZ = logits_delta(As[-1], labels)
    for layer in range(len(weights) - 1, -1, -1):
        dWs.insert(0, weight_gradient(dZ, As[layer - 1] if layer else X))
        dbs.insert(0, bias_gradient(dZ))
        if layer:
            dZ = hidden_delta(dZ, weights[layer], Zs[layer - 1])
    return dWs, dbs
