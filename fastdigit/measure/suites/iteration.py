"""A full-batch iteration in every implementation."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastdigit.measure.contenders import (
    BASE,
    CHECKED,
    CONTENDERS,
    REFERENCE,
    WEIGHTS_WITHIN,
    Contender,
    Task,
    learned,
)
from fastdigit.measure.paired import Entrant, Topic
from fastdigit.measure.peers import PEERS
from fastdigit.measure.result import Check
from fastdigit.measure.suites import trials
from fastdigit.measure.suites.plan import OURS, Plan, Setting, Turns, against
from fastdigit.measure.worker import Worker

SIZES = (10, 10)
"""Hidden units and outputs."""
LEARNING_RATE = 0.1
Make = Callable[[Any], Any]
LIBRARIES = {
    "jax": "JAX",
    "torch": "PyTorch",
    "scipy": "SciPy",
    "sklearn": "scikit-learn",
}
"""Names of packages as people write them."""


def task_of(setting: Setting) -> Task:
    """Return the work: all images."""
    sizes = (setting.images.shape[1], *SIZES)
    return Task(setting.images, setting.labels, sizes, setting.seed, LEARNING_RATE, setting.threads)


def dtype_of(name: str) -> str:
    """Return the type that a contender computes in, by its name."""
    return "float32" if name.endswith("f32") else "float64"


def library_of(name: str) -> str:
    """Return what a contender of ours is built on."""
    make = CONTENDERS[name]
    plain = name == BASE or getattr(make, "keywords", {}).get("backend") == "numpy"
    return "numpy" if plain else OURS


def entrants(peers: bool) -> list[Entrant]:
    """Return all contenders, and with peers those of other libraries."""
    ours = [
        Entrant(name, library_of(name), dtype_of(name), make) for name, make in CONTENDERS.items()
    ]
    others = [
        Entrant(name, LIBRARIES[peer.package], peer.dtype, cast(Make, peer), peer.package)
        for name, peer in PEERS.items()
        if peers
    ]
    return ours + others


def agreement(task: Task) -> Callable[[Worker], Check]:
    """Return a check of a contender in its process: trials of ours first, then the work itself."""

    @cache
    def right() -> npt.NDArray[Any]:
        return weights(CONTENDERS[REFERENCE], task)

    def check(worker: Worker) -> Check:
        dtype = worker.ready.dtype
        if worker.name not in PEERS:
            trial = trials.put_to(worker.learn, dtype, task.threads, worker.name.startswith(BASE))
            if not trial["difference"] <= trial["allowed"]:
                return trial
        worker.step(CHECKED)
        return apart(worker.parameters(), right(), dtype)

    return check


def weights(make: Callable[[Task], Contender], task: Task) -> npt.NDArray[Any]:
    """Return what a contender has learned after `CHECKED` iterations, in this process."""
    contender = make(task)
    contender.step(CHECKED)
    return contender.parameters().copy()


def apart(found: npt.NDArray[Any], right: npt.NDArray[Any], dtype: str) -> Check:
    """Return how far weights are from the right ones."""
    return Check(
        what=f"weights after {CHECKED} iterations",
        difference=float(np.abs(found.astype(np.float64) - right).max()),
        allowed=WEIGHTS_WITHIN[dtype],
    )


@cache
def tried(make: Callable[[Task], Contender], dtype: str, threads: int, overflows: bool) -> Check:
    """Return what trials of a contender in this process find."""
    return trials.put_to(partial(learned, make), dtype, threads, overflows)


def prove(name: str, task: Task) -> Check:
    """Return what `agreement` finds, of a contender in this process; for `pytest`."""
    make, dtype = CONTENDERS[name], dtype_of(name)
    trial = tried(make, dtype, task.threads, name == BASE)
    if not trial["difference"] <= trial["allowed"]:
        return trial
    return apart(weights(make, task), weights(CONTENDERS[REFERENCE], task), dtype)


def plans(setting: Setting) -> list[Plan]:
    """Return the question."""
    task = task_of(setting)
    name = f"{'-'.join(map(str, task.sizes))}, full batch"
    topic = Topic(
        "iteration",
        name,
        "iteration",
        {"images": len(task.images), "threads": setting.threads},
    )
    plan = Turns(topic, entrants(setting.peers), task, agreement(task), BASE)
    return list(against(plan, setting.place) if setting.place else [plan])
