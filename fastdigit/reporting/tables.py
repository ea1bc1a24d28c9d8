"""Tables for terminals and for Markdown, from the same rows."""

import html
from collections.abc import Sequence

Row = Sequence[str]


def text_table(headings: Row, rows: Sequence[Row]) -> str:
    """Return a table for a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]

    def line(cells: Row) -> str:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(headings), rule, *map(line, rows)])


def markdown_table(headings: Row, rows: Sequence[Row], numbers: bool = True) -> str:
    """Return the same as a table in Markdown; what is in a cell cannot break out of it.

    Without ``numbers``, all columns are to the left.
    """
    rule = ["---", *["---:" if numbers else "---"] * (len(headings) - 1)]
    cells = [[escape(cell) for cell in row] for row in (headings, *rows)]
    lines = [cells[0], rule, *cells[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line: no HTML, no table cells, no links."""
    safe = html.escape(" ".join(text.split()), quote=False)
    for character in "\\`*_[]|":
        safe = safe.replace(character, "\\" + character)
    return safe


def pairs(facts: Sequence[tuple[str, str]]) -> str:
    """Return lines of names and values, the values below each other."""
    width = max((len(name) for name, _ in facts), default=0)
    lines = []
    for name, value in facts:
        first, *others = value.split("\n")
        lines.append(f"{name.ljust(width)}  {first}".rstrip())
        lines += [" " * (width + 2) + other for other in others]
    return "\n".join(lines)
