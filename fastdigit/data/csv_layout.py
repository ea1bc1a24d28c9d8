"""Layout: what the columns of a CSV file hold, as its first line and the caller say."""

import re
from dataclasses import dataclass
from itertools import pairwise

from fastdigit.data.signature import BYTE_ORDER_MARK
from fastdigit.errors import DataError

PIXEL_NAME = re.compile(r"pixel([0-9]+)")


@dataclass(frozen=True)
class Layout:
    """The columns of a CSV file.

    Parameters
    ----------
    columns
        How many there are, with the label's.
    label
        The position of the label's column, from 0; None if there is none.
    names
        The names of the columns; None if the file has no header.
    """

    columns: int
    label: int | None
    names: tuple[str, ...] | None

    def describe(self, column: int) -> str:
        """Return a column's number, counted from 1 as editors do, and its name."""
        name = "" if self.names is None else f" ({self.names[column]})"
        return f"column {column + 1}{name}"


def read_layout(first_line: bytes, header: bool, label_column: str | int | None) -> Layout:
    """Find out what the columns hold.

    Parameters
    ----------
    first_line
        The first line of the file, with its line end.
    header, label_column
        As given to `fastdigit.load_data`.

    Raises
    ------
    DataError
        If the line is no header (or a header where there should be none), has a column twice,
        or does not settle which column holds the labels.
    """
    cells = _cells(first_line)
    names = _names(cells) if header else None
    label = _label_position(names, len(cells), label_column)
    if len(cells) == (0 if label is None else 1):
        raise DataError("line 1: there is no column of pixels")
    if names is not None:
        _check_order(names, label)
    return Layout(len(cells), label, names)


def _cells(first_line: bytes) -> list[str]:
    line = first_line.removeprefix(BYTE_ORDER_MARK).removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"line 1: is not UTF-8 text ({error.reason})") from error
    if not text:
        raise DataError("line 1: is empty; expected the names of the columns, or pixels")
    if "\r" in text:
        raise DataError("line 1: lines end with CR alone; convert them to LF or CR LF")
    if not text.isprintable():
        raise DataError("line 1: holds bytes that are no text, or tabs; cells end with commas")
    if "," not in text and ";" in text:
        raise DataError("line 1: cells are separated by ';'; write the file again with commas")
    return text.split(",")


def _names(cells: list[str]) -> tuple[str, ...]:
    if all(re.fullmatch(r"[-+]?[0-9.]+", cell.strip()) for cell in cells):
        raise DataError(
            "line 1: holds numbers where the names of the columns are expected; pass "
            'header=False and the position of the label, such as label_column="first"'
        )
    seen: set[str] = set()
    for number, name in enumerate(cells, start=1):
        if not name or name != name.strip() or '"' in name:
            raise DataError(
                f"line 1, column {number}: {name!r} is not a plain name; "
                "remove quotes, spaces and empty columns"
            )
        if name in seen:
            raise DataError(f"line 1, column {number}: the name {name!r} occurs twice")
        seen.add(name)
    return tuple(cells)


def _label_position(
    names: tuple[str, ...] | None, columns: int, label_column: str | int | None
) -> int | None:
    if label_column is None:
        return None
    if label_column == "auto":
        return _automatic(names)
    if label_column == "first":
        return 0
    if label_column == "last":
        return columns - 1
    if isinstance(label_column, str):
        if names is None or label_column not in names:
            there = "the file has no names" if names is None else f"there are {_few(names)}"
            raise DataError(f"line 1: no column is named {label_column!r}; {there}")
        return names.index(label_column)
    if not -columns <= label_column < columns:
        raise DataError(f"label_column is {label_column}, but there are {columns} columns")
    return label_column % columns


def _automatic(names: tuple[str, ...] | None) -> int | None:
    say = 'pass label_column="first" (or "last", a name, an index; None for images alone)'
    if names is None:
        raise DataError(f"without a header nothing shows which column is the label; {say}")
    lower = [name.lower() for name in names]
    if lower[0] == "label":
        return 0
    if "label" in lower:
        raise DataError(
            f"line 1, column {lower.index('label') + 1}: is the label, not the first; {say}"
        )
    if all(PIXEL_NAME.fullmatch(name) for name in names):
        return None
    raise DataError(f"line 1: no column is named label, but {_few(names)}; {say}")


def _check_order(names: tuple[str, ...], label: int | None) -> None:
    """Raise if pixels have Kaggle's names but not in the order of the image."""
    pixels = [name for column, name in enumerate(names) if column != label]
    matches = [PIXEL_NAME.fullmatch(name) for name in pixels]
    numbers = [int(match[1]) for match in matches if match]
    if len(numbers) < len(pixels):
        return
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise DataError(
                f"line 1: pixel{after} comes after pixel{before}; "
                "the columns must be in order and complete"
            )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
