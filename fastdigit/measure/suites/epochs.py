"""An epoch of training with batches, beside other libraries."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from fastdigit.measure.batches import CONTENDERS, PEERS, Task
from fastdigit.measure.paired import Budget, Entrant, Topic
from fastdigit.measure.result import Check
from fastdigit.measure.suites.iteration import LIBRARIES
from fastdigit.measure.suites.plan import OURS, Plan, Setting, Turns, against
from fastdigit.measure.worker import Worker


def base(task: Task) -> str:
    """Return the contender that `fit` would choose for the images."""
    return "sparse-f32" if task.images.dtype == np.uint8 else "dense-f32"


def entrants(task: Task, peers: bool) -> list[Entrant]:
    """Return all who can do a task, the base first."""
    ours = [
        Entrant(
            name,
            "numpy" if name.startswith("reference") else OURS,
            "float64" if name.endswith("f64") else "float32",
            make,
        )
        for name, make in CONTENDERS.items()
        if task.images.dtype == np.uint8 or name != "sparse-f32"
    ]
    others = [
        Entrant(
            name,
            LIBRARIES[peer.package],
            peer.dtype,
            cast(Callable[[Any], Any], peer),
            peer.package,
        )
        for name, peer in PEERS.items()
        if peers
    ]
    return ours + others


def check(worker: Worker) -> Check:
    """Compare a contender with the NumPy twin, in its own process."""
    found: Check = worker.ask("check")
    return found


def plan(task: Task, peers: bool, data: str = "") -> Turns:
    """Return the question how long an epoch takes; `data` is a word on the images, for its name."""
    name = f"{'-'.join(map(str, task.sizes))}, batches of {task.batch_size}"
    topic = Topic(
        "training",
        f"{name}, {data}" if data else name,
        "epoch",
        {"images": len(task.labels), "threads": task.threads, "batch_size": task.batch_size},
    )
    budget = Budget(repetitions=1)
    return Turns(topic, entrants(task, peers), task, check, base(task), budget=budget)


def plans(setting: Setting) -> list[Plan]:
    """Return the question for one hidden layer of 128 units."""
    sizes = (setting.images.shape[1], 128, 10)
    task = Task(setting.images, setting.labels, sizes, setting.seed, setting.threads)
    found = plan(task, setting.peers)
    return list(against(found, setting.place) if setting.place else [found])
