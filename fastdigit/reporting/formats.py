"""How numbers are written: here and nowhere else, each with the place that it comes from."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fastdigit.reporting.entry import Entry

NOTHING = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
SHORT = 6
"""Characters of a number that is written in full."""
MANY = 12
"""Entries of a list or an object that are shown."""
DIGITS = 3
"""Significant ones; whole numbers keep all of theirs."""


class Number(NamedTuple):
    """A number as it is shown, and as it is."""

    text: str
    value: float
    source: str
    """Where it stands in the document, such as "questions.0.contenders.1.median_seconds"; a
    quotient has both places, with a stroke between them."""


Piece = str | Number
Text = Piece | Sequence[Piece]
"""A sentence or a cell."""


class Unit(NamedTuple):
    """Of time."""

    name: str
    many: str
    factor: float
    """How many there are in a second."""


UNITS = (
    Unit("s", "seconds", 1.0),
    Unit("ms", "milliseconds", 1e3),
    Unit("µs", "microseconds", 1e6),
    Unit("ns", "nanoseconds", 1e9),
)


def plain(text: Text) -> str:
    """Return a text without the places that its numbers come from."""
    pieces = [text] if isinstance(text, str | Number) else text
    return "".join(piece.text if isinstance(piece, Number) else piece for piece in pieces)


def unit_for(seconds: Iterable[float | None]) -> Unit:
    """Return the unit in which the shortest of several times is at least 1."""
    shortest = min((value for value in seconds if value), default=1.0)
    return next((unit for unit in UNITS if shortest * unit.factor >= 1), UNITS[-1])


def significant(value: float, digits: int = DIGITS) -> str:
    """Return a number with so many digits that count, such as 0.0123, 1.20 and 1,234."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if not -5 < exponent < 15:
        return f"{value:.1e}"
    if exponent >= digits:
        return f"{value:,.0f}"
    return f"{rounded:,.{digits - 1 - exponent}f}"


def seconds(entry: Entry, unit: Unit | None = None, named: bool = True) -> Piece:
    """Return a time, by default in the unit that fits it."""
    value = entry.number
    if value is None:
        return NOTHING
    chosen = unit or unit_for([value])
    text = significant(value * chosen.factor)
    return Number(f"{text} {chosen.name}" if named else text, value, entry.path)


def times(entry: Entry) -> Piece:
    """Return how many times as fast, or as long."""
    value = entry.number
    return NOTHING if value is None else Number(f"{significant(value)}{TIMES}", value, entry.path)


def quotient(above: Entry, *below: Entry) -> Piece:
    """Return one entry by others, as so many times."""
    return _divided(lambda value: f"{significant(value)}{TIMES}", above, below)


def quotient_percent(above: Entry, *below: Entry) -> Piece:
    """Return one entry by others, as per cent."""
    return _divided(percent, above, below)


def _divided(write: Callable[[float], str], above: Entry, below: Sequence[Entry]) -> Piece:
    value = above.number
    for entry in below:
        divisor = entry.number
        if value is None or not divisor:
            return NOTHING
        value /= divisor
    if value is None or not math.isfinite(value):
        return NOTHING
    return Number(write(value), value, " / ".join(entry.path for entry in (above, *below)))


def share(entry: Entry) -> Piece:
    """Return a share as per cent."""
    value = entry.number
    return NOTHING if value is None else Number(percent(value), value, entry.path)


def percent(value: float) -> str:
    """Return a share as per cent: with two digits, and none behind the point above ten."""
    return f"{significant(100 * value, 2)} %"


def accuracy(entry: Entry) -> Piece:
    """Return a share of right answers: a hundredth of a per cent counts."""
    value = entry.number
    return NOTHING if value is None else Number(f"{100 * value:.2f} %", value, entry.path)


def tiny(entry: Entry) -> Piece:
    """Return a difference that is close to zero."""
    value = entry.number
    return NOTHING if value is None else Number(f"{value:.1e}" if value else "0", value, entry.path)


def figure(entry: Entry, unit: str = "") -> Piece:
    """Return any other number."""
    value = entry.number
    if value is None:
        return NOTHING
    return Number(f"{short(value)}{unit}", value, entry.path)


def short(value: float) -> str:
    """Return a number as it is where that takes few characters: 0.4, 25.3, 41,000."""
    exact = f"{int(value):,}" if value == int(value) and abs(value) < 1e15 else f"{value:,}"
    whole = isinstance(value, int) and abs(value) < 1e15
    return exact if whole or len(exact) <= SHORT else significant(value)


def interval(low: Piece, high: Piece) -> Text:
    """Return two ends."""
    return NOTHING if NOTHING in (low, high) else (low, " to ", high)


def article(word: str) -> str:
    """Return a word with "a" or "an" before it."""
    return f"{'an' if word[:1].lower() in tuple('aeiou') else 'a'} {word}"


def several(count: int, one: str, many: str = "") -> str:
    """Return how many there are of something."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def giga(entry: Entry) -> Piece:
    """Return a rate in thousand millions a second."""
    value = entry.number
    return NOTHING if value is None else Number(significant(value / 1e9), value, entry.path)


def ideal(times: tuple[Entry, Entry], steps: tuple[Entry, Entry]) -> Piece:
    """Return what is gained in time, by what there is to gain, as per cent."""
    gained = _divided(percent, times[0], times[1:])
    possible = _divided(percent, steps[0], steps[1:])
    if not isinstance(gained, Number) or not isinstance(possible, Number):
        return NOTHING
    value = gained.value / possible.value
    return Number(percent(value), value, f"{gained.source} / ({possible.source})")


def anything(entry: Entry) -> Text:
    """Return a fact of whatever kind; of a list or an object, its first entries."""
    if isinstance(entry.value, bool):
        return "yes" if entry.value else "no"
    if entry.number is not None:
        return figure(entry)
    if entry.names:
        named = ((f"{name} ", entry[name]) for name in entry.names[:MANY])
    else:
        named = (("", one) for one in list(entry)[:MANY])
    listed = ", ".join(f"{name}{plain(anything(one))}" for name, one in named)
    return listed or entry.text
