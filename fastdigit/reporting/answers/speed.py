"""The section "How much faster?"."""

from fastdigit.reporting import formats, questions
from fastdigit.reporting.charts import Point, Row, dots
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import NOTHING, Text, plain
from fastdigit.reporting.parts import Block, Chart, Fold, Key, Missing, Note, Section, Table
from fastdigit.reporting.questions import contender_name, median, spoken

LEGEND = (
    Key("ours", "a round of fastdigit", "dot"),
    Key("theirs", "a round of another", "dot"),
    Key("disturbed", "a disturbed round", "dot"),
    Key("median", "median", "tick"),
    Key("interval", "99 % interval", "tick"),
)
UNSURE = "too close to call"
"""One of the verdicts; see `fastdigit.measure.result.Verdict`."""
NO_VERDICT = "no verdict"
"""Where none is given, the question says why."""
FACTS = 8
"""Further columns that are shown."""
LONGEST = 4
"""Entries of a list that are shown in a cell."""


def answer(result: Entry) -> Section:
    """Return the section: the first question in full, the others folded."""
    asked = questions.in_front(result)
    first = questions.main(result)
    blocks: list[Block] = []
    if first is None:
        blocks.append(Missing("No contender has a time in this file. To time them:", COMMAND))
        return Section("faster", QUESTION, "This file cannot tell: nothing was timed.", blocks)
    blocks += shown(first)
    blocks += [
        Fold((f"{suite(q)}, {questions.name(q)}: ", *_pieces(summary(q))), shown(q))
        for q in asked
        if q.path != first.path
    ]
    return Section("faster", QUESTION, summary(first), blocks)


QUESTION = "How much faster?"
COMMAND = "fastdigit bench"


def suite(question: Entry) -> str:
    """Return what kind of question it is."""
    text = question["suite"].text
    return questions.SUITES.get(text, text or "Something")


def summary(question: Entry) -> Text:
    """Return who is how much faster, in a sentence."""
    mine, base = questions.shown_first(question), questions.base(question)
    if mine is None:
        return "no contender of fastdigit has a time."
    took = ("takes ", formats.seconds(mine["median_seconds"]), _repetition(question))
    rival = next(iter(questions.rivals(question)), None)
    beside: Text = ""
    if rival is not None:
        faster = median(rival) < median(mine)
        beside = (
            f"; the fastest other library, {spoken(rival)}, takes ",
            formats.quotient(rival["median_seconds"], mine["median_seconds"]),
            " the time" if faster else " as long",
        )
    if base is None or base.path == mine.path:
        return (f"{spoken(mine)} ", *took, *beside, ".")
    ratio = mine["ratio"]
    ends = formats.interval(formats.times(ratio["low"]), formats.times(ratio["high"]))
    known = verdict(question, mine)
    unsure = f", {known}" if known in (UNSURE, NO_VERDICT) else ""
    sure = () if ends == NOTHING else (" (99 % interval ", *ends, f"{unsure})")
    return (
        f"{spoken(mine)} is ",
        pace(mine, base),
        f" as fast as {spoken(base)}",
        *sure,
        ": it ",
        *took,
        ", ",
        spoken(base),
        " ",
        formats.seconds(base["median_seconds"]),
        *beside,
        ".",
    )


def pace(mine: Entry, base: Entry) -> formats.Piece:
    """Return how many times as fast as the base a contender is."""
    found = formats.times(mine["ratio"]["median"])
    if found != NOTHING:
        return found
    return formats.quotient(base["median_seconds"], mine["median_seconds"])


def shown(question: Entry) -> list[Block]:
    """Return the chart and the tables of a question."""
    if not questions.timed(question):
        return [Missing("No contender has a time here. To time them:", COMMAND)]
    blocks: list[Block] = [chart(question), table(question)]
    if question["busy"].text:
        decided = any(c["verdict"].text for c in question["contenders"])
        some = " for some" if decided else ""
        blocks.insert(0, Note(f"No verdict is given{some}: {question['busy'].text}"))
    facts = further(question)
    return [*blocks, Fold("What else was measured", [facts])] if facts.rows else blocks


