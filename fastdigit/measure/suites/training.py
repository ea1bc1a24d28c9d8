"""A whole training, from bytes in memory to trained weights.

Full batch: 500 iterations of the classic network, as the notebooks do, preparing included. With
batches: an epoch, see `epochs`.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy.typing as npt

from fastdigit import training
from fastdigit.measure.contenders import (
    BASE,
    CHECKED,
    CONTENDERS,
    REFERENCE,
    Task,
    Turn,
    first_network,
    large_floats,
)
from fastdigit.measure.paired import Budget, Entrant, Topic
from fastdigit.measure.result import Check
from fastdigit.measure.suites import epochs, trials
from fastdigit.measure.suites.iteration import apart, task_of, weights
from fastdigit.measure.suites.plan import OURS, Plan, Setting, Turns, against
from fastdigit.measure.worker import Worker

ITERATIONS = 500

Learn = Callable[[Task, int], npt.NDArray[Any]]
"""Returns the weights after so many iterations."""


def by_notebook(task: Task, iterations: int) -> npt.NDArray[Any]:
    """Train as the notebook does."""
    contender = CONTENDERS[BASE](task)
    contender.step(iterations)
    return contender.parameters()


def by_fit(
    task: Task, iterations: int, dtype: str, backend: str = "numba", storage: str = "auto"
) -> npt.NDArray[Any]:
    """Train by `fastdigit.fit`."""
    network = first_network(task, dtype)
    training.fit(
        network,
        (task.images, task.labels),
        iterations=iterations,
        learning_rate=task.learning_rate,
        backend=backend,
        storage=storage,
        threads=task.threads,
        progress=False,
    )
    return network.parameters


class Way(NamedTuple):
    """A way to train."""

    library: str
    dtype: str
    learn: Learn
    overflows: bool = False
    """Whether it fails where logits are large."""


WAYS: Mapping[str, Way] = {
    BASE: Way("numpy", "float64", by_notebook, overflows=True),
    "fit-numpy-f64": Way("numpy", "float64", partial(by_fit, dtype="float64", backend="numpy")),
    "fit-f64": Way(OURS, "float64", partial(by_fit, dtype="float64")),
    "fit-f32": Way(OURS, "float32", partial(by_fit, dtype="float32")),
}


class Training:
    """A whole training, as a contender."""

    prepare_seconds = 0.0
    """Part of the time."""

    def __init__(self, task: Task, way: Way, iterations: int = ITERATIONS) -> None:
        self.backend, self.dtype, self._learn, self._overflows = way
        self._task, self._iterations = task, iterations
        few = task._replace(images=task.images[:1], labels=task.labels[:1])
        started = time.perf_counter()
        self._learn(few, 1)
        self.compile_seconds = time.perf_counter() - started if self.backend == OURS else 0.0

    def step(self, iterations: int) -> Turn:
        """Train so many times."""
        turn = Turn([], [], [])
        for _ in range(iterations):
            started = time.perf_counter()
            self._learn(self._task, self._iterations)
            turn.seconds.append(time.perf_counter() - started)
        return turn

    def check(self) -> Check:
        """Return how far it is from the reference: in trials, and on the work itself."""

        def learn(task: Task) -> npt.NDArray[Any]:
            with large_floats():
                return self._learn(task, 1)

        task = self._task
        trial = trials.put_to(learn, self.dtype, task.threads, self._overflows)
        if not trial["difference"] <= trial["allowed"]:
            return trial
        right = weights(CONTENDERS[REFERENCE], task)
        return apart(self._learn(task, CHECKED), right, self.dtype)


def check(worker: Worker) -> Check:
    """Compare a way to train with the reference, in its own process."""
    found: Check = worker.ask("check")
    return found


def plans(setting: Setting) -> list[Plan]:
    """Return the questions: all images at once, and batches."""
    task = task_of(setting)
    entrants = [
        Entrant(name, way.library, way.dtype, partial(Training, way=way))
        for name, way in WAYS.items()
    ]
    topic = Topic(
        "training",
        f"{'-'.join(map(str, task.sizes))}, {ITERATIONS} iterations, full batch",
        f"training of {ITERATIONS} iterations",
        {"images": len(task.images), "threads": setting.threads, "iterations": ITERATIONS},
    )
    budget = Budget(least_rounds=2, repetitions=1, warm_up=0)
    plan = Turns(topic, entrants, task, check, BASE, budget=budget)
    found = list(against(plan, setting.place) if setting.place else [plan])
    return [*found, *epochs.plans(setting)]
