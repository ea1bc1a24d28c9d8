"""The eight questions that a report answers, a module each."""

from collections.abc import Callable, Sequence

from fastdigit.reporting.answers import (
    certainty,
    equality,
    limit,
    losses,
    scaling,
    setting,
    speed,
    start,
)
from fastdigit.reporting.entry import Entry
from fastdigit.reporting.parts import Section

ALL: Sequence[Callable[[Entry], Section]] = (
    speed.answer,
    equality.answer,
    setting.answer,
    certainty.answer,
    limit.answer,
    scaling.answer,
    start.answer,
    losses.answer,
)
"""In the order in which they are asked."""