def chart(question: Entry) -> Chart:
    """Draw every round of every contender."""
    unit = formats.unit_for(map(median, questions.timed(question)))
    base = questions.base(question)
    rows = [_row(c, base, unit) for c in questions.timed(question)]
    described = "; ".join(f"{row.name}: {row.note}{row.more}" for row in rows)
    title = f"{suite(question)}: {questions.name(question)}"
    disturbed = any(point.look.startswith("disturbed") for row in rows for point in row.points)
    certain = any(row.interval for row in rows)
    legend = [
        key
        for key in LEGEND
        if (key.look != "disturbed" or disturbed) and (key.look != "interval" or certain)
    ]
    return dots(
        title,
        f"Each dot is a round, each upright line a median. {described}.",
        rows,
        f"{unit.many}{_repetition(question)}",
        legend=legend,
    )


def _row(contender: Entry, base: Entry | None, unit: formats.Unit) -> Row:
    mine = questions.is_ours(contender)
    look = "ours" if mine else "theirs"
    ratio = contender["ratio"]
    note, more = plain(formats.seconds(contender["median_seconds"], unit)), ""
    interval = None
    if ratio["median"].positive:
        note += f" · {plain(formats.times(ratio['median']))}"
        low, high = ratio["low"].positive, ratio["high"].positive
        if low and high:
            more = (
                f" ({plain(formats.times(ratio['low']))} to {plain(formats.times(ratio['high']))})"
            )
            if base is not None:
                # Of the ratio, laid at the median of the base.
                slow = median(base) * unit.factor
                interval = (slow / high, slow / low)
    points = [
        Point(seconds * unit.factor, f"disturbed {look}" if disturbed else look)
        for seconds, disturbed in questions.seconds_of_rounds(contender)
    ]
    name = contender_name(contender)
    return Row(name, note, more, points, median(contender) * unit.factor, interval, mine)


def table(question: Entry) -> Table:
    """Return a line for each contender, the fastest first."""
    contenders = questions.timed(question)
    unit = formats.unit_for(map(median, contenders))
    base = question["base"].text or "the base"
    headings = (
        "contender",
        "library",
        "type",
        "threads",
        unit.name + _repetition(question),
        "half of the rounds",
        f"times as fast as {base}",
        "99 % interval",
        "verdict",
    )
    rows = [
        [
            contender_name(c),
            c["library"].text or NOTHING,
            c["dtype"].text or NOTHING,
            formats.figure(c["threads"]),
            formats.seconds(c["median_seconds"], unit, named=False),
            formats.interval(
                *(formats.seconds(c["quartiles_seconds"][k], unit, named=False) for k in (0, 1))
            ),
            formats.times(c["ratio"]["median"]),
            formats.interval(formats.times(c["ratio"]["low"]), formats.times(c["ratio"]["high"])),
            verdict(question, c),
        ]
        for c in contenders
    ]
    return Table(f"{suite(question)}: {questions.name(question)}", headings, rows)


def verdict(question: Entry, contender: Entry) -> str:
    """Return faster, slower or too close to call, or why nothing is said."""
    if contender["name"].text == question["base"].text:
        return "the base"
    return contender["verdict"].text or (NO_VERDICT if question["busy"].text else NOTHING)


def further(question: Entry) -> Table:
    """Return the facts that a contender comes with: accuracy, images a second, and the like."""
    contenders = questions.timed(question)
    names = dict.fromkeys(name for c in contenders for name in c["facts"].names)
    kept = [name for name in names if any(_fact(c, name) != NOTHING for c in contenders)][:FACTS]
    rows = [[contender_name(c), *(_fact(c, name) for name in kept)] for c in contenders]
    caption = "What else was measured of each contender"
    return Table(caption, ("contender", *kept), rows if kept else ())


def _fact(contender: Entry, name: str) -> Text:
    fact = contender["facts"][name]
    pieces = [_value(one, name) for one in fact] if isinstance(fact.value, list) else []
    if pieces and len(pieces) <= LONGEST and NOTHING not in pieces:
        return tuple(part for piece in pieces for part in (", ", piece))[1:]
    return _value(fact, name)


def _value(fact: Entry, name: str) -> formats.Piece:
    if fact.number is not None:
        if "accuracy" in name.lower() and 0 <= fact.number <= 1:
            return formats.accuracy(fact)
        return formats.figure(fact)
    return plain(formats.anything(fact)) or NOTHING


def _repetition(question: Entry) -> str:
    """Return "an iteration", "a process", "1,000,000 images" behind a time."""
    text = question["repetition"].text
    if not text:
        return ""
    if text[0].isdigit():
        return f" for {text}"
    return f" {formats.article(text)}"


def _pieces(text: Text) -> tuple[formats.Piece, ...]:
    return (text,) if isinstance(text, str | formats.Number) else tuple(text)
