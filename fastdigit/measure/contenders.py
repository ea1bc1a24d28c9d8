"""Who is compared: one table of training loops, all with the same few methods."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastdigit.errors import DivergenceError
from fastdigit.kernels import Learning, Problem, objective
from fastdigit.measure import baseline
from fastdigit.network import Network

PRINTED_EVERY = 10
"""Iterations between the notebook's lines of progress."""


class Task(NamedTuple):
    """The work that every contender is given."""

    images: npt.NDArray[Any]
    """(m, features): bytes, which stand for themselves divided by 255, or floats."""
    labels: npt.NDArray[np.uint8]
    """(m,)"""
    sizes: tuple[int, int, int]
    """Inputs, hidden units, outputs."""
    seed: int
    """Of the first weights, drawn in float64 and then rounded to a contender's type."""
    learning_rate: float
    threads: int


class Turn(NamedTuple):
    """One record for each iteration; loss and accuracy are those before its update."""

    loss: list[float]
    accuracy: list[float]
    seconds: list[float]


class Contender(Protocol):
    """A training loop that can be run some iterations at a time."""

    dtype: str
    backend: str
    prepare_seconds: float
    """Bringing the images into the form that it reads."""
    compile_seconds: float
    """Compiling its kernels, or loading them from the cache; 0 where there is nothing to do."""

    def step(self, iterations: int) -> Turn:
        """Train on from where the last call ended."""

    def parameters(self) -> npt.NDArray[Any]:
        """Return the weights and biases so far, flat, in the order W1, b1, W2, b2."""


class Notebook:
    """The notebook's loop; see `baseline`."""

    dtype = "float64"
    backend = "numpy"
    compile_seconds = 0.0

    def __init__(self, task: Task) -> None:
        started = time.perf_counter()
        if task.images.dtype == np.uint8:
            self._X = baseline.as_columns(task.images)
        else:
            self._X = task.images.T.astype(np.float64)
        self._Y = task.labels
        self.prepare_seconds = time.perf_counter() - started
        network = first_network(task, self.dtype)
        (W1, W2), (b1, b2) = network.weights, network.biases
        self._parameters = baseline.Parameters(
            W1.copy(), b1.reshape(-1, 1).copy(), W2.copy(), b2.reshape(-1, 1).copy()
        )
        self._alpha = task.learning_rate
        self._done = 0

    def step(self, iterations: int) -> Turn:
        """Train on; the accuracy is timed where the notebook prints it, the loss never is."""
        turn = Turn([], [], [])
        X, Y = self._X, self._Y
        for _ in range(iterations):
            # What overflows is found below, where the loss is no longer finite.
            with np.errstate(over="ignore", invalid="ignore"):
                started = time.perf_counter()
                activations = baseline.forward(self._parameters, X)
                gradients = baseline.backward(activations, self._parameters.W2, X, Y)
                self._parameters = baseline.update(self._parameters, gradients, self._alpha)
                if self._done % PRINTED_EVERY == 0:
                    baseline.accuracy(activations.A2, Y)
                seconds = time.perf_counter() - started
            _record(
                turn,
                baseline.mean_loss(activations.A2, Y),
                baseline.accuracy(activations.A2, Y),
                seconds,
                self._done,
            )
            self._done += 1
        return turn

    def parameters(self) -> npt.NDArray[Any]:
        """Return W1, b1, W2, b2 in one array."""
        return baseline.flat(self._parameters)


class Kernels:
    """The loop of `fastdigit.fit` without its comforts."""

    def __init__(self, task: Task, backend: str, dtype: str, storage: str = "auto") -> None:
        self.backend = backend
        self.dtype = dtype
        self._network = first_network(task, dtype)
        images, labels = self._network.checked(task.images, task.labels)
        problem = Problem(self._network.sizes, self._network.dtype, images, labels)
        # Twice, so that importing the backend counts neither as preparing nor as compiling.
        single = problem._replace(images=images[:1], labels=labels[:1])
        warm_up = objective(single, backend, task.threads, storage)
        started = time.perf_counter()
        self._objective = objective(problem, backend, task.threads, storage)
        self.prepare_seconds = time.perf_counter() - started
        started = time.perf_counter()
        warm_up.descend(self._network.parameters.copy(), [], Learning(), np.zeros(1), 0)
        self.compile_seconds = time.perf_counter() - started if backend == "numba" else 0.0
        self._learning_rate = task.learning_rate
        self._done = 0

    def step(self, iterations: int) -> Turn:
        """Train on; loss and accuracy come with the gradient, so they are timed, too.

        All iterations are one call of the kernels; each counts for as much of its time.
        """
        turn = Turn([], [], [])
        parameters = self._network.parameters
        rates = np.full(iterations, self._learning_rate)
        started = time.perf_counter()
        with np.errstate(over="ignore", invalid="ignore"):
            scores = self._objective.descend(parameters, [], Learning(), rates, self._done)
        seconds = time.perf_counter() - started
        for score in scores:
            _record(turn, score.loss, score.accuracy, seconds / iterations, self._done)
            self._done += 1
        return turn

    def parameters(self) -> npt.NDArray[Any]:
        """Return W1, b1, W2, b2 in one array."""
        return self._network.parameters


def first_network(task: Task, dtype: str) -> Network:
    """Return the network that every contender begins with, in its own type."""
    return Network(task.sizes, dtype=dtype, seed=task.seed, init="uniform")


def learned(make: Callable[[Task], Contender], task: Task) -> npt.NDArray[Any]:
    """Return the weights of a new contender after one iteration, as `Contender.parameters`."""
    with large_floats():
        contender = make(task)
    contender.step(1)
    return contender.parameters()


@contextmanager
def large_floats() -> Iterator[None]:
    """Let images have large floats without a warning: some tasks have, to make logits large."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*look unscaled", category=UserWarning)
        yield


def _record(turn: Turn, loss: float, accuracy: float, seconds: float, iteration: int) -> None:
    if not np.isfinite(loss):
        raise DivergenceError(f"the loss is no longer finite at iteration {iteration}")
    turn.loss.append(loss)
    turn.accuracy.append(accuracy)
    turn.seconds.append(seconds)


BASE = "notebook"
"""Whose time every ratio is against."""
REFERENCE = "reference-f64"
"""Whose weights are the right ones."""

CHECKED = 3
"""Iterations after which a contender must agree with the reference before it is timed."""
WEIGHTS_WITHIN = {"float32": 1e-4, "float64": 1e-12}
"""Largest difference of a weight that is allowed then, by the contender's type. Products of PyTorch
that add up 41,000 float32 one by one are off by 3.3e-5 on AMD's processors."""

CONTENDERS: Mapping[str, Callable[[Task], Contender]] = {
    BASE: Notebook,
    REFERENCE: partial(Kernels, backend="numpy", dtype="float64"),
    "reference-f32": partial(Kernels, backend="numpy", dtype="float32"),
    "dense-f64": partial(Kernels, backend="numba", dtype="float64", storage="dense"),
    "dense-f32": partial(Kernels, backend="numba", dtype="float32", storage="dense"),
    "sparse-f64": partial(Kernels, backend="numba", dtype="float64", storage="sparse"),
    "sparse-f32": partial(Kernels, backend="numba", dtype="float32", storage="sparse"),
}
