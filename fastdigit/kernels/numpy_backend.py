"""The reference as a backend: plain NumPy on all images at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import reference
from fastdigit.kernels.interface import Problem, Score
from fastdigit.kernels.parameters import flatten, views
from fastdigit.kernels.steps import Learning
from fastdigit.optimizers import step

Floats = npt.NDArray[Any]


def scaled(images: npt.NDArray[Any], dtype: npt.DTypeLike) -> Floats:
    """Return bytes as floats in 0..1, and floats as they are, of the given type."""
    floats: Floats = images.astype(dtype, copy=False)
    return floats / floats.dtype.type(255) if images.dtype == np.uint8 else floats


class NumpyObjective:
    """The mean loss of a data set as a function of the parameters."""

    backend = "numpy"
    storage = "floats"
    threads = None
    """BLAS decides."""

    def __init__(self, problem: Problem) -> None:
        self._sizes = problem.sizes
        self._X = scaled(problem.images, problem.dtype)
        self._labels = problem.labels
        self._activation = problem.activation

    def evaluate(self, parameters: Floats) -> Score:
        """Return the mean loss and the accuracy of these parameters."""
        Zs, _ = self._forward(parameters)
        return self._score(Zs[-1])

    def gradient(self, parameters: Floats) -> tuple[Score, Floats]:
        """Return the score of these parameters and the gradient of the loss, flat."""
        Zs, As = self._forward(parameters)
        weights, _ = views(parameters, self._sizes)
        gradient = reference.backward(self._X, self._labels, weights, As, self._activation)
        return self._score(Zs[-1]), flatten(*gradient)

    def descend(
        self,
        parameters: Floats,
        remembered: Sequence[Floats],
        learning: Learning,
        rates: npt.NDArray[np.float64],
        done: int,
    ) -> list[Score]:
        """Make one update for each learning rate, in place, and return the score before each."""
        scores = []
        for number, rate in enumerate(rates, start=done + 1):
            score, gradient = self.gradient(parameters)
            if learning.l1 or learning.l2:
                pairs = zip(
                    *(views(flat, self._sizes)[0] for flat in (gradient, parameters)), strict=True
                )
                for dW, W in pairs:
                    dW += reference.penalty_gradient(W, learning.l1, learning.l2)
            step(learning.optimizer, parameters, gradient, remembered, rate, number)
            scores.append(score)
        return scores

    def _forward(self, parameters: Floats) -> tuple[list[Floats], list[Floats]]:
        return reference.forward(self._X, *views(parameters, self._sizes), self._activation)

    def _score(self, logits: Floats) -> Score:
        return Score(
            float(reference.cross_entropy(logits, self._labels).mean()),
            float((logits.argmax(axis=1) == self._labels).mean()),
        )


def classify(
    parameters: Floats,
    sizes: tuple[int, ...],
    images: npt.NDArray[Any],
    probabilities: bool,
    activation: str = "relu",
) -> tuple[npt.NDArray[np.intp], Floats | None]:
    """Return the label of each image and, if asked for, the probabilities (n, outputs)."""
    X = scaled(images, parameters.dtype)
    _, As = reference.forward(X, *views(parameters, sizes), activation)
    return As[-1].argmax(axis=1), As[-1] if probabilities else None
