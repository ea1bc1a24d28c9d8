"""How sure a ratio of two medians is, and what may be said of it.

Rounds are drawn again, with replacement, both turns of a round together: what slowed down both of
them then cancels out as it did when they were measured.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastdigit.measure.result import Interval, Ratio, Verdict

CONFIDENCE = 0.99
RESAMPLES = 1000
THIRDS = 3


def turn(seconds: Sequence[float]) -> float:
    """Return what a turn says of a repetition: the mean of the fastest third of it.

    Thirds are neighbours in time. Interruptions are short, and only ever make something slower: on
    a machine from which the hypervisor took a tenth, ratios of two turns spread by 13 to 28 %
    around the truth in this way, and by 26 to 53 % with the mean of the whole turn. All turns that
    are compared have thirds, or none has.

    Parameters
    ----------
    seconds
        Of each repetition; the mean of less than three is returned.
    """
    if len(seconds) < THIRDS:
        return float(np.mean(seconds))
    return float(min(part.mean() for part in np.array_split(np.asarray(seconds), THIRDS)))


def ratio(base: Sequence[float], other: Sequence[float], seed: int = 0) -> Ratio:
    """Return how many times as fast as the base something is, with 99 % bootstrap intervals.

    The ratio of the two medians keeps what slowed down some rounds as a whole, and so its interval
    is wide on a machine that drifts; that of the ratios within the rounds is not. In a simulation
    with a drift of 7 % from round to round, 40 rounds gave half-widths of 7 % and 2.5 %.

    Parameters
    ----------
    base, other
        Seconds in each round, both in the same rounds, at least one.
    seed
        Draws the samples.
    """
    seconds = np.array([base, other])
    rounds = seconds.shape[1]
    drawn = np.random.default_rng(seed).integers(0, rounds, (RESAMPLES, rounds))
    return Ratio(
        **_interval(_of_medians(seconds), _of_medians(seconds[:, drawn])),
        rounds=rounds,
        paired=_interval(_within(seconds), _within(seconds[:, drawn])),
    )


def half_width(found: Interval) -> float:
    """Return half of an interval, as a share of its median."""
    return (found["high"] - found["low"]) / 2 / found["median"]


def noise_floor(again: Ratio) -> float:
    """Return how far from 1 the ratio of something to itself may be, as a share.

    Parameters
    ----------
    again
        Of the same work in two processes: how far it strayed, and how sure that is.
    """
    return max(abs(again["paired"]["median"] - 1), half_width(again["paired"]))


def verdict(found: Ratio, floor: float) -> Verdict:
    """Return whether something is faster or slower: only where 1 is well outside the interval.

    Parameters
    ----------
    found
        To the base.
    floor
        The noise floor, as a share, by which the interval is widened on both sides.
    """
    if found["paired"]["low"] > 1 + floor:
        return "faster"
    if found["paired"]["high"] < 1 / (1 + floor):
        return "slower"
    return "too close to call"


Seconds = npt.NDArray[np.float64]
"""(2, ..., rounds): of the base, and of the other."""


def _of_medians(seconds: Seconds) -> Seconds:
    base, other = np.median(seconds, axis=-1)
    result: Seconds = base / other
    return result


def _within(seconds: Seconds) -> Seconds:
    base, other = seconds
    result: Seconds = np.median(base / other, axis=-1)
    return result


def _interval(median: Seconds, drawn: Seconds) -> Interval:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(median=float(median), low=float(low), high=float(high))
