"""How long does `fastdigit train train.csv` take, and how long the notebook run as a script?

usage: python bench/train_command.py [DATA] [--rounds 5] [--iterations 500] [--out DIR]

Both are timed as whole processes, in turns, from the start of Python to its end; each is run once
before, so that compiled code and files are in their caches. DATA is written to a train.csv with
Kaggle's layout first: by default the first 42,000 rows of FASTDIGIT_DATA or the built-in digits.
Writes results.json and README.md into DIR (default: reports/train-command).
"""

import argparse
import json
import os
import random
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import fastdigit as fd
from fastdigit.data import default_data
from fastdigit.measure.machine import machine
from fastdigit.measure.threads import allowed
from fastdigit.reporting.tables import escape, markdown_table
from fastdigit.storage import check_writable, write_whole

ROWS = 42_000
NOTEBOOK, COMMAND = "notebook as a script", "fastdigit train"
PARTS = ("start", "load", "prepare", "train", "save")
MOST_APART = 0.5
"""Percentage points: rounding in float32 moves a few images that lie on a border."""


class Run(NamedTuple):
    """A process from its start to its end."""

    seconds: float
    cpu_seconds: float
    parts: dict[str, float]
    """As it printed them itself."""
    training: float
    """Right answers in percent."""
    held_out: float


def write_csv(data: fd.Dataset, path: Path) -> None:
    columns = ["label", *(f"pixel{i}" for i in range(data.images.shape[1]))]
    pd.DataFrame(np.column_stack([data.labels, data.images]), columns=columns).to_csv(
        path, index=False
    )


def commands(iterations: int) -> dict[str, list[str]]:
    """Return what is run, in the folder of train.csv."""
    script = str(Path(__file__).resolve().with_name("notebook_script.py"))
    return {
        NOTEBOOK: [script, "train.csv", str(iterations)],
        COMMAND: ["-m", "fastdigit", "train", "train.csv", "--iterations", str(iterations)],
    }


def run(words: list[str], folder: Path) -> Run:
    # What is installed has its bytecode beside it, and so should a checkout.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{shlex.join(words)} failed:\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    times = re.findall(r"(\w+) ([\d.]+) s\b", done.stdout.splitlines()[-1])
    training, held_out = (
        float(re.search(rf"{what} accuracy ([\d.]+)%", done.stdout)[1])  # type: ignore[index]
        for what in ("training", "held-out")
    )
    return Run(seconds, cpu, {k: float(v) for k, v in times}, training, held_out)


def check_agreement(runs: dict[str, Run]) -> None:
    """Nothing is timed before both were seen to learn the same."""
    one, other = runs.values()
    apart = max(abs(one.training - other.training), abs(one.held_out - other.held_out))
    if apart > MOST_APART:
        raise SystemExit(f"the two do not learn the same: {one} and {other}")


def quartiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(low), float(middle), float(high)


