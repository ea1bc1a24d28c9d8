"""Tables and sentences in a Markdown file, written from the results that its markers name.

A marker is a line ``<!-- fastdigit: reports/x/results.json NAME -->``; all up to the next
``<!-- end -->`` is written anew. NAME is one of `WRITERS`; the name of a suite may follow it.
"""

import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from fastdigit.errors import DataError
from fastdigit.reporting import formats, questions
from fastdigit.reporting.answers import limit, setting, start
from fastdigit.reporting.answers.speed import pace
from fastdigit.reporting.entry import Entry, read
from fastdigit.reporting.formats import NOTHING, Text, plain
from fastdigit.reporting.older import current
from fastdigit.reporting.questions import contender_name, median, spoken
from fastdigit.reporting.tables import escape, markdown_table

BEGIN = re.compile(r"<!-- fastdigit: (\S+) (\S+)(?: (\S+))? -->")
END = "<!-- end -->"
WIDTH = 118
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse4_2": "SSE4.2"}
"""The widest comes first."""


def updated(text: str, folder: Path) -> str:
    """Return a Markdown file with all that stands between markers written anew.

    Parameters
    ----------
    text
        The file.
    folder
        Where the paths of the markers begin.

    Raises
    ------
    DataError
        If a marker names no result or no table, or does not end; says in which line.
    """
    lines = text.split("\n")
    found: list[str] = []
    place = 0
    while place < len(lines):
        found.append(lines[place])
        marker = BEGIN.fullmatch(lines[place].strip())
        if marker:
            end = _end(lines, place)
            found += [*_written(marker, folder, place + 1).split("\n"), lines[end]]
            place = end
        place += 1
    return "\n".join(found)


def _end(lines: list[str], begin: int) -> int:
    for place in range(begin + 1, len(lines)):
        if BEGIN.fullmatch(lines[place].strip()):
            break
        if lines[place].strip() == END:
            return place
    raise DataError(f"line {begin + 1}: the marker is not followed by {END}; add that line")


def _written(marker: re.Match[str], folder: Path, line: int) -> str:
    path, name, suite = marker.groups()
    if name not in WRITERS:
        raise DataError(f"line {line}: there is no {name!r}; there are {', '.join(WRITERS)}")
    try:
        result = current(read(folder / path))
    except OSError as error:
        raise DataError(f"line {line}: {path} cannot be read: {error.strerror}") from error
    asked = [
        q for q in questions.of_suite(result, *([suite] if suite else [])) if questions.timed(q)
    ]
    question = next(iter(asked), None) if suite else questions.main(result)
    if question is None:
        raise DataError(f"line {line}: {path} has no times{f' of {suite}' if suite else ''}")
    return WRITERS[name](result, question)


def what(result: Entry, question: Entry) -> str:
    """Return which command gave this, when and on what."""
    machine, settings = result["machine"], result["settings"]
    versions, load = machine["versions"], machine["load_average"][0].number
    images = (
        result["data"]["training"]
        if result["data"]["training"].number
        else result["data"]["images"]
    )
    parts = [
        f"{plain(formats.figure(images))} images" if images.number else "",
        f"{plain(formats.figure(settings['iterations']))} iterations"
        if settings["iterations"].number
        else "",
        f"{plain(formats.figure(settings['threads']))} threads on {_processor(result)}",
        *(
            f"{title} {versions[key].text}"
            for key, title in (("python", "Python"), ("numpy", "NumPy"), ("numba", "Numba"))
        ),
        f"load average {load:g} before it began" if load is not None else "",
    ]
    said = escape(", ".join(part for part in parts if part))
    # Nothing leaves a code span but a backtick.
    command = " ".join(settings["command"].text.replace("`", "").split())
    return _wrapped(f"By `{command}`, on {setting.day(result)}: {said}.")


def _processor(result: Entry) -> str:
    cpu = result["machine"]["cpu"]
    flags = [flag.text for flag in cpu["vectors"]]
    widest = next((f" ({name})" for flag, name in VECTORS.items() if flag in flags), "")
    core = "virtual core" if cpu["hypervisor"].value is True else "core"
    cores = formats.several(int(cpu["cores_allowed"].positive or 1), core)
    return f"{cores} of {formats.article(setting.processor(result))}{widest}"


