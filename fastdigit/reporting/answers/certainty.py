"""The section "How sure is it?"."""

from fastdigit.reporting import formats, questions
from fastdigit.reporting.answers.speed import UNSURE, suite
from fastdigit.reporting.charts import Point, Row, dots
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import NOTHING, Piece, Text, percent
from fastdigit.reporting.parts import Block, Chart, Key, Missing, Note, Section, Table

QUESTION = "How sure is it?"
LEAST = 1e-4
"""Share at which a smaller one is drawn."""


def answer(result: Entry) -> Section:
    """Return the section."""
    asked = [q for q in questions.of_suite(result) if questions.timed(q)]
    blocks: list[Block] = []
    drawn = [q for q in asked if q["noise_floor"].number is not None or _widths(q)]
    if drawn:
        blocks.append(_chart(drawn))
    if asked:
        blocks.append(_table(asked))
    if not any(q["noise_floor"].number is not None for q in asked):
        blocks.append(
            Missing(
                "No contender was timed against itself in this file. To do so:", "fastdigit bench"
            )
        )
    blocks.append(_machine(result))
    blocks += [
        Note(f"No verdict on {suite(q).lower()}, {questions.name(q)}: {q['busy'].text}")
        for q in asked
        if q["busy"].text
    ]
    return Section("sure", QUESTION, _sentence(asked), blocks)


def _sentence(asked: list[Entry]) -> Text:
    if not asked:
        return "This file cannot tell: nothing was timed."
    floors = [q["noise_floor"] for q in asked if q["noise_floor"].number is not None]
    if not floors:
        return "Less than it could be: nothing was timed against itself, so the noise is unknown."
    worst = max(floors, key=lambda floor: floor.number or 0.0)
    verdicts = [c["verdict"].text for q in asked for c in questions.timed(q)]
    decided = sum(verdict in ("faster", "slower") for verdict in verdicts)
    open_ = verdicts.count(UNSURE)
    rounds = [c for q in asked for c in questions.timed(q) for c in c["rounds"]]
    disturbed = sum(turn["disturbed"].value is True for turn in rounds)
    shared = percent(disturbed / len(rounds)) if rounds else NOTHING
    return (
        "A contender timed against itself strayed by at most ",
        formats.share(worst),
        f"; {formats.several(decided, 'verdict stands', 'verdicts stand')} outside the noise, "
        f"{formats.several(open_, 'is', 'are')} too close to call, and {shared} of all rounds were "
        "disturbed.",
    )


def _widths(question: Entry) -> list[float]:
    """Return half of each interval, as a share of its ratio."""
    found = []
    for c in questions.timed(question):
        middle, low, high = (c["ratio"][key].positive for key in ("median", "low", "high"))
        if middle and low and high:
            found.append((high - low) / 2 / middle)
    return found


def _chart(asked: list[Entry]) -> Chart:
    rows = []
    for q in asked:
        floor, widths = q["noise_floor"].number, _widths(q)
        note = "noise " + (percent(floor) if floor is not None else NOTHING)
        more = f", widest interval ±{percent(max(widths))}" if widths else ""
        points = [Point(100 * max(width, LEAST), "ours") for width in widths]
        middle = None if floor is None else 100 * max(floor, LEAST)
        rows.append(Row(questions.name(q), note, more, points, middle))
    described = "; ".join(f"{row.name}: {row.note}{row.more}" for row in rows)
    return dots(
        "The noise floor, and half the width of each 99 % interval",
        f"Each dot is half the width of a contender's interval, each upright line the noise floor. "
        f"{described}.",
        rows,
        "per cent of the ratio",
        " %",
        legend=(
            Key("ours", "half the width of a contender's interval", "dot"),
            Key("median", "noise floor: a contender against itself", "tick"),
        ),
    )


def _table(asked: list[Entry]) -> Table:
    rows = []
    for q in asked:
        timed = questions.timed(q)
        turns = [turn for c in timed for turn in c["rounds"]]
        disturbed = sum(turn["disturbed"].value is True for turn in turns)
        steals = [turn["steal"] for turn in turns if turn["steal"].number is not None]
        worst: Piece = NOTHING
        if steals:
            worst = formats.share(max(steals, key=lambda steal: steal.number or 0.0))
        again = q["again"]["ratio"]
        rows.append(
            [
                f"{suite(q)}: {questions.name(q)}",
                f"{max((len(list(c['rounds'])) for c in timed), default=0):,}",
                formats.share(q["noise_floor"]),
                formats.times(again["median"]),
                formats.interval(formats.times(again["low"]), formats.times(again["high"])),
                f"{disturbed:,} of {len(turns):,}",
                worst,
                ", ".join(questions.contender_name(c) for c in timed if c["verdict"].text == UNSURE)
                or "none",
            ]
        )
    headings = (
        "question",
        "rounds",
        "noise floor",
        "base against itself",
        "99 % interval",
        "disturbed turns",
        "most steal in a turn",
        "too close to call",
    )
    return Table("What makes the times less certain", headings, rows)


def _machine(result: Entry) -> Table:
    before, after = result["machine"]["load_average"], result["load_average_after"]
    rows: list[tuple[str, Text]] = [
        ("load average before (1, 5, 15 minutes)", _list(before)),
        ("load average after", _list(after)),
        ("time stolen by the hypervisor", formats.share(result["steal"])),
        ("wall time of the run", formats.seconds(result["wall_seconds"])),
    ]
    return Table("The machine during the run", ("fact", "value"), rows, numbers=False)


def _list(entries: Entry) -> Text:
    pieces = [piece for entry in entries for piece in (", ", formats.figure(entry))]
    return tuple(pieces[1:]) or NOTHING
