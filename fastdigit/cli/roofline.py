"""``fastdigit info --roofline``: what this machine can do, and how near our iterations come."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastdigit.cli import arguments
from fastdigit.cli.streams import note, say
from fastdigit.errors import DataError

if TYPE_CHECKING:
    from fastdigit.data import Dataset
    from fastdigit.measure.limits import Iteration
    from fastdigit.measure.roofline import Roofline

ROWS = 41_000
"""Of the classic task: Kaggle's file without a thousand held out."""
HIDDEN = CLASSES = 10
ROUNDS = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to those of a command."""
    parser.add_argument(
        "--roofline",
        action="store_true",
        help="measure what this machine can do, and how near the iterations of the classic task "
        f"({ROWS:,} images, 784-{HIDDEN}-10) come to that",
    )
    arguments.add_data(parser)
    parser.add_argument(
        "-o",
        "--picture",
        type=arguments.png,
        metavar="PNG",
        help="with --roofline: draw the roofline chart",
    )


def check(options: argparse.Namespace) -> None:
    """Refuse options that belong to ``--roofline`` without it, and files that cannot be written."""
    if not options.roofline:
        given = [options.data, options.data_option, options.picture]
        if any(value is not None for value in given):
            raise arguments.ArgumentError("DATA and --picture are only for --roofline; add it")
        return
    from fastdigit.kernels import chosen

    arguments.check_outputs([options.picture], arguments.places(options))
    try:
        chosen("numba")
    except ValueError as error:
        raise arguments.ArgumentError(f"--roofline cannot be measured: {error}") from error


def run(options: argparse.Namespace) -> None:
    """Measure, print both tables and draw the picture."""
    from fastdigit.measure.machine import load_average
    from fastdigit.measure.roofline import measure
    from fastdigit.measure.threads import allowed
    from fastdigit.reporting import roofline as shown
    from fastdigit.reporting.comparison import BUSY

    load = load_average()
    if load and load[0] > BUSY * allowed():
        note(f"warning: the machine is busy (load average {load[0]}), so times are less certain")
    with status() as tell:
        roofline = measure(told=tell)
    say(f"\n{shown.machine_table(roofline)}\n")
    data = classic(options)
    with status() as tell:
        iterations = timed(roofline, data, tell)
    say(f"{data.source}: {len(data):,} images, {HIDDEN} hidden units")
    say(f"\n{shown.iteration_table(iterations)}")
    if options.picture is not None:
        from fastdigit.reporting import pictures

        pictures.save(shown.chart(roofline, iterations), options.picture)
        say(f"\nsaved {options.picture}")


def classic(options: argparse.Namespace) -> "Dataset":
    """Return the images of the classic task: the first ones of the data, or drawn ones."""
    if arguments.names_data(options):
        data = arguments.load(options, "train").head(ROWS)
        if data.labels is None:
            raise DataError(f"{data.source} has no labels, so nothing can be learned from it")
        return data
    from fastdigit.data import make_digits

    note(f"no DATA given, so digits are drawn; {arguments.HOW_TO_GET_MNIST}")
    return make_digits(ROWS, seed=0)


def timed(roofline: "Roofline", data: "Dataset", tell: Callable[[str], None]) -> "list[Iteration]":
    """Time iterations of each kind, in each type, with each number of threads.

    All are timed several times over, so that a busy moment spoils none of them as a whole.
    """
    import numpy as np

    from fastdigit.kernels import Problem
    from fastdigit.measure import limits

    images, labels = data.images, np.asarray(data.labels)
    sizes = (images.shape[1], HIDDEN, max(CLASSES, int(labels.max()) + 1))
    best: dict[tuple[str, str, int], Iteration] = {}
    for number in range(ROUNDS):
        compiling = "" if number else ", compiling the kernels if this is the first time"
        tell(f"timing iterations, round {number + 1} of {ROUNDS}{compiling}")
        for storage in limits.LIMITS:
            for dtype in ("float32", "float64"):
                problem = Problem(sizes, np.dtype(dtype), images, labels)
                for rates in roofline.rates:
                    found = limits.timed(roofline, problem, storage, rates.threads)
                    before = best.setdefault((storage, dtype, rates.threads), found)
                    if found.seconds < before.seconds:
                        best[storage, dtype, rates.threads] = found
    return list(best.values())


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Give a function that shows what is being done: on one line if someone watches."""
    from fastdigit.progress import interactive

    if not interactive():
        yield note
        return
    from tqdm.auto import tqdm

    with tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True) as line:
        yield line.set_description_str
