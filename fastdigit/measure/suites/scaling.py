"""What more threads give, and whether an image takes the same time, however many there are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fastdigit.data import make_digits
from fastdigit.measure.contenders import CONTENDERS, Contender, Task
from fastdigit.measure.paired import Budget, Entrant, Topic
from fastdigit.measure.result import Check
from fastdigit.measure.roofline import thread_counts
from fastdigit.measure.suites import iteration, trials
from fastdigit.measure.suites.plan import OURS, Plan, Setting, Turns, against
from fastdigit.measure.worker import Worker

NAMES = ("dense-f32", "sparse-f32")
BASE = NAMES[0]
IMAGES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
BUDGET = Budget(least_rounds=5)


class Drawn(NamedTuple):
    """Built-in digits, which each process draws itself: a million of them are 784 MB."""

    images: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Make:
    """Builds a contender for digits that are drawn first, or for the images of a task."""

    make: Callable[[Task], Contender]

    def __call__(self, task: Drawn | Task) -> Contender:
        """Build it."""
        return self.make(task if isinstance(task, Task) else drawn(task))


def drawn(task: Drawn) -> Task:
    """Return the work on digits that are drawn now."""
    digits = make_digits(task.images, seed=task.seed)
    assert digits.labels is not None
    sizes = (digits.images.shape[1], *iteration.SIZES)
    return Task(
        digits.images, digits.labels, sizes, task.seed, iteration.LEARNING_RATE, task.threads
    )


def in_trials(threads: int) -> Callable[[Worker], Check]:
    """Return a check by trials alone: the reference would need 6 GB for a million images."""
    return lambda worker: trials.put_to(worker.learn, worker.ready.dtype, threads)


def plans(setting: Setting) -> list[Plan]:
    """Return a question for the threads of each contender, and one for each number of images."""
    found = [by_threads(name, setting) for name in NAMES if setting.threads > 1]
    entrants = [
        Entrant(name, OURS, iteration.dtype_of(name), Make(CONTENDERS[name])) for name in NAMES
    ]
    for images in IMAGES:
        task_drawn = Drawn(images, setting.seed, setting.threads)
        topic = Topic(
            "scaling",
            f"{images:,} images",
            "iteration",
            {"threads": setting.threads, "images": images, "data": "built-in digits"},
        )
        right = in_trials(setting.threads)
        found.append(Turns(topic, entrants, task_drawn, right, BASE, budget=BUDGET))
    place = setting.place
    return [plan for one in found for plan in (against(one, place) if place else [one])]


def by_threads(name: str, setting: Setting) -> Turns:
    """Return the question what more threads give a contender, which takes part with each number."""
    work = iteration.task_of(setting)
    counts = thread_counts(setting.threads)
    checks = {threads: iteration.agreement(work._replace(threads=threads)) for threads in counts}
    entrants = [
        Entrant(
            f"{name}, {threads} thread{'s' * (threads > 1)}",
            OURS,
            iteration.dtype_of(name),
            Make(CONTENDERS[name]),
            threads=threads,
        )
        for threads in counts
    ]

    def right(worker: Worker) -> Check:
        return checks[worker.threads](worker)

    topic = Topic(
        "scaling",
        f"{name}, more threads",
        "iteration",
        {"images": len(work.images), "data": "as given"},
    )
    return Turns(topic, entrants, work, right, entrants[0].name, budget=BUDGET)
