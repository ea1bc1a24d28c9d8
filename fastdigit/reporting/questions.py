"""What the answers ask of a result: who was timed, who is ours, who was first."""

from collections.abc import Iterable
from statistics import fmean

from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import figure, plain

OURS = {"fastdigit", "numba"}
"""Libraries that are this one: older results name what its kernels are compiled by."""
COMMON = {"notebook", "reference", "notebook as a script"}
"""Names that are words."""
SUITES = {
    "iteration": "One training iteration",
    "training": "A whole training",
    "predict": "Prediction",
    "kernels": "Kernels",
    "scaling": "Scaling",
    "start-up": "The first run",
}
"""In the order in which they are shown."""
APART = ("scaling", "start-up")
"""Suites with a section of their own."""


def of_suite(result: Entry, *suites: str) -> list[Entry]:
    """Return the questions of some suites, of all by default, in the order of the suites."""
    order = list(SUITES)
    chosen = [q for q in result["questions"] if not suites or q["suite"].text in suites]
    return sorted(
        chosen,
        key=lambda q: order.index(q["suite"].text) if q["suite"].text in order else len(order),
    )


def name(question: Entry) -> str:
    """Return what a question is called; with its number of images, which names may leave out."""
    text = question["name"].text or "a question without a name"
    images = question["parameters"]["images"]
    counted = f"{plain(figure(images))} images"
    return text if images.number is None or counted in text else f"{text}, {counted}"


def contender_name(contender: Entry) -> str:
    """Return what a contender is called."""
    return contender["name"].text or "a contender without a name"


def spoken(contender: Entry) -> str:
    """Return what a contender is called in a sentence."""
    name = contender_name(contender)
    return f"the {name}" if name in COMMON else name


def timed(question: Entry) -> list[Entry]:
    """Return the contenders that have a time, the fastest first."""
    return sorted((c for c in question["contenders"] if c["median_seconds"].positive), key=median)


def refused(question: Entry) -> list[Entry]:
    """Return the contenders that were given no time."""
    return [c for c in question["contenders"] if not c["median_seconds"].positive]


def median(contender: Entry) -> float:
    """Return the seconds of a contender that was timed."""
    return contender["median_seconds"].positive or 0.0


def is_ours(contender: Entry) -> bool:
    """Say whether a contender is fastdigit."""
    return contender["library"].text in OURS


def ours(question: Entry, dtype: str | None = None) -> Entry | None:
    """Return the fastest contender of fastdigit, of one type if there is one."""
    mine = [c for c in timed(question) if is_ours(c)]
    return next((c for c in mine if c["dtype"].text == dtype), mine[0] if mine else None)


def shown_first(question: Entry) -> Entry | None:
    """Return the fastest of ours that is not itself the base, if there is another."""
    mine = [c for c in timed(question) if is_ours(c)]
    wanted = question["base"].text
    return next((c for c in mine if c["name"].text != wanted), mine[0] if mine else None)


def others(question: Entry) -> list[Entry]:
    """Return the contenders of other libraries that have a time, the fastest first."""
    return [c for c in timed(question) if not is_ours(c)]


def base(question: Entry) -> Entry | None:
    """Return the contender that ratios are against, if it has a time."""
    wanted = question["base"].text
    return next((c for c in timed(question) if c["name"].text == wanted), None)


def in_front(result: Entry) -> list[Entry]:
    """Return the questions that are not `APART`, or, where there are no others, all."""
    asked = of_suite(result)
    return [q for q in asked if q["suite"].text not in APART] or asked


def main(result: Entry) -> Entry | None:
    """Return the question that is answered first: one with ours beside another."""
    asked = in_front(result)
    compared = [q for q in asked if ours(q) and others(q)]
    return next(iter(compared or [q for q in asked if timed(q)]), None)


def seconds_of_rounds(contender: Entry) -> list[tuple[float, bool]]:
    """Return the seconds of a repetition in each round, and whether something disturbed it."""
    found = []
    for turn in contender["rounds"]:
        # Earlier results do not say what counts of a turn: all of it did.
        seconds = positives([turn["counted"]]) or positives(turn["seconds"])
        if seconds:
            found.append((fmean(seconds), turn["disturbed"].value is True))
    return found


def positives(entries: Iterable[Entry]) -> list[float]:
    """Return the numbers above 0."""
    return [entry.positive for entry in entries if entry.positive is not None]


def rivals(question: Entry) -> list[Entry]:
    """Return what could beat us: contenders of other libraries, but for the base and our twins.

    The NumPy reference is ours, and the notebook is what we come from; both are shown as well
    where they win.
    """
    return [c for c in others(question) if c["library"].text != "numpy"]


def overlap(one: Entry, other: Entry) -> bool | None:
    """Say whether the intervals of two contenders overlap; None where one has none."""
    ends = [c["ratio"][end].number for c in (one, other) for end in ("low", "high")]
    low, high, other_low, other_high = ends
    if low is None or high is None or other_low is None or other_high is None:
        return None
    return low <= other_high and other_low <= high
