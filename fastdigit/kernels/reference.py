"""The mathematics in plain NumPy: one function a formula, nothing clever.

Every fused kernel is tested against a composition of these. Samples are rows: X is (n, features),
W is (outputs, inputs), b is (outputs,). The notebooks keep samples as columns; each formula here
is theirs, transposed. m is the number of samples.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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


def relu_derivative(A: Floats) -> npt.NDArray[np.bool_]:
    """Return where A > 0, which is where Z > 0: the slope of ReLU, 0 at 0."""
    return A > 0


LEAK = 0.01
"""Slope of the leaky ReLU below 0."""


def leaky_relu(Z: Floats) -> Floats:
    """Return A = Z where Z > 0, else 0.01 Z."""
    return np.where(Z > 0, Z, LEAK * Z)


def leaky_relu_derivative(A: Floats) -> Floats:
    """Return 1 where A > 0, which is where Z > 0, else 0.01."""
    return np.where(A > 0, 1, LEAK).astype(A.dtype)


def tanh(Z: Floats) -> Floats:
    """Return A = tanh Z."""
    return np.tanh(Z)


def tanh_derivative(A: Floats) -> Floats:
    """Return 1 - A^2."""
    return 1 - A * A


def logistic(Z: Floats) -> Floats:
    """Return A = 1 / (1 + e^-Z), as e^Z / (1 + e^Z) below 0, so that nothing overflows."""
    e = np.exp(-np.abs(Z))
    return np.where(Z > 0, 1, e) / (1 + e)


def logistic_derivative(A: Floats) -> Floats:
    """Return A (1 - A)."""
    return A * (1 - A)


def identity(Z: Floats) -> Floats:
    """Return A = Z."""
    return Z


def identity_derivative(A: Floats) -> Floats:
    """Return 1 everywhere."""
    return np.ones_like(A)


class Activation(NamedTuple):
    """What a hidden unit does with its z."""

    function: Callable[[Floats], Floats]
    """A of Z."""
    derivative: Callable[[Floats], Floats]
    """dA / dZ, but of A: each of these slopes can be told from the output."""


ACTIVATIONS = {
    "relu": Activation(relu, relu_derivative),
    "leaky_relu": Activation(leaky_relu, leaky_relu_derivative),
    "tanh": Activation(tanh, tanh_derivative),
    "logistic": Activation(logistic, logistic_derivative),
    "identity": Activation(identity, identity_derivative),
}


def dropout_mask(kept: npt.NDArray[np.bool_], rate: float, dtype: npt.DTypeLike) -> Floats:
    """Return D = 1 / (1 - rate) where a unit is kept, else 0: the mean of D A is about A.

    With this *inverted* dropout the trained network is used as it is, without D.
    """
    return kept.astype(dtype) / (1 - rate)


def softmax(Z: Floats) -> Floats:
    """Return A = e^Z / row sum of e^Z, shifted by the row's maximum so that nothing overflows."""
    e = np.exp(Z - Z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def one_hot(labels: Labels, classes: int, dtype: npt.DTypeLike = np.float64) -> Floats:
    """Return Y: Y[i, k] is 1 where k is the label of sample i, else 0; a class may be missing."""
    return np.eye(classes, dtype=dtype)[labels]


def smoothed(Y: Floats, smoothing: float) -> Floats:
    """Return Y with a share of each label's probability spread evenly over all classes."""
    return (1 - smoothing) * Y + smoothing / Y.shape[1]


def cross_entropy(Z: Floats, labels: Labels, smoothing: float = 0.0) -> Floats:
    """Return each sample's loss, - sum of y log a over the classes, a being the softmax.

    Without smoothing only the label's y is not 0. Then the loss is -log a[label], which is
    log sum of e^z, minus z[label]; taken from the logits, it stays finite where a underflows to 0.
    """
    largest = Z.max(axis=1)
    normaliser = largest + np.log(np.exp(Z - largest[:, None]).sum(axis=1))
    losses = normaliser - Z[np.arange(len(labels)), labels]
    if smoothing:
        losses = (1 - smoothing) * losses + smoothing * (normaliser - Z.mean(axis=1))
    return losses


def logits_delta(A: Floats, labels: Labels, smoothing: float = 0.0) -> Floats:
    """DZ = A - Y: the gradient of the summed loss with respect to the logits."""
    Y = one_hot(labels, A.shape[1], A.dtype)
    return A - (smoothed(Y, smoothing) if smoothing else Y)


def weight_gradient(dZ: Floats, A: Floats) -> Floats:
    """DW = dZ^T A / m, where A went into the layer."""
    return dZ.T @ A / len(dZ)


def bias_gradient(dZ: Floats) -> Floats:
    """Return db = sum of dZ over the samples / m: one number for each output."""
    return dZ.sum(axis=0) / len(dZ)


def hidden_delta(dZ: Floats, W: Floats, A: Floats, activation: str = "relu") -> Floats:
    """DZ of the layer below = (dZ W) times the slope of its activation, which put out A."""
    return dZ @ W * ACTIVATIONS[activation].derivative(A)


def penalty_gradient(W: Floats, l1: float, l2: float) -> Floats:
    """Return l1 sign(W) + l2 W: the gradient of l1 sum |w| + l2 / 2 sum w^2."""
    return l1 * np.sign(W) + l2 * W


def update(parameter: Floats, gradient: Floats, learning_rate: float) -> Floats:
    """Return the parameter minus the learning rate times its gradient."""
    return parameter - parameter.dtype.type(learning_rate) * gradient


def forward(
    X: Floats,
    weights: Sequence[Floats],
    biases: Sequence[Floats],
    activation: str = "relu",
    masks: Sequence[Floats] = (),
) -> tuple[list[Floats], list[Floats]]:
    """Return Z and A of every layer; the last A is the softmax.

    With masks D, one for each hidden layer, A D goes on to the next layer instead of A.
    """
    Zs: list[Floats] = []
    As: list[Floats] = []
    last = len(weights) - 1
    inputs = X
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        Z = linear(inputs, W, b)
        A = softmax(Z) if layer == last else ACTIVATIONS[activation].function(Z)
        Zs.append(Z)
        As.append(A)
        inputs = A * masks[layer] if masks and layer < last else A
    return Zs, As


def backward(
    X: Floats,
    labels: Labels,
    weights: Sequence[Floats],
    As: Sequence[Floats],
    activation: str = "relu",
    masks: Sequence[Floats] = (),
    smoothing: float = 0.0,
) -> tuple[list[Floats], list[Floats]]:
    """Return the gradients of the mean loss with respect to every layer's W and b."""
    dWs: list[Floats] = []
    dbs: list[Floats] = []
    dZ = logits_delta(As[-1], labels, smoothing)
    for layer in range(len(weights) - 1, -1, -1):
        below = As[layer - 1] if layer else X
        inputs = below * masks[layer - 1] if masks and layer else below
        dWs.insert(0, weight_gradient(dZ, inputs))
        dbs.insert(0, bias_gradient(dZ))
        if layer:
            dZ = hidden_delta(dZ, weights[layer], below, activation)
            if masks:
                dZ = dZ * masks[layer - 1]
    return dWs, dbs
