"""What bench/peers.py and bench/predict.py share: processes that take turns, tables and files.

Every contender lives in a process of its own, which sleeps while others have their turn. Each must
be shown right before it is timed; one that is not, or cannot be built, is left out, and why is part
of the result.
"""

import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastdigit.measure.comparison import Run, take_turns
from fastdigit.measure.contenders import Turn
from fastdigit.measure.machine import load_average
from fastdigit.measure.peers import INSTALL
from fastdigit.measure.worker import Worker
from fastdigit.progress import interactive
from fastdigit.reporting.tables import escape, markdown_table, text_table
from fastdigit.storage import write_whole

RESULTS, README = "results.json", "README.md"
NOTHING = "-"


class Wrong(Exception):
    """A contender does not find what is right."""


@dataclass
class Outcome:
    """Who took part, and who did not."""

    runs: list[Run] = field(default_factory=list)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was found out about each one before it was timed."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Why."""
    wrong: list[str] = field(default_factory=list)
    """Those among them that did not agree."""


def hold(
    table: Mapping[str, Any],
    task: Any,
    check: Callable[[Worker], dict[str, Any]],
    counts: Sequence[int],
    warm_up: int,
    quiet: bool,
) -> Outcome:
    """Build, check and time all contenders.

    Parameters
    ----------
    table
        Constructors by name; one that is not ``installed`` is left out.
    task
        What they are built from.
    check
        Returns what is worth knowing of a contender, or raises `Wrong`.
    counts
        Iterations a turn, of each round.
    warm_up
        Iterations before each turn that are not timed.
    quiet
        Whether to show no progress.
    """
    outcome = Outcome()
    with ExitStack() as stack:
        workers = []
        with _bar(len(table), "building", quiet) as bar:
            for name, constructor in table.items():
                bar.set_postfix_str(name, refresh=interactive())
                if worker := _admit(stack, name, constructor, task, check, outcome):
                    workers.append(worker)
                    outcome.runs.append(Run(name, worker.ready))
                else:
                    bar.write(f"{name} is left out: {outcome.left_out[name]}", file=sys.stderr)
                bar.update()
        with _bar(len(counts) * len(workers), "timing", quiet) as bar:

            def take(worker: Worker, count: int) -> Turn:
                if worker.name not in outcome.left_out:
                    try:
                        return worker.step(count, warm_up)
                    except Exception as error:  # as below; the others go on
                        outcome.left_out[worker.name] = reason(error)
                return Turn([], [], [np.nan])

            def stepped(run: Run) -> None:
                milliseconds = 1e3 * np.mean(run.turns[-1].seconds)
                bar.set_postfix_str(f"{run.name} {milliseconds:.2f} ms", refresh=False)
                bar.update()

            take_turns(workers, outcome.runs, counts, 0, take, stepped)
    outcome.runs = [run for run in outcome.runs if run.name not in outcome.left_out]
    return outcome


def _admit(
    stack: ExitStack,
    name: str,
    constructor: Any,
    task: Any,
    check: Callable[[Worker], dict[str, Any]],
    outcome: Outcome,
) -> Worker | None:
    if not getattr(constructor, "installed", True):
        outcome.left_out[name] = f"not installed; {INSTALL} brings it"
        return None
    worker = None
    try:
        worker = Worker(name, task, constructor)
        stack.callback(worker.kill)
        outcome.checks[name] = check(worker)
    except Exception as error:  # whatever a library raises
        outcome.left_out[name] = reason(error)
        if isinstance(error, Wrong):
            outcome.wrong.append(name)
        if worker:
            worker.kill()
        return None
    return worker


def reason(error: Exception) -> str:
    """Return what went wrong in one line that names no place of this machine or network."""
    line = next(iter(str(error).splitlines()), "")
    line = re.sub(r"\w+://\S+", "(an address)", line)
    line = re.sub(r"(?<![\w.])(/[\w.+-]+)+/?", "(a path)", line)
    return line if isinstance(error, Wrong) else f"{type(error).__name__}: {line}"


def _bar(total: int, description: str, quiet: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(
        total=total,
        desc=description,
        disable=quiet,
        dynamic_ncols=True,
        # A rate would say nothing, since some take much longer than others.
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]{postfix}",
        mininterval=0.1 if interactive() else 20,
    )


