"""A result as one HTML page that needs no network and no script."""

import math
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

from fastdigit.reporting import answers, questions
from fastdigit.reporting.answers import setting
from fastdigit.reporting.answers.speed import NO_VERDICT, UNSURE, pace, verdict
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.formats import plain, quotient, several
from fastdigit.reporting.older import SCHEMA, current

if TYPE_CHECKING:
    from jinja2 import Template

MOST_NAMED = 5
"""Places of numbers that are none; further ones are counted."""


def page(document: Entry, data: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    document
        What a benchmark wrote; parts that are missing or damaged are said to be missing.
    data
        The name of the file beside the page that holds the document.

    Raises
    ------
    ModuleNotFoundError
        Without jinja2.
    """
    result = current(document)
    ids = count()
    text = _template().render(
        title=title(result),
        under=_under(result),
        warnings=warnings(document, result),
        sections=[answer(result) for answer in answers.ALL],
        data=data,
        next_id=lambda: next(ids),
    )
    # Half of a character, as in "\ud800", cannot be written.
    return text.encode(errors="replace").decode()


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fastdigit.reporting"),
        # By default nothing is escaped.
        autoescape=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html")


def title(result: Entry) -> str:
    """Return the main finding in a few words."""
    question = questions.main(result)
    if question is None:
        return "A fastdigit result without times"
    mine = questions.shown_first(question)
    base = questions.base(question)
    if mine is None or base is None:
        return f"fastdigit: {questions.name(question)}"
    if base.path != mine.path:
        rival, ratio = base, pace(mine, base)
    else:
        rival = next(iter(questions.others(question)), base)
        ratio = quotient(rival["median_seconds"], mine["median_seconds"])
    name = questions.spoken
    known = verdict(question, mine)
    if known == UNSURE:
        return f"{name(mine)} and {name(rival)} are {UNSURE}"
    end = f" ({NO_VERDICT})" if known == NO_VERDICT else ""
    return f"{name(mine)} is {plain(ratio)} as fast as {name(rival)}{end}"


def warnings(document: Entry, result: Entry) -> list[str]:
    """Return what is odd about a document."""
    found = []
    schema = document["schema"].number
    if document["questions"].value is None:
        if list(result["questions"]):
            found.append(
                "This result was written by an older fastdigit: what it did not record is missing "
                "here."
            )
        else:
            found.append("This file holds no result of fastdigit; nothing in it could be shown.")
    elif schema is not None and schema > SCHEMA:
        found.append(
            f"This result has schema {schema:g}, newer than {SCHEMA}, which this fastdigit reads; "
            "install a newer one to see everything."
        )
    places = _not_finite(document.value, "")
    if places:
        named = ", ".join(places[:MOST_NAMED])
        more = len(places) - MOST_NAMED
        further = f" and {more:,} more" if more > 0 else ""
        found.append(
            f"{several(len(places), 'number')} in this file {'is' if len(places) == 1 else 'are'} "
            f"infinite or not a number, and left out: {named}{further}."
        )
    return found


def _under(result: Entry) -> str:
    pieces = [setting.processor(result), setting.day(result), result["settings"]["command"].text]
    return " · ".join(piece for piece in pieces if piece)


def _not_finite(value: Any, path: str) -> list[str]:
    if isinstance(value, float):
        return [] if math.isfinite(value) else [path]
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [
        place
        for key, one in items
        for place in _not_finite(one, f"{path}.{str(key)[:40]}" if path else str(key)[:40])
    ]
