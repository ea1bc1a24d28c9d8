"""Does an image take the same time and memory, however many there are? Trains on built-in digits.

usage: python bench/scaling.py [--images 10000 100000 1000000] [--rounds 3] [--out reports/scaling]

Each size is trained in a process of its own, which draws its digits first. The sizes take turns,
and each waits until nothing disturbs the machine, a minute at most. Memory is the most that the
process held at any moment of fit(), everything included: Python, the libraries, and the digits.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

import fastdigit as fd
from fastdigit.measure.idle import Watch
from fastdigit.measure.machine import machine
from fastdigit.reporting.tables import escape, markdown_table, text_table
from fastdigit.storage import write_whole

WORK = 20_000_000
"""Images that pass by while a size is timed, and iterations at the least."""
LEAST = 10
WAIT = 60.0
"""Seconds to wait at most until nothing disturbs."""
TIME_WITHIN = 1.2
"""Times the shortest time of an image."""
BYTES, FIXED = 1.75, 200e6
"""Memory allowed: times the bytes of the pixels, plus this for Python and the libraries."""


def main():
    options = arguments()
    if options.one:
        print(json.dumps(measured(options.one, options.dtype)))
        return
    facts = machine()
    turns = [size for _ in range(options.rounds) for size in options.images]
    found = {size: [] for size in options.images}
    watch = Watch()
    for size in tqdm(turns, desc="training", disable=None):
        call = [sys.executable, __file__, "--one", str(size), "--dtype", options.dtype]
        watch.wait(WAIT)
        shown = subprocess.run(call, check=True, capture_output=True, text=True).stdout
        found[size].append(json.loads(shown.splitlines()[-1]))
    rows, kept = summary(found)
    print(text_table(*rows))
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {"sizes": [784, 10, 10], "dtype": options.dtype, "rounds": options.rounds}
    document = {"schema": 1, "kind": "scaling", "machine": facts, "settings": settings}
    content = json.dumps(document | {"found": found}, separators=(",", ":")) + "\n"
    write_whole(options.out / "results.json", content.encode())
    write_whole(options.out / "README.md", page(facts, options, rows, kept).encode())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images", type=int, nargs="+", default=[10_000, 41_000, 100_000, 300_000, 1_000_000]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--out", type=Path, default=Path("reports/scaling"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(images, dtype):
    """Train on so many digits, and return the seconds of iterations and the memory it took."""
    data = fd.make_digits(images, seed=0)
    network = fd.Network([784, 10, 10], dtype=dtype, seed=0)
    # From here on the kernel counts the peak anew.
    Path("/proc/self/clear_refs").write_text("5")
    iterations = max(LEAST, WORK // images)
    history = fd.fit(network, data, iterations=iterations, learning_rate=0.1, progress=False)
    return {
        "seconds": [round(seconds, 9) for seconds in history.seconds[1:]],
        "prepare_seconds": history.prepare_seconds,
        "peak_bytes": peak(),
        "threads": history.threads,
        "storage": history.storage,
    }


def peak():
    """Return the most memory that this process ever held, since the count began."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("/proc/self/status does not tell the peak of memory")


def summary(found):
    """Return the table, and whether time and memory are as promised."""
    nanoseconds = {
        size: 1e9 * np.median([np.median(run["seconds"]) for run in runs]) / size
        for size, runs in found.items()
    }
    least = min(nanoseconds.values())
    rows = []
    within = True
    for size, runs in found.items():
        spread = [1e9 * np.median(run["seconds"]) / size for run in runs]
        pixels = 784 * size
        taken = max(run["peak_bytes"] for run in runs)
        allowed = BYTES * pixels + FIXED
        within &= taken <= allowed
        rows.append(
            [
                f"{size:,}",
                f"{nanoseconds[size]:.0f}",
                f"{min(spread):.0f} to {max(spread):.0f}",
                f"{nanoseconds[size] / least:.2f}",
                f"{np.median([run['prepare_seconds'] for run in runs]):.2f}",
                f"{taken / 1e6:.0f}",
                f"{allowed / 1e6:.0f}",
            ]
        )
    headings = ["images", "ns an image", "runs", "ratio", "prepare, s", "peak, MB", "allowed, MB"]
    steady = max(nanoseconds.values()) <= TIME_WITHIN * least
    return (headings, rows), {"time": steady, "memory": within}


def page(facts, options, rows, kept):
    """Return the result as Markdown."""
    cpu, versions = facts["cpu"], facts["versions"]
    said = {True: "Kept", False: "Not kept"}
    return "\n".join(
        [
            "# Time and memory by the number of images",
            "",
            f"Full-batch iterations of 784-10-10 in {options.dtype} on the built-in digits, in "
            f"processes of their own, {options.rounds} for each size, each begun when the machine "
            "was undisturbed. A time is the median of all runs' medians, the ratio that to the "
            "shortest.",
            "",
            markdown_table(*rows),
            "",
            f"Promised: the time of an image within {TIME_WITHIN - 1:.0%} of the shortest. "
            f"**{said[kept['time']]}.** At most {BYTES} times the bytes of the pixels and "
            f"{FIXED / 1e6:.0f} MB of memory. **{said[kept['memory']]}.**",
            "",
            f"{facts['date']}, {escape(cpu['model'])}, {cpu['cores_allowed']} cores, Python "
            f"{versions['python']}, NumPy {versions['numpy']}, Numba {versions['numba']}, "
            f"fastdigit {versions['fastdigit']} ({facts['git_revision'] or 'no git'}).",
            "",
            "Made by `python bench/scaling.py`; every time is in [results.json](results.json).",
            "",
        ]
    )


if __name__ == "__main__":
    main()
