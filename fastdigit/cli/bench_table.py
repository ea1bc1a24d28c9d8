"""What ``fastdigit bench`` prints: a table for each question, and one of changes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastdigit.reporting.tables import text_table

if TYPE_CHECKING:
    from fastdigit.measure.regression import Change
    from fastdigit.measure.result import Contender, Interval, Question, Result

NOTHING = "-"


def table(question: "Question") -> str:
    """Return who took how long, with all that is to be known of the answer."""
    rows = [_row(contender, question["base"]) for contender in question["contenders"]]
    headings = ("contender", f"ms a {question['repetition']}", "times as fast", "99 %", "verdict")
    lines = [f"{question['suite']}: {question['name']}", text_table(headings, rows)]
    lines += [
        f"{contender['name']} has no time: {contender['refused']}"
        for contender in question["contenders"]
        if contender["refused"]
    ]
    if question["suite"] == "start-up":
        lines.append(starts(question))
    if question["noise_floor"] is not None:
        lines.append(f"noise floor {question['noise_floor']:.1%}: {question['base']} to itself")
    if question["busy"]:
        lines.append(f"no verdicts: {question['busy']}")
    return "\n".join(lines)


def _row(contender: "Contender", base: str) -> list[str]:
    median, ratio = contender["median_seconds"], contender["ratio"]
    if median is None:
        return [contender["name"], NOTHING, NOTHING, NOTHING, "refused"]
    verdict = "base" if contender["name"] == base else contender["verdict"] or NOTHING
    shown = [f"{ratio['median']:.2f}", interval(ratio)] if ratio else [NOTHING, NOTHING]
    return [contender["name"], milliseconds(median), *shown, verdict]


def milliseconds(seconds: float) -> str:
    """Return three figures, or all before the point."""
    shown = 1e3 * seconds
    return f"{shown:,.0f}" if shown >= 100 else f"{shown:.3g}"


def interval(found: "Interval") -> str:
    """Return both ends."""
    return f"{found['low']:.2f} to {found['high']:.2f}"


def starts(question: "Question") -> str:
    """Return what starts cost, part by part."""
    columns = ("import_seconds", "compile_seconds", "cached_seconds")
    rows = [
        [
            contender["name"],
            *(NOTHING if (s := contender[name]) is None else f"{s:.3f}" for name in columns),  # type: ignore[literal-required]
        ]
        for contender in question["contenders"]
    ]
    return text_table(("seconds of", "import", "cold compile", "cached start"), rows)


def footer(document: "Result") -> str:
    """Return how long everything took, and how much of that is in none of the parts."""
    whole = document["wall_seconds"]
    spent = sorted(document["parts"].items(), key=lambda part: -part[1])
    shown = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent)
    rest = 1 - sum(document["parts"].values()) / whole
    return f"time: {whole:.1f} s; {shown} ({abs(rest):.1%} in none of these parts)"


def changes(found: "Sequence[Change]", baseline: str) -> str:
    """Return what has become faster or slower since the baseline."""
    rows = [
        [
            f"{change.suite}: {change.question}: {change.contender}",
            f"{change.speed['median']:.3f}" if change.speed else NOTHING,
            interval(change.speed) if change.speed else NOTHING,
            change.verdict or NOTHING,
        ]
        for change in found
    ]
    headings = (f"since {baseline}", "times as fast", "99 %", "verdict")
    why = [f"{change.contender}: {change.why}" for change in found if change.why]
    return "\n".join([text_table(headings, rows), *dict.fromkeys(why)])
