"""Schedules: the learning rate of every step, known before training starts.

They use + - * / alone, which every processor rounds alike; the sine is a series of our own.
"""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.optimizers import power

Rates = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


def _check_share(name: str, value: float) -> None:
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{name}={value!r}; it must be a share, 0 to 1")


@dataclass(frozen=True)
class Constant:
    """The same learning rate at every step."""

    def shares(self, numbers: Numbers, steps: int, steps_an_epoch: int) -> Rates:
        """Return the share of the peak at the steps of these numbers."""
        return np.ones(len(numbers))


@dataclass(frozen=True)
class Step:
    """The learning rate is multiplied by a factor every so many epochs."""

    every: int = 10
    """Epochs from one change to the next."""
    factor: float = 0.1

    def __post_init__(self) -> None:
        if not isinstance(self.every, Integral) or self.every < 1:
            raise ValueError(f"every={self.every!r}; it must be a whole number of at least 1")
        if not isinstance(self.factor, Real) or not 0 < self.factor < float("inf"):
            raise ValueError(f"factor={self.factor!r}; it must be a positive number")

    def shares(self, numbers: Numbers, steps: int, steps_an_epoch: int) -> Rates:
        """Return the share of the peak at the steps of these numbers."""
        # Beyond what steps are counted in, it never changes.
        every = min(int(self.every) * steps_an_epoch, np.iinfo(np.int64).max)
        changes, place = np.unique(numbers // every, return_inverse=True)
        powers = [power(self.factor, change) for change in changes.tolist()]
        return np.array(powers)[place]


@dataclass(frozen=True)
class Linear:
    """A line up to the peak, then a line down that would be 0 one step after the last."""

    warm_up: float = 0.2
    """Share of all steps on the way up, the peak included; there is at least one such step."""

    def __post_init__(self) -> None:
        _check_share("warm_up", self.warm_up)

    def shares(self, numbers: Numbers, steps: int, steps_an_epoch: int) -> Rates:
        """Return the share of the peak at the steps of these numbers."""
        rise, fall = _lines(numbers, steps, self.warm_up)
        return np.minimum(rise, fall)


@dataclass(frozen=True)
class Cosine:
    """A line up to the peak, then half a wave of the cosine down (arXiv:1608.03983)."""

    warm_up: float = 0.0
    """Share of all steps on the way up, the peak included; there is at least one such step."""
    end: float = 0.0
    """Share of the peak that the wave would reach one step after the last, 0..1."""

    def __post_init__(self) -> None:
        _check_share("warm_up", self.warm_up)
        _check_share("end", self.end)

    def shares(self, numbers: Numbers, steps: int, steps_an_epoch: int) -> Rates:
        """Return the share of the peak at the steps of these numbers."""
        rise, fall = _lines(numbers, steps, self.warm_up)
        # (1 + cos(pi t)) / 2 is the square of the sine of (1 - t) pi / 2, and 1 - t is `fall`.
        wave: Rates = sine(np.minimum(fall, 1) * (math.pi / 2))
        return np.minimum(rise, self.end + (1 - self.end) * (wave * wave))


Schedule = Constant | Step | Linear | Cosine

NAMED: dict[str, Schedule] = {
    "constant": Constant(),
    "step": Step(),
    "cosine": Cosine(),
    "linear": Linear(),
}


def schedule(chosen: str | Schedule) -> Schedule:
    """Return the schedule of a name, or the one that was given.

    Raises
    ------
    ValueError
        For any other name.
    """
    if isinstance(chosen, Schedule):
        return chosen
    if not isinstance(chosen, str) or chosen not in NAMED:
        names = ", ".join(map(repr, NAMED))
        raise ValueError(
            f"schedule={chosen!r}; the schedules are {names}, and Step, Linear or Cosine of "
            "your own numbers"
        )
    return NAMED[chosen]


def rates(
    schedule: Schedule,
    peak: float,
    steps: int,
    steps_an_epoch: int,
    first: int = 0,
    last: int | None = None,
) -> Rates:
    """Return the learning rate of each step from `first` on to before `last`, by default of all.

    Parameters
    ----------
    schedule
        The curve.
    peak
        Its highest point.
    steps, steps_an_epoch
        Of the whole training, and of one epoch.
    """
    numbers = np.arange(first, steps if last is None else last)
    return float(peak) * schedule.shares(numbers, steps, steps_an_epoch)


def sine(x: Any) -> Any:
    """Return the sine of 0..pi/2 by its Taylor series, within 3e-16."""
    # The first term left out, x^23 / 23!, is at most 1.3e-18.
    squares = x * x
    series: Any = 0.0
    for n in range(21, 1, -2):
        series = (series + (-1) ** (n // 2) / math.factorial(n)) * squares
    return np.minimum(x + x * series, 1)


def _lines(numbers: Numbers, steps: int, warm_up: float) -> tuple[Rates, Rates]:
    """Return two lines, at some steps, that are 1 at the last step of the warm-up.

    The first is 0 one step before the first step, the second 0 one step after the last.
    """
    warm = max(1, round(warm_up * steps))
    return (numbers + 1) / warm, (steps - numbers) / (steps - warm + 1)
