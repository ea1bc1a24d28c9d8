"""What a suite plans: questions, each with all that it takes to answer it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastdigit.measure import paired
from fastdigit.measure.idle import Watch
from fastdigit.measure.paired import Budget, Entrant, Topic
from fastdigit.measure.result import Check, Question
from fastdigit.measure.revision import Earlier, Place
from fastdigit.measure.worker import Worker

OURS = "fastdigit"
"""The library of the fused kernels: what an earlier revision is compared with."""
BUILDING = 2.0
"""Seconds that starting, building and checking a contender take, more or less."""


class Setting(NamedTuple):
    """What all suites are given."""

    images: npt.NDArray[np.uint8]
    """(n, features), to train on."""
    labels: npt.NDArray[np.uint8]
    """(n,)"""
    threads: int
    seed: int
    peers: bool
    """Whether other libraries take part."""
    place: Place | None = None
    """Of an earlier revision, if ours are to be compared with that, and with nothing else."""


class Run(NamedTuple):
    """How questions are answered."""

    seconds: float
    """For this question, building and checking included."""
    seed: int
    watch: Watch
    parts: dict[str, float]
    """To which seconds are added, by what was done; see `result.Result`."""
    progress: bool


class Plan(Protocol):
    """A question that can be answered."""

    @property
    def topic(self) -> Topic:
        """What is asked."""

    @property
    def weight(self) -> float:
        """How much of the time it needs, beside other questions."""

    def answer(self, run: Run) -> Question:
        """Find out."""


@dataclass(frozen=True)
class Turns:
    """A question whose contenders take turns; see `paired.ask`."""

    topic: Topic
    entrants: Sequence[Entrant]
    task: Any
    check: Callable[[Worker], Check]
    base: str
    facts: Callable[[Worker], dict[str, Any]] = lambda worker: {}
    budget: Budget = field(default_factory=Budget)
    """Its seconds are those that remain of a `Run`."""

    @property
    def weight(self) -> float:
        """As many contenders take part, and the base once more."""
        return len(self.entrants) + 1.0

    def answer(self, run: Run) -> Question:
        """Let them take turns."""
        timing = max(run.seconds / 4, run.seconds - BUILDING * self.weight)
        return paired.ask(
            self.topic,
            self.entrants,
            self.task,
            self.check,
            self.base,
            budget=self.budget._replace(seconds=timing),
            seed=run.seed,
            facts=self.facts,
            watch=run.watch,
            parts=run.parts,
            progress=run.progress,
        )


def against(plan: Turns, place: Place) -> list[Turns]:
    """Return a question for each of our contenders: how fast it is beside that of a revision."""
    found = []
    for entrant in plan.entrants:
        if entrant.library == OURS:
            earlier = entrant._replace(
                name=f"{entrant.name} of {place.revision}", make=Earlier(entrant.make, place)
            )
            topic = plan.topic._replace(name=f"{plan.topic.name}, {entrant.name}")
            found.append(replace(plan, topic=topic, entrants=[earlier, entrant], base=earlier.name))
    return found
