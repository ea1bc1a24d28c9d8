"""Labels of a million images, given as bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.measure.paired import Budget, Entrant, Topic
from fastdigit.measure.predictors import PREDICTORS, Entry, Question
from fastdigit.measure.result import Check
from fastdigit.measure.suites import trials
from fastdigit.measure.suites.iteration import LIBRARIES, SIZES
from fastdigit.measure.suites.plan import OURS, Plan, Setting, Turns, against
from fastdigit.measure.worker import Worker
from fastdigit.network import Network

IMAGES = 1_000_000
BASE, REFERENCE = "fastdigit", "reference"
EQUAL = 1e-4
"""Share of the labels that may differ: rounding may decide a tie."""
BUDGET = Budget(least_rounds=5, repetitions=1)
"""One repetition takes seconds elsewhere; the one before it wakes threads and fills caches."""


class Work(NamedTuple):
    """What `predictors.Question` asks, without a network: each process makes its own."""

    images: npt.NDArray[np.uint8]
    """(rows, features), repeated until there are enough."""
    total: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Make:
    """Builds a predictor; see `PREDICTORS`."""

    entry: Entry
    mine: bool

    def __call__(self, work: Work) -> "Proved":
        """Build it."""
        return Proved(self.entry, self.mine, work)

    @property
    def installed(self) -> bool:
        """Whether what it needs is there."""
        return self.entry.installed


class Proved:
    """A predictor that can be compared with the reference, in its process."""

    def __init__(self, entry: Entry, mine: bool, work: Work) -> None:
        self._question = question(work)
        self._predictor = entry(self._question)
        self._mine = mine
        self.dtype, self.backend = self._predictor.dtype, self._predictor.backend
        self.prepare_seconds = self._predictor.prepare_seconds
        self.compile_seconds = self._predictor.compile_seconds
        self.step = self._predictor.step

    def check(self) -> Check:
        """Return the share of labels unlike the reference's; of ours, in small trials as well."""
        if self._mine:
            for what, share in self._trials():
                if share:
                    return Check(what=what, difference=share, allowed=0.0)
        given = self._question
        self.step(1)
        found, right = self._predictor.labels(), right_labels(given.network, given.images)
        share = float((found != np.resize(right, given.total)).mean())
        return Check(what="labels", difference=share, allowed=EQUAL)

    def _trials(self) -> Iterator[tuple[str, float]]:
        counts = [(count, self._question.images.shape[1]) for count in trials.COUNTS]
        threads = sorted({1, self._question.threads})
        for count, features in counts:
            images, _ = trials.images(count, features)
            right = right_labels(self._question.network, images)
            for number in threads:
                wrong = float((self._predictor.label(images, number) != right).mean())
                yield f"labels of {count:,} images, {number} threads", wrong

    def facts(self) -> dict[str, Any]:
        """Return how many images are given at a time."""
        return {"images at a time": self._predictor.chunk_size()}


def question(work: Work) -> Question:
    """Return the work with its network: wide spread weights, so that every label occurs."""
    network = Network([work.images.shape[1], *SIZES], "float32", seed=work.seed, init="uniform")
    return Question(work.images, work.total, network, work.threads)


def right_labels(network: Network, images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return the labels that the reference finds."""
    return network.predict(images, backend="numpy")


def library_of(name: str) -> str:
    """Return what a predictor is built on."""
    if name in (BASE, REFERENCE):
        return {BASE: OURS, REFERENCE: "numpy"}[name]
    package = name.partition("-")[0]
    return LIBRARIES.get(package, package)


def package_of(name: str) -> str | None:
    """Return what a predictor imports that is not ours."""
    packages = PREDICTORS[name].packages
    return packages[-1] if packages else None


def check(worker: Worker) -> Check:
    """Compare a predictor with the reference, in its own process."""
    found: Check = worker.ask("check")
    return found


def facts(worker: Worker) -> dict[str, Any]:
    """Return how many images a predictor is given at a time."""
    found: dict[str, Any] = worker.ask("facts")
    return found


def plans(setting: Setting, images: int = IMAGES) -> list[Plan]:
    """Return the question."""
    work = Work(setting.images, images, setting.seed, setting.threads)
    names = PREDICTORS if setting.peers else (BASE, REFERENCE)
    entrants = [
        Entrant(
            name,
            library_of(name),
            "float32",
            Make(PREDICTORS[name], name == BASE),
            package_of(name),
        )
        for name in names
    ]
    topic = Topic(
        "predict",
        f"{'-'.join(map(str, (setting.images.shape[1], *SIZES)))}, bytes to labels",
        f"{images:,} images",
        {"images": images, "threads": setting.threads},
    )
    plan = Turns(topic, entrants, work, check, BASE, facts, BUDGET)
    return list(against(plan, setting.place) if setting.place else [plan])
