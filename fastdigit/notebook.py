"""The names that NumPy notebooks use, on the fused kernels.

``from fastdigit.notebook import *`` replaces a notebook's own definitions. As there, examples are
columns: X is (784, m) of floats in 0..1, Y is (m,), W1 is (10, 784), b1 is (10, 1); weights are
float64 and begin with ``np.random.rand``, so ``np.random.seed`` gives the notebook's own weights.
Integers in X are taken for pixels 0..255 and scaled.

Where notebooks go wrong, these do not: softmax subtracts the maximum, one-hot always has all
classes, and no bias gradient is summed over the classes.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.data.images import as_images
from fastdigit.data.labels import as_labels
from fastdigit.errors import DataError
from fastdigit.history import History
from fastdigit.kernels import reference
from fastdigit.network import Network
from fastdigit.training import fit

__all__ = [
    "NeuralNetwork",
    "ReLU",
    "ReLU_deriv",
    "backward_prop",
    "forward_prop",
    "get_accuracy",
    "get_predictions",
    "gradient_descent",
    "init_params",
    "make_predictions",
    "one_hot",
    "softmax",
    "test_prediction",
    "update_params",
]

Floats = npt.NDArray[Any]
Parameters = tuple[Floats, Floats, Floats, Floats]

EVERY = 10
"""Iterations from one printed line to the next."""


def init_params(input_size: int = 784, hidden_size: int = 10, output_size: int = 10) -> Parameters:
    """Return W1, b1, W2, b2, uniform in [-0.5, 0.5), from NumPy's global random state."""
    W1 = np.random.rand(hidden_size, input_size) - 0.5
    b1 = np.random.rand(hidden_size, 1) - 0.5
    W2 = np.random.rand(output_size, hidden_size) - 0.5
    b2 = np.random.rand(output_size, 1) - 0.5
    return W1, b1, W2, b2


def ReLU(Z: Floats) -> Floats:
    """Return max(0, Z)."""
    return reference.relu(Z)


def ReLU_deriv(Z: Floats) -> npt.NDArray[np.bool_]:
    """Return where Z > 0."""
    return reference.relu_derivative(Z)


def softmax(Z: Floats) -> Floats:
    """Return the softmax of each column, finite for any finite Z."""
    return reference.softmax(Z.T).T


def one_hot(Y: npt.ArrayLike, classes: int = 10) -> Floats:
    """Return (classes, m): 1 in the row of each label; a class may be missing from Y."""
    return reference.one_hot(as_labels(Y, classes=classes), classes).T


def forward_prop(W1: Floats, b1: Floats, W2: Floats, b2: Floats, X: npt.ArrayLike) -> Parameters:
    """Return Z1 (10, m), A1 (10, m), Z2 (10, m) and the probabilities A2 (10, m)."""
    from fastdigit.kernels import fused

    Z1 = fused.linear_relu(_rows(X, W1), *_layer(W1, b1), relu=False)
    A1 = reference.relu(Z1)
    Z2 = fused.linear_relu(A1, *_layer(W2, b2), relu=False)
    A2, _, _ = fused.softmax_cross_entropy(Z2, np.zeros(len(Z2), np.uint8))
    return Z1.T, A1.T, Z2.T, A2.T


def backward_prop(
    Z1: Floats,
    A1: Floats,
    Z2: Floats,
    A2: Floats,
    W1: Floats,
    W2: Floats,
    X: npt.ArrayLike,
    Y: npt.ArrayLike,
) -> Parameters:
    """Return dW1, db1, dW2, db2: the gradients of the mean cross-entropy, shaped like W1 to b2."""
    return _gradients(A1, A2, W1, W2, X, Y)


def update_params(
    W1: Floats,
    b1: Floats,
    W2: Floats,
    b2: Floats,
    dW1: Floats,
    db1: Floats,
    dW2: Floats,
    db2: Floats,
    alpha: float,
) -> Parameters:
    """Return each parameter minus alpha times its gradient."""
    return (
        reference.update(W1, dW1, alpha),
        reference.update(b1, db1, alpha),
        reference.update(W2, dW2, alpha),
        reference.update(b2, db2, alpha),
    )


def get_predictions(A2: Floats) -> npt.NDArray[np.intp]:
    """Return the row of the largest probability of each column."""
    return np.asarray(np.argmax(A2, axis=0))


def get_accuracy(predictions: npt.NDArray[Any], Y: npt.NDArray[Any]) -> float:
    """Return the share of predictions that are right, 0..1."""
    return float(np.mean(np.ravel(predictions) == np.ravel(Y)))


