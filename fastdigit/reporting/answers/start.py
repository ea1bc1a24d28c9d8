"""The section "What does the first run cost?"."""

from fastdigit.reporting import formats, questions
from fastdigit.reporting.charts import Point, Row, dots
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import NOTHING, Text, plain
from fastdigit.reporting.parts import Block, Chart, Key, Missing, Section, Table
from fastdigit.reporting.questions import contender_name

QUESTION = "What does the first run cost?"
COSTS = {
    "import_seconds": ("import", "s0"),
    "compile_seconds": ("cold compile", "s1"),
    "cached_seconds": ("cached start", "s2"),
    "prepare_seconds": ("preparing the data", "s3"),
}
"""Columns, their headings, and the looks of their dots."""
SMALLEST = 1e-3
"""Seconds at which less is drawn."""


def answer(result: Entry) -> Section:
    """Return the section: once for each contender, from the first question that knows."""
    found = contenders(result)
    if not found:
        missing = Missing(
            "This file holds no times of imports, compilers or caches. To measure them:",
            "fastdigit bench --suite start-up",
        )
        return Section("first", QUESTION, "This file cannot tell.", [missing])
    blocks: list[Block] = [_chart(found), _table(found)]
    absent = [
        heading for key, (heading, _) in COSTS.items() if all(c[key].number is None for c in found)
    ]
    if absent:
        blocks.append(
            Missing(
                f"Not in this file: {', '.join(absent)}. To measure:",
                "fastdigit bench --suite start-up",
            )
        )
    return Section("first", QUESTION, _sentence(found), blocks)


def contenders(result: Entry) -> list[Entry]:
    """Return each contender once, with what is known of its start; that suite goes first."""
    asked = sorted(questions.of_suite(result), key=lambda q: q["suite"].text != "start-up")
    found: dict[str, Entry] = {}
    for question in asked:
        for c in question["contenders"]:
            if _known(c) > _known(found.get(c["name"].text, Entry(None))):
                found[c["name"].text] = c
    return sorted(found.values(), key=lambda c: (not questions.is_ours(c), contender_name(c)))


def _known(contender: Entry) -> int:
    return sum(cost(contender, key) is not None for key in COSTS)


def cost(contender: Entry, key: str) -> float | None:
    """Return the seconds of one of `COSTS`, if they are known."""
    value = contender[key].number
    return value if value is not None and value >= 0 else None


def _sentence(found: list[Entry]) -> Text:
    """Return the costs of that of ours of which most is known."""
    mine = max([c for c in found if questions.is_ours(c)] or found[:1], key=_known)
    pieces: list[formats.Piece] = []
    for key, (heading, _) in COSTS.items():
        if cost(mine, key) is not None:
            pieces += [", ", formats.seconds(mine[key]), f" for {heading}"]
    return (f"{contender_name(mine)}: ", *pieces[1:], "; none of it is part of any other time.")


def _chart(found: list[Entry]) -> Chart:
    rows = []
    for c in found:
        costs = {key: cost(c, key) for key in COSTS}
        points = [
            Point(max(seconds, SMALLEST), f"point {COSTS[key][1]}")
            for key, seconds in costs.items()
            if seconds is not None
        ]
        note = " · ".join(
            plain(formats.seconds(c[key])) for key, seconds in costs.items() if seconds is not None
        )
        rows.append(Row(contender_name(c), "", note, points, ours=questions.is_ours(c)))
    described = "; ".join(f"{row.name}: {row.more}" for row in rows)
    names = ", ".join(heading for heading, _ in COSTS.values())
    return dots(
        "Seconds before the first result",
        f"A dot for each of {names}. {described}.",
        rows,
        "seconds",
        legend=[
            Key(f"point {look}", heading, "dot")
            for key, (heading, look) in COSTS.items()
            if any(cost(c, key) is not None for c in found)
        ],
    )


def _table(found: list[Entry]) -> Table:
    headings = ("contender", "library", *(f"{heading}, s" for heading, _ in COSTS.values()))
    unit = formats.UNITS[0]
    rows = [
        [
            contender_name(c),
            c["library"].text or NOTHING,
            *(
                formats.seconds(c[key], unit, named=False) if cost(c, key) is not None else NOTHING
                for key in COSTS
            ),
        ]
        for c in found
    ]
    return Table("What comes before the first result; each timed on its own", headings, rows)
