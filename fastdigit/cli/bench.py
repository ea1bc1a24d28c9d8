"""``fastdigit bench``: who is faster, by how much, and how sure that is."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdigit.cli import arguments, bench_result
from fastdigit.cli.streams import note, say
from fastdigit.cli.timing import Parts, since_process_start
from fastdigit.errors import DataError
from fastdigit.measure.suites import SUITES

if TYPE_CHECKING:
    from fastdigit.data import Dataset
    from fastdigit.measure.result import Question, Result
    from fastdigit.measure.revision import Place
    from fastdigit.measure.suites.plan import Plan

ROWS = 41_000
"""Of the classic task: Kaggle's file without a thousand held out."""
CLASSES = 10
THRESHOLD = 0.05
ROOFLINE_FROM = 20.0
"""Seconds of measuring from which on the limits of the machine are measured as well: that takes
ten more."""

EPILOG = f"""\
suites:
{chr(10).join(f"  {name:<10} {suite.about}" for name, suite in SUITES.items())}

Every contender lives in a process of its own, is shown to compute the right thing before it is
timed, and has its turns beside the others, in random order, while the machine is idle. One that is
wrong gets no time. A verdict is given only outside of the noise, which the base shows by running
twice.

as a gate in CI:
  fastdigit bench --suite iteration --baseline origin/main --threshold 5
      checks that revision out into a temporary git worktree, runs its kernels in turns with these,
      and exits with 1 if any of these is slower by more than 5 % and that is no noise, or is wrong
  fastdigit bench --suite iteration -o now.json --baseline before.json
      the same against an earlier result; one of another machine is compared by the ratios to the
      base, not by times

exit codes: 0 good, 1 slower than the baseline or failed, 2 wrong arguments, 130 interrupted
"""


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "bench",
        help="time kernels and training beside NumPy, other libraries, or an earlier revision",
        description="Time fastdigit beside the notebook, the NumPy reference, other libraries, or "
        "an earlier revision of itself.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_data(parser)
    number = arguments.whole
    default = [name for name, suite in SUITES.items() if suite.default]
    parser.add_argument(
        "--suite",
        type=suites,
        default=default,
        metavar="A,B,...",
        help=f"which suites, or all (default: {','.join(default)})",
    )
    parser.add_argument(
        "--against",
        choices=("peers",),
        help="other libraries take part as well, those that are installed",
    )
    parser.add_argument(
        "--baseline",
        metavar="OLD",
        help="an earlier result, or a git revision: say what has become faster or slower",
    )
    parser.add_argument(
        "--threshold",
        type=percent,
        metavar="PERCENT",
        help=f"with --baseline: slower by more is a failure (default: {100 * THRESHOLD:g})",
    )
    parser.add_argument(
        "--rows",
        type=number(1),
        default=ROWS,
        metavar="N",
        help=f"first rows used (default: {ROWS}, as in the classic task)",
    )
    parser.add_argument(
        "--seconds",
        type=arguments.rate,
        metavar="X",
        help="about how long to measure in all, but for building contenders and the fewest rounds, "
        "which every question takes (default: two minutes for the default suites)",
    )
    parser.add_argument(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="draws weights, samples and the order of turns (default: 0)",
    )
    arguments.add_threads(parser)
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="JSON", help="write everything that was measured"
    )
    parser.set_defaults(run=run)


def suites(text: str) -> list[str]:
    """Parse names of suites, each once, in the order in which they run."""
    names = {name.strip() for name in text.split(",")}
    if names == {"all"}:
        return list(SUITES)
    if unknown := names - SUITES.keys():
        raise argparse.ArgumentTypeError(
            f"there is no suite {min(unknown)!r}; there are {', '.join(SUITES)}, and all"
        )
    return [name for name in SUITES if name in names]


def percent(text: str) -> float:
    """Parse a positive number of per cent, as a share."""
    return arguments.rate(text.removesuffix("%")) / 100


