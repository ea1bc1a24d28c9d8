"""``fastdigit compare``: the notebook, the reference and the fused kernels side by side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdigit.cli import arguments
from fastdigit.cli.streams import say
from fastdigit.errors import DataError

if TYPE_CHECKING:
    from fastdigit.data import Dataset
    from fastdigit.measure.contenders import Task

SCHEMA = 1
KAGGLE_ROWS = 42_000
BUILT_IN_ROWS = 21_000


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "compare",
        help="train the notebook, the reference and the fused kernels side by side",
        description="Train the notebook's plain NumPy, the NumPy reference and the fused Numba "
        "kernels side by side on the same work. Fails if they do not agree.",
    )
    arguments.add_data(parser)
    number = arguments.whole
    parser.add_argument(
        "--iterations", type=number(1), default=500, metavar="N", help="updates (default: 500)"
    )
    parser.add_argument(
        "--rows",
        type=number(1),
        metavar="N",
        help=f"first rows used, with those held out (default: {KAGGLE_ROWS}, as in Kaggle's file; "
        f"{BUILT_IN_ROWS} of the built-in digits, for a quick first look)",
    )
    parser.add_argument(
        "--dev", type=number(1), default=1000, metavar="N", help="rows held out (default: 1000)"
    )
    parser.add_argument(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="draws split, weights and the order of turns (default: 0)",
    )
    parser.add_argument(
        "--lr", type=arguments.rate, default=0.1, metavar="X", help="learning rate (default: 0.1)"
    )
    parser.add_argument(
        "--hidden", type=number(1), default=10, metavar="N", help="hidden units (default: 10)"
    )
    arguments.add_classes(parser)
    parser.add_argument(
        "--contenders",
        metavar="A,B,...",
        help="default: notebook, reference-f64, reference-f32, and the fused kernels on all pixels "
        "(dense-f64, dense-f32) and without zeros (sparse-f64, sparse-f32)",
    )
    arguments.add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("fastdigit-compare"),
        metavar="DIR",
        help="where report.md, compare.json and pictures go (default: fastdigit-compare)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Compare, print the table and write the report."""
    from fastdigit.cli import compare_progress, compare_report
    from fastdigit.measure.comparison import records, train_side_by_side
    from fastdigit.measure.machine import machine
    from fastdigit.reporting import comparison as shown
    from fastdigit.storage import check_writable

    names = _names(options.contenders)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in compare_report.FILES:
        check_writable(options.output / name)
    before = machine()
    rows = options.rows or (KAGGLE_ROWS if arguments.names_data(options) else BUILT_IN_ROWS)
    data = arguments.load(options, "train").head(rows)
    arguments.check_classes(data, options.classes)
    train, dev = data.split(options.dev, options.seed)
    task = _task(options, train)
    say(f"{data.summary()}\n{len(train):,} for training, {len(dev):,} held out")
    with compare_progress.watch(names, options.iterations, options.quiet) as watch:
        runs = train_side_by_side(task, names, options.iterations, watch.started, watch.stepped)
    found, verdict = records(runs, task.sizes, train, dev)
    document = {
        "schema": SCHEMA,
        "kind": "fastdigit compare",
        "machine": before,
        "settings": _settings(options, task, names),
        "data": _facts(data, train, dev),
        "verdict": verdict._asdict(),
        "contenders": found,
    }
    say(f"\n{shown.terminal(document)}")
    compare_report.write(document, runs[-1].network(task.sizes), dev, options.output)
    say(f"report: {options.output / 'report.md'}")
    if not verdict.agrees:
        raise DataError("the contenders do not agree; see the sentences below the table")


def _names(given: str | None) -> list[str]:
    from fastdigit.measure.contenders import CONTENDERS

    if given is None:
        return list(CONTENDERS)
    names = [name.strip() for name in given.split(",")]
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        raise arguments.ArgumentError(
            f"there is no contender {unknown[0]!r}; there are {', '.join(CONTENDERS)}"
        )
    if len(set(names)) < len(names):
        raise arguments.ArgumentError("--contenders names one of them twice")
    return names


def _task(options: argparse.Namespace, train: "Dataset") -> "Task":
    from fastdigit.measure.contenders import Task
    from fastdigit.measure.threads import allowed

    if train.labels is None:
        raise DataError(f"{train.source} has no labels, so nothing can be learned from it")
    sizes = (train.images.shape[1], options.hidden, options.classes)
    threads = options.threads or allowed()
    return Task(train.images, train.labels, sizes, options.seed, options.lr, threads)


def _settings(options: argparse.Namespace, task: "Task", names: list[str]) -> dict[str, Any]:
    from fastdigit.measure.comparison import ITERATIONS_A_TURN

    return {
        "command": arguments.command(),
        "contenders": names,
        "iterations": options.iterations,
        "iterations_a_turn": ITERATIONS_A_TURN,
        "learning_rate": options.lr,
        "sizes": list(task.sizes),
        "init": "uniform",
        "seed": options.seed,
        "dev": options.dev,
        "threads": task.threads,
    }


def _facts(data: "Dataset", train: "Dataset", dev: "Dataset") -> dict[str, Any]:
    return {
        "source": Path(data.source).name,
        "fingerprint": data.fingerprint,
        "rows": len(data),
        "training": len(train),
        "held_out": len(dev),
    }