def gradient_descent(
    X: npt.ArrayLike, Y: npt.ArrayLike, alpha: float, iterations: int
) -> Parameters:
    """Train from new random weights and return W1, b1, W2, b2; prints the accuracy as it goes.

    X and Y are remembered for `test_prediction`.
    """
    global _last
    _check_columns(X, Y)
    _last = _Examples(np.asarray(X), np.asarray(Y))
    network = _network(init_params(len(_last.X)))
    _descend(network, X, Y, alpha, iterations, "Iteration: {}  - Accuracy: {:.2%}")
    return _as_columns(network)


def make_predictions(
    X: npt.ArrayLike, W1: Floats, b1: Floats, W2: Floats, b2: Floats
) -> npt.NDArray[np.intp]:
    """Return the most likely label of each column of X."""
    return get_predictions(forward_prop(W1, b1, W2, b2, X)[3])


def test_prediction(
    index: int,
    W1: Floats,
    b1: Floats,
    W2: Floats,
    b2: Floats,
    X: npt.ArrayLike | None = None,
    Y: npt.ArrayLike | None = None,
) -> None:
    """Print prediction and label of one example, and show its picture.

    Without X and Y it is an example of the last `gradient_descent`.
    """
    import matplotlib.pyplot as plt

    if X is None and _last is None:
        raise ValueError(
            "there is no example to show: pass X and Y, or call gradient_descent(X, Y, ...) first"
        )
    examples = (
        _last if X is None else _Examples(np.asarray(X), None if Y is None else np.asarray(Y))
    )
    assert examples is not None
    columns = examples.X.shape[1]
    if not -columns <= index < columns:
        raise IndexError(f"index {index}, but X has {columns} examples (columns)")
    image = examples.X[:, [index]]
    prediction = int(make_predictions(image, W1, b1, W2, b2)[0])
    label = None if examples.Y is None else int(examples.Y[index])
    print("Prediction: ", prediction)
    print("Label: ", "unknown" if label is None else label)
    side = round(len(image) ** 0.5)
    if side * side != len(image):
        raise ValueError(f"{len(image)} pixels are no square picture")
    _, axes = plt.subplots(figsize=(3, 3))
    axes.imshow(image.reshape(side, side), cmap="gray", interpolation="nearest")
    axes.set_title(f"prediction {prediction}, label {'unknown' if label is None else label}")
    axes.axis("off")
    if plt.get_backend().lower() != "agg":
        plt.show()


# pytest would take the name for a test of its own.
test_prediction.__test__ = False  # type: ignore[attr-defined]


class NeuralNetwork:
    """The notebooks' network: one hidden layer with ReLU, softmax at the end.

    Attributes
    ----------
    W1, b1, W2, b2
        (hidden_size, input_size), (hidden_size, 1), (output_size, hidden_size), (output_size, 1)
    history
        What the last `train` recorded.
    """

    def __init__(self, input_size: int = 784, hidden_size: int = 10, output_size: int = 10) -> None:
        self.W1, self.b1, self.W2, self.b2 = init_params(input_size, hidden_size, output_size)
        self.history: History | None = None

    def ReLU(self, Z: Floats) -> Floats:
        """Return max(0, Z)."""
        return ReLU(Z)

    def ReLU_deriv(self, Z: Floats) -> npt.NDArray[np.bool_]:
        """Return where Z > 0."""
        return ReLU_deriv(Z)

    def softmax(self, Z: Floats) -> Floats:
        """Return the softmax of each column."""
        return softmax(Z)

    def one_hot(self, Y: npt.ArrayLike) -> Floats:
        """Return (outputs, m): 1 in the row of each label."""
        return one_hot(Y, classes=len(self.W2))

    def forward(self, X: npt.ArrayLike) -> Parameters:
        """Return Z1, A1, Z2, A2."""
        return forward_prop(self.W1, self.b1, self.W2, self.b2, X)

    def backward(
        self, X: npt.ArrayLike, Y: npt.ArrayLike, Z1: Floats, A1: Floats, A2: Floats
    ) -> Parameters:
        """Return dW1, db1, dW2, db2."""
        return _gradients(A1, A2, self.W1, self.W2, X, Y)

    def update(self, dW1: Floats, db1: Floats, dW2: Floats, db2: Floats, alpha: float) -> None:
        """Take one step of gradient descent."""
        self.W1, self.b1, self.W2, self.b2 = update_params(
            self.W1, self.b1, self.W2, self.b2, dW1, db1, dW2, db2, alpha
        )

    def train(
        self, X: npt.ArrayLike, Y: npt.ArrayLike, iterations: int = 500, alpha: float = 0.1
    ) -> None:
        """Train on from the present weights; prints the accuracy as it goes."""
        network = _network((self.W1, self.b1, self.W2, self.b2))
        try:
            self.history = _descend(
                network, X, Y, alpha, iterations, "Iteration {} - Accuracy: {:.4f}"
            )
        finally:
            self.W1, self.b1, self.W2, self.b2 = _as_columns(network)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Return the most likely label of each column of X."""
        return make_predictions(X, self.W1, self.b1, self.W2, self.b2)

    def accuracy(self, predictions: npt.NDArray[Any], Y: npt.NDArray[Any]) -> float:
        """Return the share of predictions that are right, 0..1."""
        return get_accuracy(predictions, Y)


class _Examples(NamedTuple):
    X: npt.NDArray[Any]
    Y: npt.NDArray[Any] | None


_last: _Examples | None = None
"""The data of the last `gradient_descent`."""


def _rows(X: npt.ArrayLike, W1: Floats) -> Floats:
    """Return the columns of X as rows of float64, integers scaled to 0..1."""
    columns = np.asarray(X)
    if columns.ndim != 2 or len(columns) != W1.shape[1]:
        raise DataError(
            f"X has shape {columns.shape}, but W1 has {W1.shape[1]} inputs: examples are columns, "
            f"so X is ({W1.shape[1]}, m); try X.T"
        )
    rows = as_images(columns.T)
    return rows / 255 if rows.dtype == np.uint8 else rows.astype(np.float64, copy=False)


def _check_columns(X: npt.ArrayLike, Y: npt.ArrayLike) -> None:
    """Raise DataError unless X has as many columns as Y has labels."""
    shape, labels = np.shape(X), np.shape(Y)
    if len(shape) != 2 or not labels or shape[1] != labels[0]:
        raise DataError(
            f"X has shape {shape} and Y {labels}, but examples are columns: X is (784, m), Y (m,)"
            + ("; try X.T" if len(shape) == 2 and labels and shape[0] == labels[0] else "")
        )


def _layer(W: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return weights and biases as the kernels take them."""
    return np.asarray(W, np.float64), np.asarray(b, np.float64).ravel()


