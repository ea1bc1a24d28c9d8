"""Small tasks that a wrong kernel fails, whatever the task that is timed.

Among 41,000 images one that is left out changes no weight by more than rounding does. So before
anything is timed, it has to learn from these: images that fill no vector and some that do, too few
for all threads, enough for several tiles, logits of hundreds; each with one thread and with all.
Pixels and labels are drawn without any pattern, so that no image agrees with the others, and each
that is missing, or counted twice, shows.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.kernels.groups import MOST_IN_TILE
from fastdigit.kernels.parallel import PIECES
from fastdigit.kernels.transposition import lanes_of
from fastdigit.measure.contenders import CONTENDERS, REFERENCE, Task, first_network, learned
from fastdigit.measure.result import Check

Array = npt.NDArray[Any]

FEATURES, HIDDEN, CLASSES = 784, 10, 10
FEW = 13
"""Features where there are many images: no whole number of vectors, words or pairs."""
LANES = lanes_of("float32")
"""The most of all types."""
TILES = PIECES * MOST_IN_TILE * LANES
"""Images that fill one tile in each piece; there are more tiles in types with fewer lanes."""
MANY = TILES + 5 * LANES + 3
COUNTS = (1, LANES, 4 * LANES + 3, (PIECES + 1) * LANES + 3)
"""One image; a full vector; odd ones; some more than there are pieces."""
LEARNING_RATE = 1.0
WITHIN = {"float32": 1e-4, "float64": 1e-12}
"""Relative to the norm of the step. One image of `MANY` is 5e-3 of it; rounding is 2e-5 at most, in
the sums of BLAS, and 1e-6 in our kernels."""

Learn = Callable[[Task], Array]
"""Returns the weights after one iteration of a task: `Worker.learn`, or `contenders.learned`."""


class Trial(NamedTuple):
    """A task that reveals what is wrong."""

    what: str
    task: Task
    large: bool = False
    """Whether logits are so large that e^z overflows."""


def images(count: int, features: int) -> tuple[Array, npt.NDArray[np.uint8]]:
    """Return images (count, features) as bytes, half of them 0, some all black; and labels."""
    random = np.random.RandomState(count)
    drawn = random.randint(1, 256, (count, features)) * (random.rand(count, features) < 0.5)
    drawn[5::7] = 0
    return drawn.astype(np.uint8), random.randint(0, 10, count).astype(np.uint8)


@cache
def trials(threads: int) -> tuple[Trial, ...]:
    """Return all trials of a contender that is timed with so many threads."""
    few = [_trial(count, FEATURES, number) for count in COUNTS for number in sorted({1, threads})]
    large = _trial(COUNTS[2], FEATURES, threads)
    # Weights are below 0.5: it takes such floats to make logits of several hundred.
    floats = large.task._replace(images=large.task.images.astype(np.float32))
    return (
        *few,
        _trial(MANY, FEW, threads),
        Trial(f"{large.what}, logits of hundreds", floats, large=True),
    )


def _trial(count: int, features: int, threads: int) -> Trial:
    what = f"{count:,} images, {threads} thread{'s' * (threads > 1)}"
    sizes = (features, HIDDEN, CLASSES)
    return Trial(what, Task(*images(count, features), sizes, 1, LEARNING_RATE, threads))


@cache
def _right(number: int, threads: int) -> Array:
    """Return what the reference learns of a trial."""
    return learned(CONTENDERS[REFERENCE], trials(threads)[number].task)


def put_to(learn: Learn, dtype: str, threads: int, overflows: bool = False) -> Check:
    """Return how far a contender was from the reference in the trial where it was furthest.

    Parameters
    ----------
    learn
        Lets it learn.
    dtype
        The type in which it computes.
    threads
        With which it is timed.
    overflows
        Whether it is known to fail where logits are large, so that this is not asked of it.

    Returns
    -------
    Check
        Differences are relative to the norm of the right step.
    """
    worst, where = 0.0, ""
    for number, trial in enumerate(trials(threads)):
        if overflows and trial.large:
            continue
        first = first_network(trial.task, "float64").parameters
        right = _right(number, threads) - first
        error = float(np.linalg.norm(learn(trial.task) - first - right) / np.linalg.norm(right))
        if not error <= worst:
            worst, where = error, trial.what
        if not error <= WITHIN[dtype]:
            break
    return Check(what=f"step of {where}", difference=worst, allowed=WITHIN[dtype])
