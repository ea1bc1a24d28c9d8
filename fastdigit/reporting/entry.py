"""A JSON document that may be old, damaged or hostile, read without surprises."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastdigit.errors import DataError

LARGEST = 1e300
LONGEST = 400
"""Characters of a text that are shown, and of a name."""


class Entry:
    """A value in a document, and where it stands: what is not there is None, and has no entries."""

    def __init__(self, value: Any, path: str = "") -> None:
        self.value = value
        self.path = path

    def __getitem__(self, key: str | int) -> "Entry":
        path = f"{self.path}.{key}" if self.path else str(key)
        try:
            return Entry(self.value[key], path)
        except (KeyError, IndexError, TypeError):
            return Entry(None, path)

    def __iter__(self) -> Iterator["Entry"]:
        """Return the entries of a list; those of anything else are none."""
        several = self.value if isinstance(self.value, list) else ()
        return (self[place] for place in range(len(several)))

    @property
    def names(self) -> list[str]:
        """What the entries of an object are called; what is longer than a name is none."""
        several = self.value if isinstance(self.value, dict) else ()
        return [name for name in several if len(name) <= LONGEST]

    @property
    def number(self) -> float | None:
        """The value if it is a number that arithmetic can do something with."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if -LARGEST < value < LARGEST else None

    @property
    def positive(self) -> float | None:
        """The value if it is a finite number above 0, as a time has to be."""
        number = self.number
        return number if number is not None and number > 0 else None

    @property
    def text(self) -> str:
        """The value if it is a text, and nothing otherwise."""
        if not isinstance(self.value, str):
            return ""
        # Half of a character, as in "\ud800", cannot be written.
        whole = self.value.encode(errors="replace").decode()
        return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}…"


def read(path: Path) -> Entry:
    """Return what is in a file.

    Raises
    ------
    DataError
        If it is no JSON; says where it goes wrong.
    OSError
        If it cannot be read.
    """
    content = path.read_bytes()
    try:
        return Entry(json.loads(content))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError) as error:
        where = str(error)
    raise DataError(
        f"{path} is no JSON ({where}); give it the results.json that fastdigit bench wrote"
    )