def findings(runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Return what the runs show."""
    base, ours = ([run.seconds for run in runs[name]] for name in (NOTEBOOK, COMMAND))
    ratios = [b / o for b, o in zip(base, ours, strict=True)]
    unaccounted = [
        1 - sum(run.parts[part] for part in PARTS) / run.seconds for run in runs[COMMAND]
    ]
    return {
        "ratio_of_medians": statistics.median(base) / statistics.median(ours),
        "ratio_range": [min(ratios), max(ratios)],
        "seconds_quartiles": {
            name: quartiles([run.seconds for run in several]) for name, several in runs.items()
        },
        "cpu_seconds_median": {
            name: statistics.median(run.cpu_seconds for run in several)
            for name, several in runs.items()
        },
        "parts_median": {
            name: {
                part: statistics.median(run.parts[part] for run in several)
                for part in several[0].parts
            }
            for name, several in runs.items()
        },
        "unaccounted_median": statistics.median(unaccounted),
        "unaccounted_largest": max(unaccounted),
    }


def headline(found: dict[str, Any]) -> str:
    low, high = found["ratio_range"]
    seconds = found["seconds_quartiles"][COMMAND][1]
    return (
        f"fastdigit train takes {seconds:.2f} s from start to end, the notebook "
        f"{found['ratio_of_medians']:.1f} times as long (from round to round: {low:.1f} to "
        f"{high:.1f} times)"
    )


def times_table(document: dict[str, Any]) -> str:
    found = document["findings"]
    rows = []
    for name, (low, middle, high) in found["seconds_quartiles"].items():
        last = document["runs"][name][-1]
        rows.append(
            [
                name,
                f"{middle:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{found['cpu_seconds_median'][name]:.2f}",
                f"{last['training']:.2f}",
                f"{last['held_out']:.2f}",
            ]
        )
    headings = ("whole process", "s", "half of the rounds", "CPU s", "training %", "held-out %")
    return markdown_table(headings, rows)


def parts_table(document: dict[str, Any]) -> str:
    found = document["findings"]
    base, ours = found["parts_median"][NOTEBOOK], found["parts_median"][COMMAND]
    whole = found["seconds_quartiles"][COMMAND][1]
    rows = [
        [part, f"{base.get(part, 0):.3f}", f"{ours[part]:.3f}", f"{ours[part] / whole:.1%}"]
        for part in PARTS
    ]
    return markdown_table(("part", f"{NOTEBOOK}, s", f"{COMMAND}, s", "of the whole"), rows)


def facts(document: dict[str, Any]) -> list[list[str]]:
    settings, data, host = document["settings"], document["data"], document["machine"]
    cpu = host["cpu"]
    return [
        ["data", f"{data['source']}: {data['rows']:,} rows, {data['csv_bytes'] / 1e6:.1f} MB CSV"],
        ["fingerprint of the data", data["fingerprint"][:16]],
        ["iterations", f"{settings['iterations']} at learning rate 0.1"],
        ["rounds", str(settings["rounds"])],
        ["threads", str(settings["threads"])],
        ["processor", f"{cpu['model']}, {cpu['cores_allowed']} cores allowed"],
        ["vector instructions", " ".join(cpu["vectors"])],
        ["virtual machine", {True: "yes", False: "no"}.get(cpu["hypervisor"], "unknown")],
        ["load average before", ", ".join(map(str, host["load_average"] or ["unknown"]))],
        ["BLAS", " ".join(host["blas"].values())],
        ["versions", ", ".join(f"{k} {v}" for k, v in host["versions"].items() if v)],
        ["revision", str(host["git_revision"] or "unknown")],
        ["system", host["system"]],
        ["date", host["date"]],
        ["command", settings["command"]],
    ]


def report(document: dict[str, Any]) -> str:
    found = document["findings"]
    sections = [
        "# From train.csv to a trained network, as whole processes",
        f"{escape(headline(found))}.",
        times_table(document),
        "Both read the same file, hold the same 1,000 rows out and begin with the same weights. "
        "They ran in turns, after one run each that is not counted, so compiled code and files "
        "were in their caches. The ratio is that of medians.",
        parts_table(document),
        "Each part is timed by a clock of its own. *start* goes from the start of the process "
        "until all is imported, *prepare* splits and packs the data and loads the kernels. "
        f"{found['unaccounted_median']:.1%} of the whole time of {COMMAND} is in none of them "
        f"(at most {found['unaccounted_largest']:.1%}).",
        "## What was run",
        markdown_table(("fact", "value"), facts(document), numbers=False),
    ]
    return "\n\n".join(sections) + "\n"


def measure(folder: Path, rounds: int, iterations: int) -> dict[str, list[Run]]:
    """Run both in turns, in random order."""
    what = commands(iterations)
    check_agreement({name: run(words, folder) for name, words in what.items()})
    order, names = random.Random(0), list(what)
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        order.shuffle(names)
        for name in names:
            runs[name].append(run(what[name], folder))
        newest = ", ".join(f"{name} {several[-1].seconds:.2f} s" for name, several in runs.items())
        print(f"round {number}/{rounds}: {newest}", flush=True)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("reports/train-command"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in ("results.json", "README.md"):
        check_writable(options.out / name)
    host = machine()
    data = (fd.load_data(options.data) if options.data else default_data()).head(ROWS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        write_csv(data, path)
        size = path.stat().st_size
        runs = measure(Path(folder), options.rounds, options.iterations)
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    document = {
        "schema": 1,
        "kind": "whole processes: fastdigit train and the notebook",
        "machine": host,
        "settings": {
            "command": shlex.join(["python", "bench/train_command.py", *words]),
            "rounds": options.rounds,
            "iterations": options.iterations,
            "threads": allowed(),
        },
        "data": {
            "source": Path(data.source).name,
            "rows": len(data),
            "csv_bytes": size,
            "fingerprint": data.fingerprint,
        },
        "findings": findings(runs),
        "runs": {name: [run._asdict() for run in several] for name, several in runs.items()},
    }
    write_whole(options.out / "results.json", (json.dumps(document, indent=1) + "\n").encode())
    write_whole(options.out / "README.md", report(document).encode())
    print(f"\n{headline(document['findings'])}\n\n{parts_table(document)}\n\nreport: {options.out}")


if __name__ == "__main__":
    main()
