"""The section "Is it equal?"."""

from fastdigit.reporting import formats, questions
from fastdigit.reporting.charts import Point, Row, dots
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import NOTHING, Text, plain, several
from fastdigit.reporting.parts import Block, Chart, Fold, Missing, Section, Table
from fastdigit.reporting.questions import contender_name

QUESTION = "Is it equal?"
NO_REASON = "no reason is given"
SMALLEST = 1e-6
"""Share of what is allowed where a difference of 0 is drawn: a logarithm has no zero."""


def answer(result: Entry) -> Section:
    """Return the section."""
    everyone = [(q, c) for q in questions.of_suite(result) for c in q["contenders"]]
    checked = [(q, c) for q, c in everyone if c["check"]["difference"].number is not None]
    out = [(q, c) for q, c in everyone if not c["median_seconds"].positive]
    blocks: list[Block] = []
    first = questions.main(result)
    mine = [c for q, c in checked if first is not None and q.path == first.path]
    if first is not None and any(_share(c) is not None for c in mine):
        blocks.append(_chart(first, [c for c in mine if _share(c) is not None]))
    if checked:
        blocks += _tables(checked, first)
    else:
        blocks.append(
            Missing("This file holds no checks. They are made before timing by:", "fastdigit bench")
        )
    if out:
        rows = [
            [contender_name(c), questions.name(q), c["refused"].text or NO_REASON] for q, c in out
        ]
        blocks.append(Table("Refused a time, and why", ("contender", "question", "why"), rows))
    return Section("equal", QUESTION, _sentence(everyone, checked, len(out)), blocks)


def _sentence(
    everyone: list[tuple[Entry, Entry]], checked: list[tuple[Entry, Entry]], refused: int
) -> Text:
    if not everyone:
        return "This file cannot tell: it has no contenders."
    timed = [c for _, c in everyone if c["median_seconds"].positive]
    paths = {c.path for _, c in checked}
    wrong = [c for c in timed if _within(c) is False]
    without = [c for c in timed if c.path not in paths]
    unknown = [c for c in timed if c.path in paths and _within(c) is None]
    parts = []
    if wrong:
        parts.append(
            f"No: {several(len(wrong), 'contender')} differed by more than is allowed and "
            "should have been given no time"
        )
    elif len(timed) > len(without) and not unknown:
        which = "that are checked " if without else ""
        parts.append(
            f"Yes: {_all(len(timed) - len(without))} {which}gave the right result, within what is "
            "allowed, before it was timed"
        )
    elif unknown:
        parts.append(
            f"{several(len(unknown), 'contender')} were compared, but this file does not say how "
            "much difference was allowed"
        )
    if without:
        parts.append(f"of {several(len(without), 'timed contender')} no check is recorded")
    parts.append(
        f"{several(refused, 'was', 'were')} refused a time"
        if refused
        else "none was refused a time"
    )
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}."


def _all(count: int) -> str:
    return "the one timed contender" if count == 1 else f"each of the {count:,} timed contenders"


def _share(contender: Entry) -> float | None:
    """Return the difference as a share of what is allowed."""
    difference = contender["check"]["difference"].number
    allowed = contender["check"]["allowed"].number
    if difference is None or allowed is None or allowed <= 0 or difference < 0:
        return None
    return difference / allowed


def _within(contender: Entry) -> bool | None:
    difference = contender["check"]["difference"].number
    allowed = contender["check"]["allowed"].number
    return None if difference is None or allowed is None else difference <= allowed


def _chart(question: Entry, contenders: list[Entry]) -> Chart:
    rows = []
    for c in sorted(contenders, key=lambda c: _share(c) or 0.0):
        check, share = c["check"], _share(c) or 0.0
        ours = questions.is_ours(c)
        note = plain(formats.tiny(check["difference"]))
        more = f" of {plain(formats.tiny(check['allowed']))}"
        point = Point(max(share, SMALLEST), "ours" if ours else "theirs")
        rows.append(Row(contender_name(c), note, more, [point], ours=ours))
    described = "; ".join(f"{row.name}: {row.note}{row.more}" for row in rows)
    return dots(
        f"How far each is from the reference: {questions.name(question)}",
        f"Each dot is the largest difference as a share of the largest that is allowed; the dashed "
        f"line is what is allowed. {described}.",
        rows,
        "largest difference by what is allowed",
        edge=(1.0, "allowed"),
    )


def _tables(checked: list[tuple[Entry, Entry]], first: Entry | None) -> list[Block]:
    """Return the checks of the main question, and those of all others folded."""
    main = [(q, c) for q, c in checked if first is not None and q.path == first.path]
    rest = [pair for pair in checked if pair not in main]
    if not main or not rest:
        return [_table(checked)]
    count = several(len(rest), "further check")
    return [_table(main), Fold(f"{count}, of the other questions", [_table(rest)])]


def _table(checked: list[tuple[Entry, Entry]]) -> Table:
    rows = [
        [
            contender_name(c),
            questions.name(q),
            c["check"]["what"].text or NOTHING,
            formats.tiny(c["check"]["difference"]),
            formats.tiny(c["check"]["allowed"]),
            {True: "equal", False: "wrong", None: NOTHING}[_within(c)],
        ]
        for q, c in checked
    ]
    headings = ("contender", "question", "compared", "largest difference", "allowed", "outcome")
    return Table("What was compared before anything was timed", headings, rows)
