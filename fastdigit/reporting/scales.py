"""Axes of charts: from a value to a place in per cent, and round numbers to write beside it."""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from fastdigit.reporting.formats import significant

WIDE = 10
"""Ratio of the largest to the smallest value above which an axis is logarithmic."""
MOST_TICKS = 6
MARGIN = 1.12
"""Room beyond the outermost values, as a factor."""


class Tick(NamedTuple):
    """A round number on an axis."""

    place: float
    text: str


class Axis(NamedTuple):
    """One direction of a chart."""

    low: float
    high: float
    logarithmic: bool
    ticks: tuple[Tick, ...] = ()

    def place(self, value: float) -> float:
        """Return where a value lies, in per cent; what lies outside is moved to the end."""
        if self.logarithmic:
            value = max(value, self.low)
            found = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            found = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(found, 0.0), 1.0), 2)


def axis(
    values: Iterable[float], unit: str = "", logarithmic: bool | None = None, margin: float = MARGIN
) -> Axis:
    """Return an axis for values above 0: from 0, or logarithmic where they lie far apart."""
    found = [value for value in values if value > 0] or [1.0]
    low, high = min(found), max(found)
    if high / low > WIDE if logarithmic is None else logarithmic:
        bare = Axis(low / margin, high * margin, True)
        numbers = logarithmic_ticks(bare.low, bare.high)
    else:
        bare = Axis(0.0, high * MARGIN, False)
        numbers = linear_ticks(bare.high)
    return bare._replace(
        ticks=tuple(Tick(bare.place(number), shortest(number) + unit) for number in numbers)
    )


def linear_ticks(high: float) -> list[float]:
    """Return round numbers from 0 to at most `high`."""
    rough = high / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [number * step for number in range(int(high / step) + 1)]


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 in each power of ten, or fewer where these would be too many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        numbers = [factor * 10.0**power for power in powers for factor in factors]
        inside = [number for number in numbers if low <= number <= high]
        if len(inside) <= MOST_TICKS:
            return inside or [math.sqrt(low * high)]
    return inside[:: math.ceil(len(inside) / MOST_TICKS)]


def shortest(number: float) -> str:
    """Return a round number without zeros behind the point."""
    if number and not 1e-4 < number < 1e7:
        return f"{number:.0e}".replace("e-0", "e-").replace("e+0", "e+")
    for digits in (1, 2):
        if math.isclose(float(f"{number:.{digits - 1}e}"), number, rel_tol=1e-9):
            return significant(number, digits)
    return significant(number)


def apart(places: Iterable[float], least: float) -> list[float]:
    """Move places that lie too close to each other just so far apart that each has its room."""
    given = list(places)
    order = sorted(range(len(given)), key=given.__getitem__)
    moved = list(given)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + least)
    return moved
