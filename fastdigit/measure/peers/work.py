"""What every peer has in common: how it is fed, and how it is timed."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.errors import DivergenceError
from fastdigit.measure.contenders import Task, Turn, first_network

Array = npt.NDArray[Any]


class Work(ABC):
    """A training loop that is timed a turn at a time.

    A subclass prepares the work in `prepare`, trains in `advance` and gives its weights in
    `layers`.
    """

    backend: str

    def __init__(self, task: Task, dtype: str) -> None:
        self.dtype = dtype
        self.task = task
        self.compile_seconds = 0.0
        started = time.perf_counter()
        self.prepare(*first_layers(task, dtype))
        self.prepare_seconds = time.perf_counter() - started - self.compile_seconds

    @abstractmethod
    def prepare(self, W1: Array, b1: Array, W2: Array, b2: Array) -> None:
        """Bring images and first weights, which are its own, into the form that the loop reads.

        Where something is compiled, run it once here and add the time to ``compile_seconds``.
        """

    @abstractmethod
    def advance(self, iterations: int) -> None:
        """Train on, and return when all is computed."""

    @abstractmethod
    def layers(self) -> Sequence[Array]:
        """Return W1 (hidden, features), b1 (hidden,), W2 (outputs, hidden), b2 (outputs,)."""

    def step(self, iterations: int) -> Turn:
        """Train on from where the last call ended; no loss and no accuracy are computed.

        The iterations of a turn are timed as one, since a library may begin with the next before
        one is finished; each is given its share.
        """
        started = time.perf_counter()
        self.advance(iterations)
        seconds = self.seconds(started)
        if not np.isfinite(self.parameters()).all():
            raise DivergenceError("the weights are no longer finite")
        return Turn([], [], [seconds / iterations] * iterations)

    def seconds(self, started: float) -> float:
        """Return how long the turn that has just ended took."""
        return time.perf_counter() - started

    def parameters(self) -> Array:
        """Return the weights and biases so far, flat, in the order W1, b1, W2, b2."""
        return np.concatenate([np.ravel(layer) for layer in self.layers()])


def first_layers(task: Task, dtype: str) -> list[Array]:
    """Return W1, b1, W2, b2, all with memory of their own."""
    network = first_network(task, dtype)
    pairs = zip(network.weights, network.biases, strict=True)
    return [array.copy() for pair in pairs for array in pair]


def scaled(images: Array, dtype: str) -> Array:
    """Return images (m, features) as floats: bytes divided by 255, floats as they are."""
    X = images.astype(dtype)
    if images.dtype == np.uint8:
        X /= 255
    return X


def one_hot(task: Task, dtype: str) -> Array:
    """Return a matrix (m, outputs) with a 1 at each image's label."""
    rows: Array = np.eye(task.sizes[-1], dtype=dtype)[task.labels]
    return rows
