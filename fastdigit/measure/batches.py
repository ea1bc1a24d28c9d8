"""Training with batches: the same updates, in the same order, in every implementation.

Gradient descent with momentum on the mean cross-entropy of each batch. A contender is given first
weights and the order of the images in each epoch, so that it must end where the others do.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.errors import DivergenceError
from fastdigit.history import History
from fastdigit.kernels import Problem, Trainer, trainer
from fastdigit.kernels.randomness import permutation
from fastdigit.kernels.steps import Learning
from fastdigit.measure.contenders import Turn
from fastdigit.measure.peers import Peer
from fastdigit.measure.result import Check
from fastdigit.mini_batch import MiniBatch
from fastdigit.network import Network
from fastdigit.optimizers import SGD
from fastdigit.schedules import rates, schedule
from fastdigit.settings import Settings, settings
from fastdigit.watch import Watch

Array = npt.NDArray[Any]

MOMENTUM = 0.9
CHECKED = 8
"""Whole batches, and a shorter one, after which the weights must be right."""
WITHIN = {"float32": 3e-4, "float64": 1e-10}
"""Norm of the difference that is allowed then, relative to the norm of the way that they came.

For 60,000 digits and the networks of bench/epochs.py, rounding is 2e-6 in float32; an image that is
left out is 1e-2, and 7e-4 in the last update. In more updates, some pre-activation comes so close
to 0 that rounding decides for one unit and image."""


class Task(NamedTuple):
    """The work that every contender is given."""

    images: Array
    """(n, features): bytes, which stand for themselves divided by 255, or floats."""
    labels: npt.NDArray[np.uint8]
    """(n,)"""
    sizes: tuple[int, ...]
    """Units of each layer, inputs first."""
    seed: int
    """Of the first weights, and of the order of the images."""
    threads: int
    batch_size: int = 128
    learning_rate: float = 0.1
    """The highest of the schedule."""
    epochs: int = 10
    """After so many it begins anew: weights that no longer change would be other work."""
    schedule: str = "constant"
    nesterov: bool = False
    label_smoothing: float = 0.0

    @property
    def optimizer(self) -> SGD:
        """What changes the weights."""
        return SGD(MOMENTUM, self.nesterov)

    @property
    def steps(self) -> int:
        """Updates in an epoch; the last batch may be shorter than the others."""
        return -(-len(self.labels) // self.batch_size)

    @property
    def rates(self) -> npt.NDArray[np.float64]:
        """The learning rate of each update of all epochs."""
        total = self.epochs * self.steps
        return rates(schedule(self.schedule), self.learning_rate, total, self.steps)


class Loop(ABC):
    """Training that is timed an epoch at a time: shuffling, gathering and updates."""

    backend: str

    def __init__(self, task: Task, dtype: str) -> None:
        self.task, self.dtype = task, dtype
        self.compile_seconds = 0.0
        started = time.perf_counter()
        self.prepare()
        self.prepare_seconds = time.perf_counter() - started - self.compile_seconds
        self.begin(task.seed)

    @abstractmethod
    def prepare(self) -> None:
        """Bring the images into the form that it reads, and make all memory.

        Where something is compiled, run it once here and add the time to ``compile_seconds``.
        """

    @abstractmethod
    def load(self, network: Network) -> None:
        """Begin with these weights, and with no velocity."""

    @abstractmethod
    def advance(self, order: npt.NDArray[np.int64], rates: npt.NDArray[np.float64]) -> None:
        """Make one update for each rate, a batch of the order each, and return when all is done."""

    @abstractmethod
    def parameters(self) -> Array:
        """Return a copy of the weights and biases so far, flat, as `Network.parameters`."""

    def begin(self, seed: int) -> None:
        """Begin anew, with the weights and the orders of a seed."""
        self.seed, self.epoch = seed, 0
        self.load(Network(self.task.sizes, self.dtype, seed))

    def run_epoch(self) -> None:
        """Train on for one epoch."""
        steps = self.task.steps
        order = permutation(self.seed, self.epoch, len(self.task.labels))
        self.advance(order, self.task.rates[self.epoch * steps :][:steps])
        self.epoch += 1

    def step(self, epochs: int) -> Turn:
        """Train on from where the last call ended; no loss and no accuracy are returned."""
        turn = Turn([], [], [])
        for _ in range(epochs):
            if self.epoch == self.task.epochs:
                self.begin(self.seed)
            started = time.perf_counter()
            self.run_epoch()
            turn.seconds.append(time.perf_counter() - started)
        self.check_finite()
        return turn

    def check_finite(self) -> None:
        """Raise DivergenceError if a weight is NaN or infinite."""
        if not np.isfinite(self.parameters()).all():
            raise DivergenceError("the weights are no longer finite")

    def check(self) -> Check:
        """Return how far it is from the NumPy twin in float64 after some updates."""
        task = self.task
        last = CHECKED * task.batch_size + len(task.labels) % task.batch_size
        order = permutation(task.seed, 0, len(task.labels))[-last:]
        steps = -(-len(order) // task.batch_size)
        self.begin(task.seed)
        self.advance(order, task.rates[:steps])
        found = self.parameters().astype(np.float64)
        self.begin(task.seed)
        twin = Kernels(task, "numpy", "float64")
        first = twin.parameters()
        twin.advance(order, task.rates[:steps])
        right = twin.parameters()
        return Check(
            what=f"weights after {steps} updates",
            difference=float(np.linalg.norm(found - right) / np.linalg.norm(right - first)),
            allowed=WITHIN[self.dtype],
        )


def _learning(task: Task) -> Learning:
    return Learning(task.optimizer, label_smoothing=task.label_smoothing)


class Kernels(Loop):
    """The loop of `fastdigit.fit`, with its loss, accuracy and means to go back, on a backend."""

    def __init__(self, task: Task, backend: str, dtype: str, storage: str = "auto") -> None:
        self.backend, self._storage = backend, storage
        super().__init__(task, dtype)

    def prepare(self) -> None:
        """Compile, or load what is compiled, with one image; then bring in all of them."""
        network = Network(self.task.sizes, self.dtype)
        images, labels = network.checked(self.task.images, self.task.labels)
        problem = Problem(network.sizes, network.dtype, images, labels)
        started = time.perf_counter()
        single = problem._replace(images=images[:1], labels=labels[:1])
        self._trainer_of(single, network).advance(np.zeros(1, np.int64), 0, 1, np.zeros(1))
        self.compile_seconds = time.perf_counter() - started
        self._images = images
        self._trainer = self._trainer_of(problem, network)
        self._first = self._trainer.state()

    def _trainer_of(self, problem: Problem, network: Network) -> Trainer:
        task = self.task
        given = (_learning(task), network.parameters, task.seed, task.batch_size)
        return trainer(problem, *given, self.backend, task.threads, self._storage)

    def load(self, network: Network) -> None:
        """Begin with these weights, and with no velocity."""
        self._trainer.restore({**self._first, "parameters": network.parameters})
        chosen = self._settings()
        self._run = MiniBatch(network, self._trainer, self._images, chosen)
        self._watch = Watch(None, chosen)
        self._history = History(self._trainer.backend, self._trainer.storage, self.task.threads)

    def _settings(self) -> Settings:
        task = self.task
        return settings(
            iterations=None,
            epochs=task.epochs,
            batch_size=task.batch_size,
            learning_rate=task.learning_rate,
            optimizer=task.optimizer,
            schedule=task.schedule,
            l1=0.0,
            l2=0.0,
            dropout=0.0,
            label_smoothing=task.label_smoothing,
            augment=None,
            patience=None,
            monitor="loss",
            every=None,
            seed=self.seed,
        )

    def run_epoch(self) -> None:
        """Train on for one epoch, as `fit` does when a callback wishes to stop after it."""
        self._run.run(self._history, self._watch, lambda: True, lambda: None)
        self.epoch += 1

    def advance(self, order: npt.NDArray[np.int64], rates: npt.NDArray[np.float64]) -> None:
        """Make one update for each rate."""
        self._trainer.advance(order, 0, self.task.batch_size, rates)

    def parameters(self) -> Array:
        """Return a copy of the weights and biases so far."""
        return self._trainer.parameters()


CONTENDERS: Mapping[str, Callable[[Task], Loop]] = {
    "sparse-f32": partial(Kernels, backend="numba", dtype="float32", storage="sparse"),
    "dense-f32": partial(Kernels, backend="numba", dtype="float32", storage="dense"),
    "reference-f32": partial(Kernels, backend="numpy", dtype="float32"),
    "reference-f64": partial(Kernels, backend="numpy", dtype="float64"),
}

PEERS: Mapping[str, Peer] = {
    "torch-eager": Peer("torch", "batch_pytorch", "Eager", "float32"),
    "torch-fused": Peer("torch", "batch_pytorch", "Fused", "float32"),
    "torch-compile": Peer("torch", "batch_pytorch", "Compiled", "float32"),
    "torch-manual": Peer("torch", "batch_pytorch", "Manual", "float32"),
    "torch-manual-columns": Peer("torch", "batch_pytorch", "Columns", "float32"),
    "jax-scan": Peer("jax", "batch_jax", "Scan", "float32"),
    "jax-scan-columns": Peer("jax", "batch_jax", "Columns", "float32"),
    "sklearn": Peer("sklearn", "batch_scikit_learn", "Classifier", "float32"),
}
"""Other libraries; *columns* store weights as (inputs, outputs), the others as (outputs, inputs),
since it depends on the processor and on the sizes which of the two is faster."""
