"""scikit-learn's MLPClassifier with batches."""

import numpy as np
import numpy.typing as npt
from sklearn.neural_network import MLPClassifier

from fastdigit.measure.batches import MOMENTUM, Loop
from fastdigit.measure.peers.batch_work import Array, pixels
from fastdigit.network import Network


class Classifier(Loop):
    """`partial_fit` on images that were put into the order of the epoch.

    It computes the loss as well, and looks for NaN in all images first. It multiplies velocities,
    not steps, by the rate, so it makes the same updates only while that stays the same; and it
    knows no label smoothing.
    """

    backend = "scikit-learn"

    def prepare(self) -> None:
        """Let it make weights of its own from one batch."""
        task = self.task
        if task.schedule != "constant" or task.label_smoothing:
            raise ValueError("MLPClassifier cannot make these updates")
        self._X = pixels(task, self.dtype)
        self._network = MLPClassifier(
            hidden_layer_sizes=task.sizes[1:-1],
            solver="sgd",
            momentum=MOMENTUM,
            nesterovs_momentum=task.nesterov,
            alpha=0.0,
            learning_rate_init=task.learning_rate,
            batch_size=min(task.batch_size, len(self._X)),
            shuffle=False,
            random_state=0,
        )
        first = slice(task.batch_size)
        self._network.partial_fit(
            self._X[first], task.labels[first], classes=np.arange(task.sizes[-1])
        )

    def load(self, network: Network) -> None:
        """Put the weights in the place of its own; the velocities become 0."""
        fitted = self._network
        for mine, first in zip(fitted.coefs_, network.weights, strict=True):
            mine[:] = first.T
        for mine, first in zip(fitted.intercepts_, network.biases, strict=True):
            mine[:] = first
        for velocity in fitted._optimizer.velocities:
            velocity[:] = 0

    def advance(self, order: npt.NDArray[np.int64], rates: npt.NDArray[np.float64]) -> None:
        """Gather all images at once, and train on them."""
        self._network.partial_fit(self._X[order], self.task.labels[order])

    def parameters(self) -> Array:
        """Return the weights and biases."""
        pairs = zip(self._network.coefs_, self._network.intercepts_, strict=True)
        return np.concatenate([part.ravel() for W, b in pairs for part in (W.T, b)])