def _gradients(
    A1: Floats, A2: Floats, W1: Floats, W2: Floats, X: npt.ArrayLike, Y: npt.ArrayLike
) -> Parameters:
    """Return dW1, db1, dW2, db2; where Z1 > 0 is told from A1."""
    from fastdigit.kernels import fused

    _check_columns(X, Y)
    labels = as_labels(Y, classes=len(A2))
    if np.shape(A2) != (len(W2), len(labels)):
        raise DataError(f"A2 has shape {np.shape(A2)}, expected {(len(W2), len(labels))}")
    dZ2 = reference.logits_delta(A2.T, labels)
    dW2, db2, dZ1 = fused.layer_gradients(dZ2, A1.T, np.asarray(W2, np.float64))
    dW1, db1, _ = fused.layer_gradients(dZ1, _rows(X, W1), np.asarray(W1, np.float64))
    return dW1, db1[:, None], dW2, db2[:, None]


def _network(parameters: Parameters) -> Network:
    W1, b1, W2, b2 = parameters
    network = Network([W1.shape[1], len(W1), len(W2)], dtype="float64")
    for target, source in zip(
        (network.weights[0], network.biases[0], network.weights[1], network.biases[1]),
        (W1, np.ravel(b1), W2, np.ravel(b2)),
        strict=True,
    ):
        target[:] = source
    return network


def _as_columns(network: Network) -> Parameters:
    (W1, W2), (b1, b2) = network.weights, network.biases
    return W1.copy(), b1[:, None].copy(), W2.copy(), b2[:, None].copy()


def _descend(
    network: Network,
    X: npt.ArrayLike,
    Y: npt.ArrayLike,
    alpha: float,
    iterations: int,
    line: str,
) -> History:
    """Train on the fused kernels; every ten iterations print a line of iteration and accuracy."""

    def report(_: Network, history: History) -> None:
        done = len(history) - 1
        if done % EVERY == 0:
            print(line.format(done, history.accuracy[-1]))

    _check_columns(X, Y)
    images = _as_bytes(_rows(X, network.weights[0]))
    return fit(
        network,
        (images, Y),
        iterations=iterations,
        learning_rate=alpha,
        progress=False,
        callbacks=[report],
    )


def _as_bytes(rows: Floats) -> npt.NDArray[Any]:
    """Return rows as bytes where each number is exactly a byte / 255, otherwise as they are.

    Pixels of a picture are; as bytes they take an eighth of the memory, which decides the speed.
    """
    found = np.empty(rows.shape, np.uint8)
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024]
        inside = np.clip(part, 0, 1)
        np.rint(inside * 255, out=found[start : start + 1024], casting="unsafe")
        if not np.array_equal(found[start : start + 1024] / 255, part):
            return rows
    return found
