"""The section "Where do we lose?"."""

from typing import NamedTuple

from fastdigit.reporting import formats, questions
from fastdigit.reporting.answers.speed import suite
from fastdigit.reporting.answers.start import COSTS, contenders, cost
from fastdigit.reporting.charts import Point, Row, dots
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import TIMES, Text
from fastdigit.reporting.parts import Block, Chart, Key, Missing, Section, Table
from fastdigit.reporting.questions import contender_name, median, spoken

QUESTION = "Where do we lose?"
LEAST = 0.05
"""Seconds of a start by which a difference is worth a line."""


class Loss(NamedTuple):
    """Another contender that is faster than ours."""

    where: str
    what: str
    other: Entry
    mine: Entry
    key: str
    sure: str


def answer(result: Entry) -> Section:
    """Return the section."""
    asked = [q for q in questions.of_suite(result) if questions.ours(q) and questions.others(q)]
    if not asked:
        missing = Missing(
            "No question of this file has a time of fastdigit beside another's. To compare:",
            "fastdigit bench --against peers",
        )
        return Section("losses", QUESTION, "This file cannot tell.", [missing])
    slower = [loss for question in asked for loss in _beaten(question)]
    found = [*slower, *_starts(result)]
    blocks: list[Block] = [_chart(asked)]
    if found:
        blocks.append(_table(found))
    return Section("losses", QUESTION, _sentence(asked, slower, len(found) - len(slower)), blocks)


def _sentence(asked: list[Entry], slower: list[Loss], starts: int) -> Text:
    work = formats.several(len(asked), "question")
    start = (
        f" Before the first result, another is quicker in {formats.several(starts, 'respect')}."
        if starts
        else ""
    )
    if not slower:
        if not any(map(questions.rivals, asked)):
            return f"Nowhere in {work}, in which no other library took part.{start}"
        return f"Nowhere in this run: no contender beats fastdigit in {work}.{start}"
    worst = max(slower, key=lambda loss: median(loss.mine) / median(loss.other))
    return (
        f"{formats.several(len(slower), 'time is', 'times are')} better than ours in {work}; the "
        f"largest gap is {spoken(worst.other)} on {worst.where}, ",
        formats.quotient(worst.mine[worst.key], worst.other[worst.key]),
        f" as fast as {spoken(worst.mine)}.{start}",
    )


def _beaten(question: Entry) -> list[Loss]:
    """Return who is faster than the fastest of ours in its type."""
    found = []
    for other in questions.others(question):
        mine = questions.ours(question, other["dtype"].text)
        if mine is not None and median(other) < median(mine):
            together = questions.overlap(other, mine)
            sure = {True: "too close to call", False: "yes", None: "not known"}[together]
            where = f"{suite(question).lower()}, {questions.name(question)}"
            found.append(Loss(where, "time", other, mine, "median_seconds", sure))
    return found


def _starts(result: Entry) -> list[Loss]:
    """Return where another starts quicker than the quickest of ours, the best of each alone."""
    everyone = contenders(result)
    found = []
    for key, (heading, _) in COSTS.items():
        known = [c for c in everyone if cost(c, key) is not None]
        mine = min(
            filter(questions.is_ours, known), key=lambda c: c[key].number or 0.0, default=None
        )
        other = min(
            (c for c in known if not questions.is_ours(c)),
            key=lambda c: c[key].number or 0.0,
            default=None,
        )
        if mine is None or other is None:
            continue
        if (mine[key].number or 0.0) - (other[key].number or 0.0) > LEAST:
            found.append(Loss("before the first result", heading, other, mine, key, "not known"))
    return found


def _chart(asked: list[Entry]) -> Chart:
    rows = []
    for question in asked:
        points = []
        for other in questions.others(question):
            mine = questions.ours(question, other["dtype"].text)
            if mine is not None:
                points.append((median(other) / median(mine), other))
        nearest, who = min(points, key=lambda point: point[0])
        note = f"{contender_name(who)} {formats.significant(nearest)}{TIMES}"
        rows.append(
            Row(questions.name(question), note, "", [Point(v, "theirs") for v, _ in points])
        )
    described = "; ".join(f"{row.name}: nearest {row.note}" for row in rows)
    return dots(
        "The others' time, as a multiple of ours in the same type",
        f"Each dot is another contender; left of the dashed line it is faster than fastdigit. "
        f"{described}.",
        rows,
        "times as long as fastdigit; left of the dashed line it is faster",
        edge=(1.0, "fastdigit"),
        legend=[Key("theirs", "another contender (the nearest is named)", "dot")],
    )


def _table(found: list[Loss]) -> Table:
    rows: list[list[Text]] = [
        [
            contender_name(loss.other),
            loss.where,
            loss.what,
            formats.seconds(loss.other[loss.key]),
            contender_name(loss.mine),
            formats.seconds(loss.mine[loss.key]),
            formats.quotient(loss.mine[loss.key], loss.other[loss.key]),
            loss.sure,
        ]
        for loss in found
    ]
    headings = (
        "contender",
        "where",
        "what",
        "its time",
        "the best of ours",
        "our time",
        "times as fast as ours",
        "outside the noise",
    )
    return Table("Everything that beats fastdigit in this run", headings, rows)
