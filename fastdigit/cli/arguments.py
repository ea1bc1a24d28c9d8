"""Arguments that several commands share, checked while they are parsed."""

import argparse
import math
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdigit.cli.streams import say
from fastdigit.errors import DataError

if TYPE_CHECKING:
    from fastdigit.data import Dataset

HOW_TO_GET_MNIST = "for MNIST, run: fastdigit download mnist"


CSV_DEFAULTS = {"header": True, "label_column": "auto", "allow_missing_newline": False}
SPELLED = (
    ("header=False", "--no-header"),
    ('label_column="first"', "--label-column first"),
    ("allow_missing_newline=True", "--allow-missing-newline"),
)
"""What messages of `fastdigit.load_data` tell to pass, and what does so on the command line."""


class ArgumentError(Exception):
    """Arguments that are each right, but not together."""


LARGEST = 2**63 - 1


def whole(least: int, most: int = LARGEST) -> "Whole":
    """Return the type of an argument that is a whole number within these limits."""
    return Whole(least, most)


class Whole:
    """Parses a whole number that is neither too small nor too large."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        """Return the number."""
        try:
            value = int(text)
        except ValueError:
            value = self._least - 1
        if not self._least <= value <= self._most:
            limits = (
                f"from {self._least} to {self._most}"
                if value > self._most or self._most < LARGEST
                else f"of at least {self._least}"
            )
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {limits}")
        return value


def seed(text: str) -> int:
    """Parse what NumPy takes as a seed."""
    return whole(0, 2**32 - 1)(text)


def rate(text: str) -> float:
    """Parse a positive, finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def decay(text: str) -> float:
    """Parse a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def share(text: str) -> float:
    """Parse a number from 0 to 0.99."""
    from fastdigit.settings import MOST_SHARE

    value = decay(text)
    if value > MOST_SHARE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share, 0 to {MOST_SHARE}")
    return value


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add where the digits come from, as an argument or as ``--data``."""
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="Kaggle's train.csv, a folder with MNIST's IDX files, or .npz; "
        "without it FASTDIGIT_DATA, or else built-in digits",
    )
    parser.add_argument("--data", dest="data_option", metavar="DATA", help="the same as DATA")
    add_csv(parser)


def add_csv(parser: argparse.ArgumentParser) -> None:
    """Add how a CSV file differs from Kaggle's."""
    parser.add_argument(
        "--no-header",
        dest="header",
        action="store_false",
        help="CSV: the first line is no header (needs --label-column)",
    )
    parser.add_argument(
        "--label-column",
        type=column,
        default="auto",
        metavar="COLUMN",
        help="CSV: first, last, a name, or a number from 0; none if there are images alone "
        "(default: the first, if it is named label)",
    )
    parser.add_argument(
        "--allow-missing-newline",
        action="store_true",
        help="CSV: the file is complete, although its last line has no line end",
    )


def column(text: str) -> str | int | None:
    """Parse which column holds the labels: a name, a number, or none of them."""
    if text.lower() == "none":
        return None
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else text


def csv_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_csv` parsed, as `fastdigit.load_data` takes it."""
    return {name: getattr(options, name) for name in CSV_DEFAULTS}


def in_options(message: str) -> str:
    """Return an error message with options of the command in the place of Python's arguments."""
    for python, option in SPELLED:
        message = message.replace(python, option)
    return message


def add_classes(parser: argparse.ArgumentParser) -> None:
    """Add the number of outputs."""
    parser.add_argument(
        "--classes",
        type=whole(1, 256),
        default=10,
        metavar="N",
        help="labels are 0 to N-1 (default: 10; EMNIST has up to 62)",
    )


def add_compute(parser: argparse.ArgumentParser) -> None:
    """Add which kernels to use, and how many threads."""
    parser.add_argument(
        "--backend",
        choices=("auto", "numpy", "numba"),
        default="auto",
        help="fused Numba kernels, or the NumPy reference (default: auto, which is numba)",
    )
    add_threads(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add the number of threads."""
    parser.add_argument(
        "--threads",
        type=whole(1),
        metavar="N",
        help="threads of the kernels (default: NUMBA_NUM_THREADS, or all processors allowed)",
    )


def png(text: str) -> Path:
    """Return the path of a picture to write: they are PNG files."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png: pictures are PNG files")
    return path


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[str | Path | None]) -> None:
    """Refuse to write one file twice, or over a file that is read.

    Raises
    ------
    ArgumentError
        Naming the file.
    OSError
        If a file cannot be written, before anything else is done.
    """
    if not any(outputs):
        return
    from fastdigit.data.loading import data_files

    read = [file for place in inputs if place for file in data_files(place)]
    taken = {os.path.realpath(path): "is also read" for path in read}
    for path in outputs:
        if path is None:
            continue
        from fastdigit.storage import check_writable

        place = os.path.realpath(path)
        if place in taken:
            raise ArgumentError(f"{path} {taken[place]}; write to another file")
        if not os.path.exists(place) or os.path.isfile(place) or os.path.isdir(place):
            taken[place] = "is written twice"
            check_writable(path)


def places(options: argparse.Namespace) -> list[str | None]:
    """Return where data are read from."""
    named = options.data or options.data_option
    return [options.data, options.data_option, None if named else os.environ.get("FASTDIGIT_DATA")]


def apply_threads(threads: int | None) -> None:
    """Give the libraries so many threads, if a number was asked for; before they are imported."""
    if threads is not None:
        from fastdigit.measure.threads import limit

        limit(threads)


def command() -> str:
    """Return what was called, without the directories of whoever called it."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return shlex.join(["fastdigit", *words])


def names_data(options: argparse.Namespace) -> bool:
    """Return whether there are data in files, so that none need be drawn."""
    from fastdigit.data.default import downloaded

    named = options.data or options.data_option or os.environ.get("FASTDIGIT_DATA")
    return bool(named or downloaded())


def load(options: argparse.Namespace, subset: str) -> "Dataset":
    """Return the data that the arguments name; without any, say what is used instead."""
    if options.data and options.data_option:
        raise ArgumentError("DATA was given twice, as an argument and as --data; give one of them")
    if "" in (options.data, options.data_option):
        raise ArgumentError("DATA is empty; leave it out to use the default data")
    from fastdigit.data import default_data, load_data

    csv = csv_options(options)
    place = options.data or options.data_option
    if place:
        return load_data(place, subset, **csv)
    if csv != CSV_DEFAULTS:
        raise ArgumentError("options for CSV need DATA, the file that they are about")
    data = default_data(subset)
    if os.environ.get("FASTDIGIT_DATA"):
        say(f"no DATA given, so this uses what FASTDIGIT_DATA names: {data.source}")
    elif names_data(options):
        say(f"no DATA given, so this uses {data.source}")
    else:
        say(f"no DATA given, so this uses {data.source}; {HOW_TO_GET_MNIST}")
    return data


def check_classes(data: "Dataset", classes: int) -> None:
    """Raise DataError, and say how many classes would do, if a label is not below their number."""
    if data.labels is not None and len(data) and data.labels.max() >= classes:
        highest = int(data.labels.max())
        raise DataError(
            f"{data.source}: row {int(data.labels.argmax())} has label {highest}, but the labels "
            f"of {classes} classes are 0 to {classes - 1}; if it is right, use "
            f"--classes {highest + 1}"
        )