def run(options: argparse.Namespace) -> None:
    """Measure, print the tables, write the result, and fail if the baseline was faster."""
    parts = Parts()
    if options.threshold is not None and options.baseline is None:
        raise arguments.ArgumentError("--threshold needs a --baseline to compare with")
    arguments.apply_threads(options.threads)
    arguments.check_outputs([options.output], [*arguments.places(options), options.baseline])
    from fastdigit.cli import bench_table
    from fastdigit.measure import regression
    from fastdigit.measure.idle import Steal, Watch

    steal = Steal()
    parts.add("start", since_process_start())
    with parts.part("data"):
        data = arguments.load(options, "train").head(options.rows)
        arguments.check_classes(data, CLASSES)
        document = bench_result.begin(options, data)
        before = _earlier(options.baseline, document["data"])
    with parts.part("watch"):
        watch = Watch()
    revision = options.baseline if before is None else None
    with _place(revision, parts) as place:
        wanted = "iteration" in options.suite and bench_result.seconds(options) >= ROOFLINE_FROM
        if place is None and wanted:
            with parts.part("roofline"):
                document["roofline"] = bench_result.roofline(data, options.quiet)
        with parts.part("plan"):
            planned = _planned(options, data, place)
        try:
            for question in _answered(options, planned, watch, parts):
                document["questions"].append(question)
                say(f"\n{bench_table.table(question)}")
        finally:
            bench_result.finish(document, parts, steal.share())
            bench_result.write(document, options.output)
    say(f"\n{bench_table.footer(document)}")
    _check_ours(document, revision)
    if options.baseline is None:
        return
    if before is None:
        changes = regression.since_revision(document["questions"])
    else:
        if not regression.same_machine(document, before):
            note("the earlier result is of another machine: ratios to the base are compared")
        changes = regression.since_result(document, before)
    name = bench_result.baseline_name(options.baseline)
    say(f"\n{bench_table.changes(changes, str(name))}")
    _fail(changes, THRESHOLD if options.threshold is None else options.threshold)


def _earlier(baseline: str | None, data: dict[str, Any]) -> "Result | None":
    """Return the earlier result that the baseline names; None if it can only be a revision."""
    if baseline is None:
        return None
    if not Path(baseline).is_file():
        if baseline.endswith(".json"):
            raise DataError(f"{baseline}: there is no such file to compare with")
        return None
    from fastdigit.measure.regression import checked

    try:
        document = json.loads(Path(baseline).read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{baseline} is no JSON: {error}") from error
    return checked(document, baseline, data)


@contextmanager
def _place(revision: str | None, parts: Parts) -> "Iterator[Place | None]":
    """Give the place of a revision, if there is one to be compared with."""
    if revision is None:
        yield None
        return
    from fastdigit.measure.revision import checked_out

    started = time.perf_counter()
    with checked_out(revision) as place:
        parts.add("checkout", time.perf_counter() - started)
        yield place
        started = time.perf_counter()
    parts.add("checkout", time.perf_counter() - started)


def _planned(
    options: argparse.Namespace, data: "Dataset", place: "Place | None"
) -> "list[tuple[Plan, float]]":
    """Return all questions, and for each how much of the time it gets."""
    import numpy as np

    from fastdigit.measure.suites import plans
    from fastdigit.measure.suites.plan import Setting

    setting = Setting(
        data.images,
        np.asarray(data.labels),
        bench_result.threads(options),
        options.seed,
        options.against is not None,
        place,
    )
    found = []
    for name in options.suite:
        several = plans(name, setting)
        whole = sum(plan.weight for plan in several)
        found += [(plan, SUITES[name].seconds * plan.weight / whole) for plan in several]
    return found


def _answered(
    options: argparse.Namespace, planned: "Sequence[tuple[Plan, float]]", watch: Any, parts: Parts
) -> "Iterator[Question]":
    """Answer one question after the other; each gets its share of the time that is left."""
    from fastdigit.measure.suites.plan import Run

    end = time.monotonic() + bench_result.seconds(options)
    for number, (plan, share) in enumerate(planned):
        left = max(0.0, end - time.monotonic())
        if not options.quiet:
            print(
                f"{number + 1} of {len(planned)}: {plan.topic.suite}: {plan.topic.name}; about "
                f"{left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
        seconds = left * share / sum(later for _, later in planned[number:])
        yield plan.answer(Run(seconds, options.seed, watch, parts.seconds, not options.quiet))


def _check_ours(document: "Result", revision: str | None) -> None:
    """Raise DataError if any of our contenders got no time; those of a revision may be wrong."""
    from fastdigit.measure.suites.plan import OURS

    names = [
        contender["name"]
        for question in document["questions"]
        for contender in question["contenders"]
        if contender["refused"] and contender["library"] == OURS
        if revision is None or contender["name"] != question["base"]
    ]
    if names:
        raise DataError(f"no time for {', '.join(dict.fromkeys(names))}: see the reasons above")


def _fail(changes: Sequence[Any], threshold: float) -> None:
    """Raise DataError if anything is slower by more than the threshold, or nothing comparable."""
    if not any(change.speed for change in changes):
        raise DataError("nothing could be compared with the baseline: see the reasons above")
    slower = [change.contender for change in changes if change.regressed(threshold)]
    if slower:
        raise DataError(
            f"{', '.join(dict.fromkeys(slower))}: slower than the baseline by more than "
            f"{threshold:.0%}"
        )
