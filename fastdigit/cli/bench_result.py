"""What ``fastdigit bench`` writes: the document, beside the answers in it."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdigit.cli import arguments
from fastdigit.cli.streams import note
from fastdigit.cli.timing import Parts, since_process_start
from fastdigit.errors import DataError
from fastdigit.measure.suites import SUITES, WITH_PEERS

if TYPE_CHECKING:
    from fastdigit.data import Dataset
    from fastdigit.measure.result import Result


def begin(options: argparse.Namespace, data: "Dataset") -> "Result":
    """Return a result without answers: what is measured, on what, and with what settings."""
    from fastdigit.measure.machine import machine
    from fastdigit.measure.peers import PACKAGES
    from fastdigit.measure.result import SCHEMA, Result

    if data.labels is None:
        raise DataError(f"{data.source} has no labels, so nothing can be learned from it")
    return Result(
        schema=SCHEMA,
        kind="bench",
        machine=machine(PACKAGES if options.against else ()),
        load_average_after=None,
        steal=None,
        settings={
            "command": arguments.command(),
            "suites": options.suite,
            "against": options.against,
            "baseline": baseline_name(options.baseline),
            "rows": options.rows,
            "seconds": seconds(options),
            "seed": options.seed,
            "threads": threads(options),
        },
        data={
            "source": Path(data.source).name,
            "fingerprint": data.fingerprint,
            "images": len(data),
            "share_of_zeros": float((data.images == 0).mean()),
        },
        wall_seconds=0.0,
        parts={},
        roofline=None,
        questions=[],
    )


def baseline_name(baseline: str | None) -> str | None:
    """Return what the baseline is called: a revision as it was given, a file without its place."""
    return Path(baseline).name if baseline and Path(baseline).is_file() else baseline


def threads(options: argparse.Namespace) -> int:
    """Return how many threads the contenders have."""
    from fastdigit.measure.threads import allowed

    chosen: int = options.threads or allowed()
    return chosen


def seconds(options: argparse.Namespace) -> float:
    """Return for how long to measure."""
    if options.seconds is not None:
        chosen: float = options.seconds
        return chosen
    return sum(SUITES[name].seconds for name in options.suite) * (
        WITH_PEERS if options.against else 1.0
    )


def roofline(data: "Dataset", quiet: bool) -> dict[str, Any]:
    """Return what the machine can do, and what the kernels reach."""
    from fastdigit.cli.roofline import status, timed
    from fastdigit.measure.roofline import measure

    with status() as tell:
        shown = (lambda text: None) if quiet else tell
        found = measure(told=shown)
        iterations = timed(found, data, shown)
    return {
        "caches": found.caches,
        "rates": [rates._asdict() for rates in found.rates],
        "iterations": [
            {
                "storage": one.storage,
                "dtype": one.work.dtype,
                "threads": one.work.threads,
                "seconds": one.seconds,
                "limit_seconds": one.limit,
                "share": one.limit / one.seconds,
                "flops": one.flops,
                "limit_flops": one.limit_flops,
                "intensity": one.intensity,
            }
            for one in iterations
        ],
    }


def finish(document: "Result", parts: Parts, steal: float | None) -> None:
    """Add what is known only at the end."""
    from fastdigit.measure.machine import load_average

    document["load_average_after"] = load_average()
    document["steal"] = steal
    document["parts"] = parts.seconds
    document["wall_seconds"] = since_process_start()


def write(document: "Result", output: Path | None) -> None:
    """Write what there is, unless that is nothing."""
    if output is None or not document["questions"]:
        return
    from fastdigit.storage import write_whole

    write_whole(output, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
    note(f"written: {output}")
