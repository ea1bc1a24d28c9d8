"""scikit-learn's MLPClassifier, all images a batch."""

import time
import warnings
from collections.abc import Sequence
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from fastdigit.measure.peers.work import Array, Work, scaled

NEVER = 10**9


class Timed(MLPClassifier):  # type: ignore[misc]
    """Remembers when its first iteration begins: checks of the input come before the clock."""

    began: float | None = None

    def _backprop(self, *arguments: Any) -> Any:
        self.began = self.began or time.perf_counter()
        return super()._backprop(*arguments)


class Classifier(Work):
    """`fit` with `warm_start`, so many iterations a turn; computes the loss as well."""

    backend = "scikit-learn"

    def prepare(self, W1: Array, b1: Array, W2: Array, b2: Array) -> None:
        """Let it make its own weights in one iteration, then put the right ones in their place."""
        self._X = scaled(self.task.images, self.dtype)
        self._Y = self.task.labels
        self._network = Timed(
            hidden_layer_sizes=(len(b1),),
            solver="sgd",
            momentum=0.0,
            nesterovs_momentum=False,
            alpha=0.0,
            learning_rate_init=self.task.learning_rate,
            batch_size=len(self._X),
            shuffle=False,
            tol=0.0,
            n_iter_no_change=NEVER,
            warm_start=True,
            random_state=0,
        )
        self.advance(1)
        for mine, first in zip(self._arrays(), (W1.T, b1, W2.T, b2), strict=True):
            mine[:] = first

    def advance(self, iterations: int) -> None:
        """Fit, which warns that it has not converged."""
        self._network.set_params(max_iter=iterations)
        self._network.began = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._network.fit(self._X, self._Y)

    def seconds(self, started: float) -> float:
        """Return the time since the first iteration of the turn."""
        return super().seconds(self._network.began or started)

    def _arrays(self) -> list[Array]:
        (W1, W2), (b1, b2) = self._network.coefs_, self._network.intercepts_
        return [W1, b1, W2, b2]

    def layers(self) -> Sequence[Array]:
        """Return the weights and biases."""
        W1, b1, W2, b2 = self._arrays()
        return [W1.T, b1, W2.T, b2]