def contenders(result: Entry, question: Entry) -> str:
    """Return a table, the base first and then from slow to fast."""
    everyone = questions.timed(question)[::-1]
    unit = formats.unit_for(map(median, everyone))
    columns: dict[str, Callable[[Entry], Text]] = {
        "contender": contender_name,
        f"{unit.name} for one {question['repetition'].text}": lambda c: formats.seconds(
            c["median_seconds"], unit, named=False
        ),
        "ratio": lambda c: _ratio(question, c),
        "99 % interval": lambda c: formats.interval(
            formats.times(c["ratio"]["low"]), formats.times(c["ratio"]["high"])
        ),
        "half of the rounds": lambda c: formats.interval(
            *(formats.times(c["facts"]["half of the ratios"][end]) for end in (0, 1))
        ),
        "training": lambda c: formats.accuracy(c["facts"]["training accuracy"]),
        "held out": lambda c: formats.accuracy(c["facts"]["held-out accuracy"]),
        "off by": lambda c: formats.tiny(c["check"]["difference"]),
    }
    ordered = sorted(everyone, key=lambda c: c["name"].text != question["base"].text)
    cells = {heading: [plain(cell(c)) for c in ordered] for heading, cell in columns.items()}
    kept = {heading: column for heading, column in cells.items() if set(column) != {NOTHING}}
    return markdown_table(list(kept), list(zip(*kept.values(), strict=True)))


def rivals(result: Entry, question: Entry) -> str:
    """Return how the fastest of other libraries does beside ours, for each type."""
    parts = []
    for dtype in ("float32", "float64"):
        mine = [c for c in questions.timed(question) if questions.is_ours(c)]
        other = [c for c in questions.rivals(question) if c["dtype"].text == dtype]
        mine = [c for c in mine if c["dtype"].text == dtype]
        if mine and other:
            parts.append(
                f"in {dtype}, {spoken(mine[0])} takes "
                f"{plain(formats.seconds(mine[0]['median_seconds']))}, and "
                f"{spoken(other[0])}, the fastest of other libraries, "
                f"{plain(formats.seconds(other[0]['median_seconds']))}: "
                f"{plain(formats.quotient(other[0]['median_seconds'], mine[0]['median_seconds']))} "
                "as fast"
            )
    if not parts:
        raise DataError("this result has no other library beside fastdigit")
    said = "; ".join(parts)
    repetition = question["repetition"].text
    return _paragraph(f"For {'one ' if repetition[:1].isalpha() else ''}{repetition}, {said}.")


def base(result: Entry, question: Entry) -> str:
    """Return how ours does beside the base."""
    mine, slow = questions.shown_first(question), questions.base(question)
    if mine is None or slow is None:
        raise DataError("this result has no time of fastdigit beside the base")
    return _paragraph(
        f"{spoken(mine)} takes {plain(formats.seconds(mine['median_seconds']))}, and "
        f"{spoken(slow)} {plain(formats.seconds(slow['median_seconds']))}: "
        f"{plain(pace(mine, slow))} as fast."
    )


def nearness(result: Entry, question: Entry) -> str:
    """Return how close to the limit we are."""
    return _paragraph(plain(limit.answer(result).answer))


def first_start(result: Entry, question: Entry) -> str:
    """Return what comes before the first iteration."""
    return _paragraph(plain(start.answer(result).answer))


WRITERS: Mapping[str, Callable[[Entry, Entry], str]] = {
    "what": what,
    "contenders": contenders,
    "rivals": rivals,
    "base": base,
    "limit": nearness,
    "start": first_start,
}


def _ratio(question: Entry, contender: Entry) -> Text:
    slow = questions.base(question)
    if slow is None or slow.path == contender.path:
        return formats.quotient(contender["median_seconds"], contender["median_seconds"])
    return pace(contender, slow)


def _paragraph(text: str) -> str:
    return _wrapped(escape(text))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