def records(outcome: Outcome, base: str) -> list[dict[str, Any]]:
    """Return what was measured, ready for JSON, the fastest first.

    A turn counts as the mean of its iterations. *ratio* is the base's median over all rounds by
    the contender's; its quartiles are those of the ratios within each round, so that a slow minute
    of the machine cancels out.
    """
    turns = {run.name: [float(np.mean(turn.seconds)) for turn in run.turns] for run in outcome.runs}
    found = []
    for run in outcome.runs:
        milliseconds = 1e3 * np.array(turns[run.name])
        ready = run.ready._asdict()
        del ready["pid"]
        record = {
            "name": run.name,
            **ready,
            **outcome.checks[run.name],
            "milliseconds_median": float(np.median(milliseconds)),
            "milliseconds_quartiles": _quartiles(milliseconds),
            "ratio": None,
            "ratio_quartiles": None,
            "rounds": [
                {"position": position, "seconds": turn.seconds}
                for position, turn in zip(run.positions, run.turns, strict=True)
            ],
        }
        if base in turns:
            ratios = np.array(turns[base]) / turns[run.name]
            record["ratio"] = float(np.median(turns[base]) / np.median(turns[run.name]))
            record["ratio_quartiles"] = _quartiles(ratios)
        found.append(record)
    return sorted(found, key=lambda record: record["milliseconds_median"])


def _quartiles(values: Any) -> list[float]:
    return [float(value) for value in np.percentile(values, [25, 75])]


Columns = Sequence[tuple[str, Callable[[Mapping[str, Any]], str]]]
"""Headings, and what stands below them."""


def number(key: str, form: str, unit: str = "") -> Callable[[Mapping[str, Any]], str]:
    """Return what shows an entry of a record, or a dash where there is none."""

    def shown(record: Mapping[str, Any]) -> str:
        value = record[key]
        if value is None:
            return NOTHING
        if isinstance(value, list):
            return " to ".join(f"{part:{form}}{unit}" for part in value)
        return f"{value:{form}}{unit}"

    return shown


def publish(
    folder: Path,
    document: Mapping[str, Any],
    columns: Columns,
    title: str,
    introduction: str,
    facts: Sequence[tuple[str, str]],
) -> None:
    """Print the table, and write it and everything that was measured into a folder."""
    headings = [heading for heading, _ in columns]
    rows = [[shown(record) for _, shown in columns] for record in document["contenders"]]
    missing = [f"{name} was left out: {why}" for name, why in document["left_out"].items()]
    print("\n" + "\n".join([text_table(headings, rows), *missing]), flush=True)
    parts = [
        f"# {title}",
        introduction,
        markdown_table(headings, rows),
        *(["\n".join(f"- {escape(line)}" for line in missing)] if missing else []),
        "## What was run",
        markdown_table(("fact", "value"), [*facts, *_machine(document)], numbers=False),
        f"Everything measured is in [{RESULTS}]({RESULTS}). This page was written by the command "
        "above.",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / README, ("\n\n".join(parts) + "\n").encode(errors="backslashreplace"))
    content = json.dumps(document, indent=1, allow_nan=False) + "\n"
    write_whole(folder / RESULTS, content.encode())
    print(f"written: {folder / README}, {folder / RESULTS}", flush=True)


def command() -> str:
    """Return what was called, without the directories of whoever called it."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return shlex.join(["python", f"bench/{Path(sys.argv[0]).name}", *words])


def _machine(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    machine = document["machine"]
    cpu = machine["cpu"]
    before, after = (
        ", ".join(map(str, load or [NOTHING]))
        for load in (machine["load_average"], document["load_average_after"])
    )
    return [
        ("processor", f"{cpu['model']}, {cpu['cores_allowed']} cores allowed"),
        ("vector instructions", " ".join(cpu["vectors"]) or NOTHING),
        ("caches", ", ".join(f"{name} {size}" for name, size in cpu["caches"].items()) or NOTHING),
        ("virtual machine", {True: "yes", False: "no"}.get(cpu["hypervisor"], "unknown")),
        ("memory", f"{machine['memory']['total_gb']} GB"),
        ("load average before", before),
        ("load average after", after),
        ("BLAS of NumPy", " ".join(machine["blas"].values())),
        ("versions", ", ".join(f"{k} {v or NOTHING}" for k, v in machine["versions"].items())),
        ("revision", str(machine["git_revision"] or NOTHING)),
        ("system", machine["system"]),
        ("date", machine["date"]),
        ("command", document["settings"]["command"]),
    ]


def document(
    kind: str,
    machine: Mapping[str, Any],
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
    outcome: Outcome,
    base: str,
) -> dict[str, Any]:
    """Return what results.json is to hold."""
    return {
        "schema": 1,
        "kind": kind,
        "machine": machine,
        "load_average_after": load_average(),
        "settings": {"command": command(), **settings},
        "data": data,
        "left_out": outcome.left_out,
        "contenders": records(outcome, base),
    }
