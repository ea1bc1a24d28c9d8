"""The section "How does it scale?"."""

import json
import re
from typing import NamedTuple

from fastdigit.reporting import formats, questions
from fastdigit.reporting.charts import Line, lines
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import Text, plain
from fastdigit.reporting.parts import Block, Chart, Missing, Section, Table
from fastdigit.reporting.questions import contender_name, median

QUESTION = "How does it scale?"
THREADS = "threads"
MISSING = Missing(
    "This file holds no scaling with threads or sizes. To measure it:",
    "fastdigit bench --suite scaling",
)


Asked = tuple[Entry, Entry]
"""A question, and a contender that was timed."""
WITH_THREADS = re.compile(r", \d+ threads?$")


class Series(NamedTuple):
    """The times of one contender where one parameter alone changes."""

    contender: str
    rest: str
    """The other parameters."""
    points: list[tuple[Entry, Entry]]
    """Values of the parameter, rising, and the contender at each."""
    ours: bool

    @property
    def gains(self) -> list[float]:
        """How the time changes, each against the first."""
        return [median(contender) / median(self.points[0][1]) for _, contender in self.points]


def answer(result: Entry) -> Section:
    """Return the section: a chart and a table for each parameter that was varied."""
    asked = [
        (question, contender)
        for question in questions.of_suite(result)
        if question["parameters"].names
        for contender in questions.timed(question)
    ]
    blocks: list[Block] = []
    sentences: list[Text] = []
    for parameter in _varied(asked):
        found = _series(asked, parameter)
        if found:
            blocks += [_chart(parameter, found), _table(parameter, found)]
            sentences.append(_sentence(parameter, found))
    if not blocks:
        return Section("scale", QUESTION, "This file cannot tell.", [MISSING])
    if THREADS not in _varied(asked):
        blocks.append(Missing("The number of threads was not varied. To vary it:", MISSING.command))
    words = [
        piece
        for text in sentences
        for piece in (" ", *((text,) if isinstance(text, str | formats.Number) else text))
    ]
    return Section("scale", QUESTION, tuple(words[1:]), blocks)


def _parameters(question: Entry, contender: Entry) -> dict[str, Entry]:
    """Return what tells a time from others; threads are the question's, or the contender's own."""
    given = question["parameters"]
    return {THREADS: contender[THREADS], **{name: given[name] for name in given.names}}


def _varied(asked: list[Asked]) -> list[str]:
    """Return the parameters that have several values, threads first."""
    values: dict[str, set[float]] = {}
    for question, contender in asked:
        for name, value in _parameters(question, contender).items():
            number = value.positive
            if number:
                values.setdefault(name, set()).add(number)
    return sorted((n for n, found in values.items() if len(found) > 1), key=lambda n: n != THREADS)


def _series(asked: list[Asked], parameter: str) -> list[Series]:
    groups: dict[tuple[str, str, str], dict[float, tuple[Entry, Entry]]] = {}
    for question, contender in asked:
        parameters = _parameters(question, contender)
        value = parameters.pop(parameter, question["none"])
        if not value.positive:
            continue
        rest = {key: entry.value for key, entry in parameters.items()}
        shown = ", ".join(f"{key} {plain(_shown(entry))}" for key, entry in parameters.items())
        same = json.dumps([question["suite"].text, rest], sort_keys=True, default=str)
        # Where each number of threads is a contender, it is a part of the name.
        name = WITH_THREADS.sub("", contender_name(contender))
        place = groups.setdefault((name, same, shown), {})
        place.setdefault(value.positive, (value, contender))
    found = [
        Series(name, shown, [points[key] for key in sorted(points)], _ours(points))
        for (name, _, shown), points in groups.items()
        if len(points) > 1
    ]
    return sorted(found, key=lambda series: not series.ours)


def _ours(points: dict[float, tuple[Entry, Entry]]) -> bool:
    return any(questions.is_ours(contender) for _, contender in points.values())


def _shown(entry: Entry) -> Text:
    return formats.figure(entry) if entry.number is not None else entry.text


def _labels(found: list[Series]) -> list[str]:
    """Return names that tell series apart."""
    names = [series.contender for series in found]
    return [
        f"{series.contender} ({series.rest})"
        if names.count(series.contender) > 1 and series.rest
        else series.contender
        for series in found
    ]


def _at(value: Entry) -> float:
    return value.positive or 1.0


def _sentence(parameter: str, found: list[Series]) -> Text:
    """Return what the fastest of ours gains."""
    series = min(found, key=lambda s: (not s.ours, median(s.points[-1][1])))
    (first, start), (last, end) = series.points[0], series.points[-1]
    if parameter == THREADS:
        gain = median(start) / median(end)
        beyond = (
            " That is more than the threads can give: the points were measured one after the "
            "other, and the noise changed in between."
        )
        return (
            f"With {plain(formats.figure(last))} threads, {series.contender} is ",
            formats.quotient(start["median_seconds"], end["median_seconds"]),
            f" as fast as with {plain(formats.figure(first))}.",
            beyond if gain > 1.1 * _at(last) / _at(first) else "",
        )
    return (
        "From ",
        formats.figure(first),
        " to ",
        formats.figure(last),
        f" {parameter.replace('_', ' ')}, the time of {series.contender} becomes ",
        formats.quotient(end["median_seconds"], start["median_seconds"]),
        " as long.",
    )


def _chart(parameter: str, found: list[Series]) -> Chart:
    threads = parameter == THREADS
    first = min(_at(series.points[0][0]) for series in found)
    last = max(_at(series.points[-1][0]) for series in found)
    given = [Line("ideal", [(first, 1.0), (last, last / first)], ideal=True)]
    described = []
    for label, series in zip(_labels(found), found, strict=True):
        gains = [1 / gain if threads else gain for gain in series.gains]
        # A series that begins later begins on the ideal line.
        start = _at(series.points[0][0]) / first
        places = [_at(value) for value, _ in series.points]
        given.append(Line(label, [(x, start * y) for x, y in zip(places, gains, strict=True)]))
        described.append(f"{label}: {formats.significant(gains[-1])} times at the last point")
    name = parameter.replace("_", " ")
    title = "Speed with more threads" if threads else f"Time with more {name}"
    better = "higher is better" if threads else "lower is better"
    return lines(
        title,
        f"A line for each contender beside the dashed ideal one. {'; '.join(described)}.",
        given,
        f"{name} (logarithmic)",
        f"times as {'fast' if threads else 'long'} as at the first point (logarithmic); {better}",
    )


def _table(parameter: str, found: list[Series]) -> Table:
    threads = parameter == THREADS
    unit = formats.unit_for(median(c) for series in found for _, c in series.points)
    rows: list[list[Text]] = []
    for label, series in zip(_labels(found), found, strict=True):
        first, start = series.points[0]
        for value, contender in series.points:
            ends = (start["median_seconds"], contender["median_seconds"])
            rows.append(
                [
                    label,
                    formats.figure(value),
                    formats.seconds(contender["median_seconds"], unit, named=False),
                    formats.quotient(*(ends if threads else reversed(ends))),
                    formats.ideal(ends, (value, first) if threads else (first, value)),
                ]
            )
    headings = (
        "contender",
        parameter.replace("_", " "),
        unit.name,
        f"times as {'fast' if threads else 'long'} as at first",
        "of the ideal",
    )
    return Table(f"Scaling with {parameter.replace('_', ' ')}", headings, rows)
