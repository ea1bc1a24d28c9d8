"""What a page is made of: sections of tables, charts, notes and what can be unfolded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fastdigit.reporting.formats import Number, Text
from fastdigit.reporting.scales import Tick


@dataclass(frozen=True)
class Table:
    """Rows of cells, under a heading each."""

    kind: ClassVar[str] = "table"
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Text]]
    numbers: bool = True
    """Whether columns with numbers go to the right."""

    def numeric(self, column: int) -> bool:
        """Say whether a column holds numbers, so that it goes to the right."""
        return self.numbers and any(_is_number(row[column]) for row in self.rows)


@dataclass(frozen=True)
class Note:
    """A paragraph."""

    kind: ClassVar[str] = "note"
    text: Text


@dataclass(frozen=True)
class Missing:
    """What is not in the document, and which command measures it."""

    kind: ClassVar[str] = "missing"
    what: str
    command: str


@dataclass(frozen=True)
class Fold:
    """Something that is shown on demand."""

    kind: ClassVar[str] = "fold"
    summary: Text
    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Mark:
    """A point of a chart; ``x`` in per cent of the width, ``y`` in pixels."""

    x: float
    y: float
    look: str
    """A class of the style sheet."""


@dataclass(frozen=True)
class Stretch:
    """A straight line of a chart."""

    x1: float
    y1: float
    x2: float
    y2: float
    look: str


@dataclass(frozen=True)
class Words:
    """A text in a chart."""

    x: float
    y: float
    text: str
    look: str
    anchor: str = "start"
    more: str = ""
    """Behind it, where there is room."""


@dataclass(frozen=True)
class Key:
    """A line of the legend."""

    look: str
    text: str
    shape: str = "line"
    """"line", "dot" or "square"."""


@dataclass(frozen=True)
class Chart:
    """A picture whose width is that of the page, and whose text keeps its size."""

    kind: ClassVar[str] = "chart"
    title: str
    description: str
    """What can be seen, for those who cannot."""
    height: int
    x_title: str
    x_ticks: Sequence[Tick]
    y_title: str = ""
    y_ticks: Sequence[Tick] = ()
    """Places in pixels."""
    stretches: Sequence[Stretch] = ()
    marks: Sequence[Mark] = ()
    words: Sequence[Words] = ()
    legend: Sequence[Key] = ()


Block = Table | Note | Missing | Fold | Chart


@dataclass(frozen=True)
class Section:
    """A question and its answer."""

    anchor: str
    question: str
    answer: Text
    blocks: Sequence[Block]


def _is_number(cell: Text) -> bool:
    pieces = [cell] if isinstance(cell, str | Number) else cell
    return any(isinstance(piece, Number) for piece in pieces)
