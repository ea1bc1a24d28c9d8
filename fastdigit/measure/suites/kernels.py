"""Each fused kernel beside its NumPy twin."""

import time
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.measure.contenders import Turn
from fastdigit.measure.paired import Entrant, Topic
from fastdigit.measure.result import Check
from fastdigit.measure.suites.pairs import PAIRS, Inputs, Pair, furthest
from fastdigit.measure.suites.plan import OURS, Plan, Setting, Turns, against
from fastdigit.measure.worker import Worker

ROWS = 10_000
"""Images: enough to fill the caches, and few enough to make eight questions short."""
REFERENCE, FUSED = "reference", "fused"


class Task(NamedTuple):
    """Images, whatever is asked of them."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    threads: int


class Half:
    """One implementation of a kernel, as a contender."""

    def __init__(self, task: Task, pair: Pair, dtype: str, implementation: str) -> None:
        self.dtype = dtype
        self.backend = OURS if implementation == FUSED else "numpy"
        self._pair, self._twin = pair, implementation == REFERENCE
        self._given = Inputs(task.images, task.labels, dtype, threads=task.threads)
        started = time.perf_counter()
        call = pair(self._given)
        self.prepare_seconds = time.perf_counter() - started
        self._call = call
        self._run = getattr(call, implementation)
        started = time.perf_counter()
        self._run()
        self.compile_seconds = 0.0 if self._twin else time.perf_counter() - started

    def step(self, iterations: int) -> Turn:
        """Call it so many times."""
        turn = Turn([], [], [])
        for _ in range(iterations):
            started = time.perf_counter()
            self._run()
            turn.seconds.append(time.perf_counter() - started)
        return turn

    def check(self) -> Check:
        """Return how far it is from the reference in float64, where it is furthest."""
        return furthest(self._pair, self._given, self._twin)

    def facts(self) -> dict[str, Any]:
        """Return the work of one call."""
        return {"operations": self._call.operations, "bytes": self._call.bytes}


@dataclass(frozen=True)
class Make:
    """Builds one implementation of a kernel."""

    pair: Pair
    dtype: str
    implementation: str

    def __call__(self, task: Task) -> Half:
        """Build it."""
        return Half(task, self.pair, self.dtype, self.implementation)


def check(worker: Worker) -> Check:
    """Compare a kernel with the reference, in its own process."""
    found: Check = worker.ask("check")
    return found


def facts(worker: Worker) -> dict[str, Any]:
    """Return the work of one call."""
    found: dict[str, Any] = worker.ask("facts")
    return found


def plans(setting: Setting) -> list[Plan]:
    """Return a question for each kernel and type."""
    images, labels = setting.images[:ROWS], setting.labels[:ROWS]
    task = Task(images, labels, setting.threads)
    found = []
    for (kernel, pair), dtype in product(PAIRS.items(), ("float32", "float64")):
        entrants = [
            Entrant(REFERENCE, "numpy", dtype, Make(pair, dtype, REFERENCE)),
            Entrant(FUSED, OURS, dtype, Make(pair, dtype, FUSED)),
        ]
        topic = Topic(
            "kernels",
            f"{kernel}, {dtype}",
            "call",
            {"kernel": kernel, "images": len(images), "threads": setting.threads},
        )
        plan = Turns(topic, entrants, task, check, REFERENCE, facts)
        found += against(plan, setting.place) if setting.place else [plan]
    return list(found)
