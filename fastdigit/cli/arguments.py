"""Arguments that several commands share, checked while they are parsed."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastdigit.cli.streams import say

if TYPE_CHECKING:
    from fastdigit.data import Dataset

HOW_TO_GET_MNIST = (
    "for MNIST, run: fastdigit download mnist, then pass its folder or set FASTDIGIT_DATA to it"
)


class ArgumentError(Exception):
    """Arguments that are each right, but not together."""


def whole(least: int) -> "Whole":
    """Return the type of an argument that is a whole number of at least so much."""
    return Whole(least)


class Whole:
    """Parses a whole number that is not too small."""

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, text: str) -> int:
        """Return the number."""
        try:
            value = int(text)
        except ValueError:
            value = self._least - 1
        if value < self._least:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number of at least {self._least}"
            )
        return value


def seed(text: str) -> int:
    """Parse what NumPy takes as a seed."""
    value = Whole(0)(text)
    if value >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is too large for a seed (below 2**32)")
    return value


def rate(text: str) -> float:
    """Parse a positive, finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
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


def add_classes(parser: argparse.ArgumentParser) -> None:
    """Add the number of outputs."""
    parser.add_argument(
        "--classes",
        type=whole(1),
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


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[str | Path | None]) -> None:
    """Refuse to write one file twice, or over a file that is read.

    Raises
    ------
    ArgumentError
        Naming the file.
    OSError
        If a file cannot be written, before anything else is done.
    """
    from fastdigit.storage import check_writable

    taken = {os.path.realpath(path): "is also read" for path in inputs if path}
    for path in outputs:
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise ArgumentError(f"{path} {taken[place]}; write to another file")
        if not os.path.exists(place) or os.path.isfile(place) or os.path.isdir(place):
            taken[place] = "is written twice"
            check_writable(path)


def apply_threads(threads: int | None) -> None:
    """Give the libraries so many threads, if a number was asked for; before they are imported."""
    if threads is not None:
        from fastdigit.measure.threads import limit

        limit(threads)


def names_data(options: argparse.Namespace) -> bool:
    """Return whether the arguments or the environment name data, so that none need be drawn."""
    return bool(options.data or options.data_option or os.environ.get("FASTDIGIT_DATA"))


def load(options: argparse.Namespace, subset: str) -> "Dataset":
    """Return the data that the arguments name; without any, say what is used instead."""
    if options.data and options.data_option:
        raise ArgumentError("DATA was given twice, as an argument and as --data; give one of them")
    from fastdigit.data import default_data, load_data

    place = options.data or options.data_option
    if place:
        return load_data(place, subset)
    data = default_data(subset)
    if os.environ.get("FASTDIGIT_DATA"):
        say(f"no DATA given, so this uses what FASTDIGIT_DATA names: {data.source}")
    else:
        say(f"no DATA given, so this uses {data.source}; {HOW_TO_GET_MNIST}")
    return data
