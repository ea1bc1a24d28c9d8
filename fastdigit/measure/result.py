"""What a benchmark leaves behind: one JSON document, the same for whoever wrote it.

`fastdigit bench`, `pytest --benchmark-only` and the scripts in bench/ write it; the report, the
README's tables and `--baseline` read it. Seconds are seconds, ratios say how many times as fast,
shares lie in 0..1. What was not measured is None; nothing in it names a host, a user or a path.
"""

import math
from collections.abc import Iterable
from functools import cache
from types import UnionType
from typing import (
    Any,
    Literal,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

SCHEMA = 2
"""Raised when a reader of the last one would misread the next."""

Verdict = Literal["faster", "slower", "too close to call"]


class Interval(TypedDict):
    """A median, and the ends of its 99 % bootstrap interval."""

    median: float
    low: float
    high: float


class Ratio(Interval):
    """How many times as fast as the base: its median by the contender's.

    Over the rounds in which nothing disturbed either of the two; over all, if there are too few.
    """

    rounds: int
    """How many counted."""
    paired: Interval
    """Of the ratios within each round, from which what slows a whole round down has gone: verdicts
    rest on this one."""


class Round(TypedDict):
    """One turn of one contender."""

    position: int
    """Its place in the order of the round, from 0."""
    seconds: list[float]
    """Of each repetition; where a library times many as one, their mean, as many times."""
    counted: float
    """What counts of them; see `interval.turn`."""
    speed: float | None
    """Of the processors just before and after, as a share of the fastest seen: 1 is undisturbed."""
    steal: float | None
    """Share of the processors' time that the hypervisor gave to others meanwhile."""
    others: int | None
    """Processes beside ours that were running or ready to, just before and after: the most."""
    disturbed: bool
    """Whether it counts only where there are too few that are not; see `paired.disturbs`."""


class Check(TypedDict):
    """How far something is from what is right; what is not a number is never right."""

    what: str
    """Such as "weights after 3 iterations"."""
    difference: float
    allowed: float


class Checked(TypedDict):
    """A check as it is recorded."""

    what: str
    difference: float | None
    """None if it was not a number, or infinite."""
    allowed: float


class Contender(TypedDict):
    """One way to do the work of a question."""

    name: str
    library: str
    dtype: str
    threads: int | None
    refused: str | None
    """Why it has no time: wrong, not installed, died. All that follows is then None or empty, but
    for the check that it failed."""
    check: Checked | None
    """What was compared before anything was timed."""
    import_seconds: float | None
    """Of the library, in a new process."""
    compile_seconds: float | None
    """Of everything it needs, without a cache."""
    cached_seconds: float | None
    """The same with one, as in every later start."""
    prepare_seconds: float | None
    """Bringing the data into the form that it reads."""
    rounds: list[Round]
    median_seconds: float | None
    """Of one repetition: the median, over the rounds that count, of the mean of each."""
    quartiles_seconds: list[float] | None
    ratio: Ratio | None
    """To the question's base; None for the base itself."""
    verdict: Verdict | None
    facts: dict[str, Any]
    """What else is worth knowing: accuracy, images a second, share of the limit."""


class Question(TypedDict):
    """Contenders that do the same work, timed in turns."""

    suite: str
    """kernels, iteration, training, scaling, predict or start-up."""
    name: str
    """Unique in the suite, such as "784-10-10, full batch, float32"."""
    repetition: str
    """What is timed once: "iteration", "epoch", "1,000,000 images"."""
    base: str
    """The contender that ratios are against."""
    noise_floor: float | None
    """How far a ratio of a contender to itself strayed from 1, as a share: the A/A run."""
    busy: str | None
    """Why no verdict is given, where the machine was never idle enough."""
    parameters: dict[str, Any]
    """What tells this question from its neighbours, such as {"threads": 2, "images": 41000}."""
    contenders: list[Contender]
    again: Contender | None
    """The base once more, in a process of its own: the A/A run, with its ratio to the first."""


class Result(TypedDict):
    """A whole run."""

    schema: int
    kind: str
    """Which command wrote it, such as "bench"."""
    machine: dict[str, Any]
    """See `fastdigit.measure.machine.machine`."""
    load_average_after: list[float] | None
    steal: float | None
    """Over the whole run; see `Round`."""
    settings: dict[str, Any]
    """Among them "command", "threads", "seed"."""
    data: dict[str, Any]
    """Among them "source", "fingerprint", "images", "share_of_zeros"."""
    wall_seconds: float
    parts: dict[str, float]
    """Seconds of the run by what was done: start, data, build, check, wait, time, roofline ..."""
    roofline: dict[str, Any] | None
    """What the machine can do and what the kernels reach; see `fastdigit.measure.roofline`."""
    questions: list[Question]


DOCUMENT = "the document"
_hints = cache(get_type_hints)


def misfit(value: Any, form: Any = Result, place: str = DOCUMENT) -> str | None:
    """Return the first place where what a file held is not what a type says; None if there is none.

    Parameters
    ----------
    value
        As `json` returns it; what the type does not know may be there as well.
    form
        `Result`, or a part of it.
    place
        What the value is called.
    """
    parts: Iterable[tuple[str | int, Any]]
    if is_typeddict(form) and isinstance(value, dict):
        parts = _hints(form).items()
    elif get_origin(form) is list and isinstance(value, list):
        parts = ((i, get_args(form)[0]) for i in range(len(value)))
    else:
        return None if _fits(value, form) else place
    for key, kind in parts:
        below = str(key) if place == DOCUMENT else f"{place}.{key}"
        if isinstance(value, dict) and key not in value:
            return below
        if found := misfit(value[key], kind, below):
            return found
    return None


def _fits(value: Any, form: Any) -> bool:
    kind = get_origin(form)
    if kind in (UnionType, Union):
        return any(misfit(value, part) is None for part in get_args(form))
    if kind is Literal:
        return value in get_args(form)
    if form is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if form is Any or is_typeddict(form):
        return form is Any  # what is a dictionary has been looked into
    return isinstance(value, kind or form)
