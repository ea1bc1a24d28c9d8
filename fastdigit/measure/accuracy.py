"""Whole trainings on MNIST, one seed after the other: how long they take, and what they reach."""

import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.history import History
from fastdigit.measure.batches import Loop, Task
from fastdigit.measure.contenders import Turn
from fastdigit.measure.result import Check
from fastdigit.network import Network
from fastdigit.recipes import RECIPES, Recipe
from fastdigit.training import fit

Array = npt.NDArray[Any]

CLASSES = 10
CHECKED = 3300, 5
"""Images, not a whole number of batches, and updates after which the weights must be right."""
WITHIN = 1e-3
"""Norm of the difference that is allowed then, relative to the norm of the way: 2e-5 was found with
Adam and elastic deformation, 1e-6 otherwise."""


class Goal(NamedTuple):
    """What is to be learned from, and what is scored."""

    images: npt.NDArray[np.uint8]
    """(n, features)"""
    labels: npt.NDArray[np.uint8]
    """(n,)"""
    test_images: npt.NDArray[np.uint8]
    """Looked at only to score a training that has ended."""
    test_labels: npt.NDArray[np.uint8]
    threads: int


class Trained(NamedTuple):
    """What a training leaves behind."""

    network: Network
    seconds: float
    """Shuffling, augmentation, gathering and updates, from prepared data."""


class Score(NamedTuple):
    """What a training has reached."""

    seed: int
    accuracy: float
    """On the test images, 0..1."""
    training_seconds: float
    """As `Trained.seconds`."""
    whole_seconds: float
    """From bytes in memory to a network: preparing and loading what is compiled included."""


class Trainings(ABC):
    """Whole trainings as a contender: each turn goes on with the next seeds."""

    dtype = "float32"
    backend: str
    prepare_seconds = 0.0
    compile_seconds = 0.0

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._turns, self._scores = count(), count()

    @abstractmethod
    def train(self, seed: int) -> Trained:
        """Train with first weights and orders of a seed."""

    @abstractmethod
    def check(self) -> Check:
        """Return how far it is from the NumPy twin in float64 after some updates."""

    def step(self, iterations: int) -> Turn:
        """Train so many times."""
        seconds = [self.train(next(self._turns)).seconds for _ in range(iterations)]
        return Turn([], [], seconds)

    def score(self) -> Score:
        """Train with the next seed, from 0 on, and score the network."""
        seed = next(self._scores)
        started = time.perf_counter()
        network, seconds = self.train(seed)
        whole = time.perf_counter() - started + self.prepare_seconds
        goal = self.goal
        found = network.accuracy(goal.test_images, goal.test_labels, threads=goal.threads)
        return Score(seed, found, seconds, whole)


class ByFit(Trainings):
    """A recipe, by `fastdigit.fit`."""

    backend = "numba"

    def __init__(self, goal: Goal, recipe: str) -> None:
        super().__init__(goal)
        self._recipe = RECIPES[recipe]
        first = slice(1)
        self.compile_seconds = self._fit(self._network(0), first, self._few(1)).compile_seconds

    def _network(self, seed: int, dtype: str = "float32") -> Network:
        return Network(sizes(self.goal, self._recipe), dtype, seed, self._recipe.init)

    def _fit(self, network: Network, images: slice, arguments: dict[str, Any]) -> History:
        goal = self.goal
        examples = goal.images[images], goal.labels[images]
        return fit(network, examples, threads=goal.threads, progress=False, **arguments)

    def _few(self, updates: int) -> dict[str, Any]:
        """Return the arguments of a training that ends early."""
        return self._recipe.fit | {"epochs": None, "iterations": updates}

    def train(self, seed: int) -> Trained:
        """Train by the recipe."""
        network = self._network(seed)
        history = self._fit(network, slice(None), self._recipe.fit | {"seed": seed})
        return Trained(network, history.train_seconds)

    def check(self) -> Check:
        """Compare with `fit` on NumPy."""
        images, updates = CHECKED
        found, right = self._network(0), self._network(0, "float64")
        first = right.parameters.copy()
        self._fit(found, slice(images), self._few(updates))
        self._fit(right, slice(images), self._few(updates) | {"backend": "numpy"})
        way = np.linalg.norm(right.parameters - first)
        return Check(
            what=f"weights after {updates} updates",
            difference=float(np.linalg.norm(found.parameters - right.parameters) / way),
            allowed=WITHIN,
        )


