"""The three charts of the page: dots in rows, lines, and the roofline."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from fastdigit.reporting.formats import TIMES, significant
from fastdigit.reporting.parts import Chart, Key, Mark, Stretch, Words
from fastdigit.reporting.scales import Tick, apart, axis

ROW = 46
"""Pixels of a row of dots, with its line of text."""
STRIP = 30
"""From the top of a row to the middle of its dots."""
LONGEST, NARROW = 44, 36
"""Characters of a name, and of a name and a note that have room on a telephone."""
MOST_DOTS = 250
"""In a row; of more, evenly many are left out."""
TALL = 300
AIR = 1.5
"""Room around the points of the roofline, as a factor."""
SERIES = 7
"""Looks of lines and dots that can be told apart."""
LABEL = 15
"""Pixels that a line of text needs."""


class Point(NamedTuple):
    """One value in a row."""

    value: float
    look: str


class Row(NamedTuple):
    """What is known of one contender."""

    name: str
    note: str
    """At the end of the line."""
    more: str = ""
    """Behind the note where there is room for it."""
    points: Sequence[Point] = ()
    middle: float | None = None
    interval: tuple[float, float] | None = None
    ours: bool = False


def dots(
    title: str,
    description: str,
    rows: Sequence[Row],
    x_title: str,
    unit: str = "",
    edge: tuple[float, str] | None = None,
    legend: Sequence[Key] = (),
) -> Chart:
    """Draw a row of dots for each contender, with its median and interval.

    Parameters
    ----------
    title, description
        What it shows, and what can be seen.
    rows
        From top to bottom.
    x_title, unit
        What is written below the axis, and behind its numbers.
    edge
        A value that all are held against, and its name.
    legend
        What the looks mean.
    """
    x = axis(_values(rows, edge), unit)
    height = ROW * len(rows) + 8
    stretches, marks, words = [], [], []
    for number, row in enumerate(rows):
        top = ROW * number
        y = top + STRIP
        if edge is not None:
            # Not through the line of text.
            place = x.place(edge[0])
            stretches.append(Stretch(place, top + LABEL + 3, place, top + ROW, "edge"))
        look = "ours" if row.ours else "theirs"
        shown = row.name if len(row.name) <= LONGEST else f"{row.name[: LONGEST - 1]}…"
        words.append(Words(0, top + 13, shown, f"name {look}"))
        spare = " spare" if len(shown) + len(row.note) > NARROW else ""
        words.append(Words(100, top + 13, row.note, f"note{spare}", "end", row.more))
        stretches.append(Stretch(0, y, 100, y, "rail"))
        if row.interval is not None:
            low, high = (x.place(end) for end in row.interval)
            stretches.append(Stretch(low, y, high, y, f"interval {look}"))
        marks += [
            Mark(x.place(point.value), round(y + _shift(place, len(row.points)), 1), point.look)
            for place, point in enumerate(_thinned(row.points))
        ]
        if row.middle is not None:
            middle = x.place(row.middle)
            stretches.append(Stretch(middle, y - 11, middle, y + 11, f"median {look}"))
    return Chart(
        title,
        description,
        height,
        f"{x_title} (logarithmic)" if x.logarithmic else x_title,
        x.ticks,
        stretches=stretches,
        marks=marks,
        words=words,
        legend=legend,
    )


class Line(NamedTuple):
    """Values that belong together."""

    name: str
    points: Sequence[tuple[float, float]]
    ideal: bool = False


def lines(title: str, description: str, given: Sequence[Line], x_title: str, y_title: str) -> Chart:
    """Draw lines on logarithmic axes; the ideal one is dashed."""
    x = axis((point[0] for line in given for point in line.points), "", True)
    y = axis((point[1] for line in given for point in line.points), TIMES, True)
    stretches, marks, legend = [], [], []
    for number, line in enumerate(given):
        look = "ideal" if line.ideal else f"s{number % SERIES}"
        places = [(x.place(a), _down(y.place(b))) for a, b in line.points]
        for (x1, y1), (x2, y2) in pairwise(places):
            stretches.append(Stretch(x1, y1, x2, y2, f"series {look}"))
        if not line.ideal:
            marks += [Mark(a, b, f"point {look}") for a, b in places]
        legend.append(Key(look, line.name))
    # Numbers of threads and sizes are few: those that were measured stand below the axis.
    measured = sorted({point[0] for line in given for point in line.points})
    ticks = x.ticks
    if len(measured) <= len(x.ticks) + 2:
        ticks = tuple(Tick(x.place(value), _plain(value)) for value in measured)
    return Chart(
        title,
        description,
        TALL,
        x_title,
        ticks,
        y_title,
        [Tick(_down(tick.place), tick.text) for tick in y.ticks],
        stretches,
        marks,
        legend=legend,
    )


class Roof(NamedTuple):
    """What a machine does at most: operations a second, or bytes a second."""

    name: str
    rate: float
    slope: bool
    """Whether more operations for each byte help."""


class Reached(NamedTuple):
    """An iteration beneath the roofs."""

    name: str
    intensity: float
    """Operations for each byte."""
    rate: float
    """Operations a second."""
    limit: float
    label: str


def roofline(
    title: str, description: str, roofs: Sequence[Roof], reached: Sequence[Reached]
) -> Chart:
    """Draw roofs, and iterations with a dotted line up to the limit of each."""
    top = max((roof.rate for roof in roofs if not roof.slope), default=1.0)
    ridges = [top / roof.rate for roof in roofs if roof.slope and roof.rate > 0]
    intensities = [point.intensity for point in reached]
    x = axis([*intensities, *ridges], "", True, AIR)
    rates = [rate for point in reached for rate in (point.rate, point.limit)]
    y = axis([*rates, top, *(roof.rate for roof in roofs if not roof.slope)], "", True, AIR)
    stretches, legend = [], []
    slopes = 0
    for roof in roofs:
        look = "roof" if not roof.slope else f"s{slopes % SERIES}"
        slopes += roof.slope
        legend.append(Key(look, roof.name))
        first = max(x.low, y.low / roof.rate) if roof.slope else x.low
        last = min(x.high, top / roof.rate) if roof.slope else x.high
        if first < last:
            ends = [roof.rate * end if roof.slope else roof.rate for end in (first, last)]
            stretches.append(
                Stretch(
                    x.place(first),
                    _down(y.place(ends[0])),
                    x.place(last),
                    _down(y.place(ends[1])),
                    f"series {look}",
                )
            )
    marks, words = [], []
    heights = apart((_down(y.place(point.rate)) for point in reached), LABEL)
    for number, (point, height) in enumerate(zip(reached, heights, strict=True)):
        look = f"s{(number + slopes) % SERIES}"
        place, found, limit = (
            x.place(point.intensity),
            _down(y.place(point.rate)),
            _down(y.place(point.limit)),
        )
        stretches.append(Stretch(place, found, place, limit, f"gap {look}"))
        stretches.append(Stretch(place - 1.5, limit, place + 1.5, limit, f"limit {look}"))
        marks.append(Mark(place, found, f"point {look}"))
        late = place > 75
        words.append(
            Words(
                place + (-2 if late else 2), height + 4, point.label, "", "end" if late else "start"
            )
        )
        legend.append(Key(f"point {look}", point.name, "dot"))
    return Chart(
        title,
        description,
        TALL,
        "operations for each byte (logarithmic)",
        x.ticks,
        "thousand millions of operations a second: GFLOP/s (logarithmic)",
        [Tick(_down(tick.place), tick.text) for tick in y.ticks],
        stretches,
        marks,
        words,
        legend,
    )


def _values(rows: Sequence[Row], edge: tuple[float, str] | None) -> list[float]:
    found = [edge[0]] if edge else []
    for row in rows:
        found += [point.value for point in row.points]
        found += [row.middle] if row.middle is not None else []
        found += row.interval or ()
    return found


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    return points[:: math.ceil(len(points) / MOST_DOTS)] if points else ()


def _shift(place: int, count: int) -> float:
    """Return pixels up or down, in a fixed pattern: equal rounds would hide each other."""
    return 14 * ((place * 0.618) % 1 - 0.5) if count > 1 else 0.0


def _down(place: float) -> float:
    """Return pixels from the top, for per cent from the bottom."""
    return round(TALL * (1 - place / 100), 1)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else significant(value)
