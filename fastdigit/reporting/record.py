"""The record of results over time: a table in Markdown, one row a result."""

from fastdigit.errors import DataError
from fastdigit.reporting import formats, questions
from fastdigit.reporting.answers import limit, setting
from fastdigit.reporting.answers.speed import pace
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import NOTHING, Text, plain
from fastdigit.reporting.older import current
from fastdigit.reporting.tables import markdown_table

INTRODUCTION = """\
# Record of results

One row for each result, written by `fastdigit report RESULT.json --history reports/history.md`.
The contender is the fastest of fastdigit on one full-batch training iteration; the ratio is to the
base of that result, which is the notebook. Times of different machines, and of a shared machine on
different days, cannot be compared: ratios can.
"""
HEADINGS = (
    "date",
    "revision",
    "machine",
    "work",
    "contender",
    "ms an iteration",
    "ratio",
    "of the limit",
    "seconds to 98 %",
)
KEYS = 2
"""Columns, from the first, that tell one result from another."""
TARGET = 0.98
MILLISECONDS = formats.UNITS[1]


def added(table: str, document: Entry) -> str:
    """Return a record with the row of a result, in the order of dates.

    A row of the same date and revision is replaced, so that adding a result twice changes nothing.

    Raises
    ------
    DataError
        If the result has no date, or no time of an iteration of fastdigit, or if the table is
        something else.
    """
    if table.strip() and not table.startswith(INTRODUCTION.split("\n")[0]):
        raise DataError(
            "this file is no record of results, and would be lost; name one that does not exist yet"
        )
    rows = {tuple(cells(line)[:KEYS]): cells(line) for line in _body(table)}
    new = cells(_line(row(document)))
    rows[tuple(new[:KEYS])] = new
    lines = ["| " + " | ".join(rows[key]) + " |" for key in sorted(rows)]
    head = markdown_table(HEADINGS, []).replace(" ---: |", " --- |", 4)
    return "\n".join([INTRODUCTION, head, *lines]) + "\n"


def row(document: Entry) -> list[str]:
    """Return what is told of a result."""
    result = current(document)
    machine = result["machine"]
    found = [q for q in questions.of_suite(result, "iteration") if questions.ours(q)]
    if not found or not machine["date"].text:
        raise DataError(
            "this result has no date, or no time of a training iteration of fastdigit, so it has "
            "no row in the record; record one of fastdigit bench --suite iteration"
        )
    question = found[0]
    mine, slow = questions.shown_first(question), questions.base(question)
    assert mine is not None
    ratio: Text = NOTHING if slow is None or slow.path == mine.path else pace(mine, slow)
    return [
        machine["date"].text,
        machine["git_revision"].text or NOTHING,
        setting.processor(result) or NOTHING,
        questions.name(question),
        questions.contender_name(mine),
        plain(formats.seconds(mine["median_seconds"], MILLISECONDS, named=False)),
        plain(ratio),
        plain(limit.reached(result)),
        plain(_to_target(result)),
    ]


def cells(line: str) -> list[str]:
    """Return what stands in the cells of a row."""
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split(" | ")]


def _line(values: list[str]) -> str:
    return markdown_table(HEADINGS, [values]).split("\n")[-1]


def _body(table: str) -> list[str]:
    lines = [line for line in table.split("\n") if line.startswith("|")]
    return lines[2:]


def _to_target(result: Entry) -> Text:
    """Return the seconds of the fastest of ours until it reads 98 % right."""
    for question in questions.of_suite(result, "training"):
        mine = questions.ours(question)
        if mine is not None and question["parameters"]["target"].number == TARGET:
            return formats.seconds(mine["median_seconds"], formats.UNITS[0], named=False)
    return NOTHING