class ByLoop(Trainings):
    """A recipe without augmentation, by a loop that makes the same updates, in so many epochs."""

    def __init__(self, goal: Goal, recipe: str, epochs: int, make: Callable[[Task], Loop]) -> None:
        super().__init__(goal)
        self._loop = make(task_of(goal, recipe, epochs))
        self.backend = self._loop.backend
        self.prepare_seconds = self._loop.prepare_seconds
        self.compile_seconds = self._loop.compile_seconds

    def train(self, seed: int) -> Trained:
        """Train all epochs."""
        loop = self._loop
        loop.begin(seed)
        started = time.perf_counter()
        for _ in range(loop.task.epochs):
            loop.run_epoch()
        seconds = time.perf_counter() - started
        loop.check_finite()
        network = Network(loop.task.sizes, loop.dtype)
        network.parameters[:] = loop.parameters()
        return Trained(network, seconds)

    def check(self) -> Check:
        """Compare the loop with the NumPy twin."""
        return self._loop.check()


def sizes(goal: Goal, recipe: Recipe) -> tuple[int, ...]:
    """Return the units of each layer, inputs first."""
    return (goal.images.shape[1], *recipe.hidden, CLASSES)


def task_of(goal: Goal, name: str, epochs: int) -> Task:
    """Return a recipe as the work of loops that train with batches.

    Raises
    ------
    ValueError
        If the recipe has something that these loops do not.
    """
    recipe = RECIPES[name]
    more = recipe.fit | {"epochs": epochs}
    optimizer = more.pop("optimizer", None)
    if recipe.init != "he" or optimizer not in ("momentum", "nesterov") or "augment" in more:
        raise ValueError(f"recipe {name} has more than all contenders can do")
    layers, nesterov = sizes(goal, recipe), optimizer == "nesterov"
    return Task(goal.images, goal.labels, layers, 0, goal.threads, nesterov=nesterov, **more)


class Command:
    """A process of its own, from its start to its end, as a contender.

    Parameters
    ----------
    goal
        What the process learns.
    words
        What Python is told.
    recipe, model
        What it trains by, and where it saves the network, if it does.
    """

    dtype, backend = "float32", "process"
    prepare_seconds = compile_seconds = 0.0

    def __init__(
        self, goal: Goal, words: Sequence[str], recipe: str = "", model: Path | None = None
    ) -> None:
        self._goal, self._words, self._recipe, self._model = goal, words, recipe, model
        # What is installed has its bytecode beside it, and so should a checkout.
        hidden = "PYTHONDONTWRITEBYTECODE"
        self._environment = {k: v for k, v in os.environ.items() if k != hidden}

    def step(self, iterations: int) -> Turn:
        """Run it so many times."""
        return Turn([], [], [self._run() for _ in range(iterations)])

    def _run(self) -> float:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *self._words], env=self._environment, capture_output=True, text=True
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise ChildProcessError(f"exit code {done.returncode}: {done.stderr[-300:]}")
        return seconds

    def check(self) -> Check:
        """Run it, and compare the network that it saved with that of `fit`: no bit may differ."""
        self._run()
        if self._model is None:
            return Check(what="exit code", difference=0.0, allowed=0.0)
        found = Network.load(self._model).parameters
        right = ByFit(self._goal, self._recipe).train(0).network.parameters
        difference = float(np.abs(found - right).max())
        return Check(what="weights of the saved model", difference=difference, allowed=0.0)
