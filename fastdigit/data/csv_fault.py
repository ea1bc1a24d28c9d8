"""What is wrong with a line of CSV, in words; only asked after the parser has stopped there."""

import re

from fastdigit.data.csv_layout import Layout


def explain(line: bytes, layout: Layout) -> str:
    """Say why a line could not be parsed.

    Parameters
    ----------
    line
        The line, with its line end if it has one.
    layout
        The columns that were expected.

    Returns
    -------
    str
        Where in the line the fault is, what is there, and what was expected or what to do.
    """
    if not line.endswith(b"\n"):
        return (
            "is the last line and has no line end, so it may be cut inside its last number; get "
            "the file again, or pass allow_missing_newline=True if you know that it is complete"
        )
    text = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "replace")
    cells = text.split(",")
    if not text:
        return "is empty; remove it"
    if "\0" in text:
        return "holds NUL bytes, so the file is damaged; get it again"
    if layout.names is not None and tuple(cells) == layout.names:
        return "is the header again; remove it"
    if len(cells) == 1 and ";" in text:
        return "has cells separated by ';'; write the file again with commas"
    if len(cells) != layout.columns:
        return f"has {len(cells)} cell(s), expected {layout.columns}"
    for column, cell in enumerate(cells):
        fault = _fault(cell)
        if fault:
            return f"{layout.describe(column)}: {fault}; expected a whole number from 0 to 255"
    return f"is not {layout.columns} whole numbers from 0 to 255 separated by commas"


def _fault(cell: str) -> str:
    """Say what is wrong with a cell; nothing if nothing is."""
    if not cell:
        return "the cell is empty"
    shown = repr(cell if len(cell) <= 20 else cell[:20] + "...")
    if re.fullmatch("[0-9]+", cell):
        if len(cell) <= 3 and int(cell) <= 255:
            return ""
        return f"{shown} is too large or has too many digits"
    if cell.strip() != cell:
        return f"{shown} has spaces around it"
    if '"' in cell:
        return f"{shown} is in quotes"
    if re.fullmatch(r"-[0-9.]+", cell):
        return f"{shown} is negative"
    if re.fullmatch(r"[0-9]*\.[0-9]*(e[-+]?[0-9]+)?", cell):
        return f"{shown} is a fraction (scaled pixels have to be multiplied by 255)"
    return f"{shown} is not a number"
