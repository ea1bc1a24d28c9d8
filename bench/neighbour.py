"""Do threads pay, and do they still, beside a busy process? Times full-batch iterations.

usage: python bench/neighbour.py [DATA] [--rounds 20] [--iterations 40] [--out reports/neighbour]

One process holds the same training twice, on one thread and on all. They take turns of a few
iterations, alone and beside a process that does nothing but spin. Only ratios inside a round
count. Other people's processes are no part of the question: a turn waits until the machine is
quiet, for a while, and a round in which they took more than a tenth of a processor is left out.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

import fastdigit as fd
from fastdigit.data import default_data
from fastdigit.kernels import Learning, Problem, objective
from fastdigit.measure.machine import machine
from fastdigit.reporting.tables import escape, markdown_table, text_table
from fastdigit.storage import write_whole

ROWS = 41_000
QUIET = 0.1
"""Processors that others may use while we measure."""
LIMIT = 1.1
"""How many times the time of one thread all threads may take beside a busy process."""
SETTLE = 0.1
TOGETHER = 10
"""Iterations in a call of the kernels, as in training."""


def main():
    options = arguments()
    data = fd.load_data(options.data) if options.data else default_data()
    data = data.head(ROWS)
    network = fd.Network([data.images.shape[1], 10, 10], dtype=options.dtype, seed=0)
    problem = Problem(network.sizes, network.dtype, data.images, data.labels)
    most = objective(problem._replace(images=data.images[:1], labels=data.labels[:1])).threads
    if most == 1:
        sys.exit("there is one thread only; to see more, set NUMBA_NUM_THREADS")
    losses = {threads: objective(problem, threads=threads) for threads in (1, most)}
    one, all_of_them = (loss.gradient(network.parameters)[1] for loss in losses.values())
    np.testing.assert_array_equal(all_of_them, one)
    rounds = []
    for number in range(options.rounds):
        rounds.append(play(losses, network.parameters, options))
        print(f"round {number + 1}/{options.rounds}: {line(rounds[-1], most)}", flush=True)
    document = {
        "schema": 1,
        "machine": machine(),
        "settings": {
            "data": data.source,
            "images": len(data),
            "sizes": network.sizes,
            "dtype": options.dtype,
            "storage": losses[1].storage,
            "threads": most,
            "iterations": options.iterations,
        },
        "rounds": rounds,
    }
    table = summary(rounds, most)
    if table:
        print(text_table(*table))
    options.out.mkdir(parents=True, exist_ok=True)
    write_whole(options.out / "results.json", (json.dumps(document, indent=1) + "\n").encode())
    write_whole(options.out / "README.md", page(document, table).encode())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for quiet")
    parser.add_argument("--out", type=Path, default=Path("reports/neighbour"))
    return parser.parse_args()


def play(losses, parameters, options):
    """Return the turns of one round, in an order drawn by lot."""
    turns = []
    for busy in random.sample((False, True), 2):
        with neighbour() if busy else alone() as beside:
            for threads in random.sample(list(losses), len(losses)):
                await_quiet(beside, options.patience)
                loss = losses[threads]
                timed(loss, parameters)
                before = clock(beside)
                calls = -(-options.iterations // TOGETHER)
                seconds = [timed(loss, parameters) for _ in range(calls)]
                turns.append(
                    {
                        "threads": threads,
                        "busy": busy,
                        "seconds": seconds,
                        "others": others(before, clock(beside)),
                    }
                )
    return turns


def timed(loss, parameters):
    """Return the seconds of an iteration, in a call that leaves the parameters as they are."""
    rates = np.zeros(TOGETHER)
    started = time.perf_counter()
    loss.descend(parameters, [], Learning(), rates, 0)
    return (time.perf_counter() - started) / TOGETHER


@contextmanager
def neighbour():
    """A process of the same rights that never rests."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            time.sleep(SETTLE)
            yield [psutil.Process(), psutil.Process(process.pid)]
        finally:
            process.kill()


@contextmanager
def alone():
    time.sleep(SETTLE)
    yield [psutil.Process()]


def clock(processes):
    """Return the time, the processor time that was used in all, and that of our processes."""
    times = psutil.cpu_times()
    used = sum(times) - times.idle - times.iowait - getattr(times, "guest", 0)
    return time.perf_counter(), used, sum(sum(p.cpu_times()[:2]) for p in processes)


def others(before, after):
    """Return how many processors all other processes used between two clocks."""
    wall, used, ours = (b - a for a, b in zip(before, after, strict=True))
    return max(0.0, (used - ours) / wall)


def await_quiet(processes, patience):
    end = time.perf_counter() + patience
    while time.perf_counter() < end:
        before = clock(processes)
        time.sleep(0.3)
        if others(before, clock(processes)) < QUIET:
            return


def medians(turns):
    return {(t["busy"], t["threads"]): statistics.median(t["seconds"]) for t in turns}


def quiet(turns):
    return max(turn["others"] for turn in turns) < QUIET


def line(turns, most):
    found = medians(turns)
    ratios = [found[busy, most] / found[busy, 1] for busy in (False, True)]
    disturbed = "" if quiet(turns) else f", left out: others took {max_others(turns):.1f}"
    return f"{most} threads to 1: alone {ratios[0]:.2f}, beside {ratios[1]:.2f}{disturbed}"


def max_others(turns):
    return max(turn["others"] for turn in turns)


def summary(rounds, most):
    """Return the headings and rows of the result; None if no round was quiet."""
    kept = [medians(turns) for turns in rounds if quiet(turns)]
    if not kept:
        return None
    rows = []
    for busy in (False, True):
        cells = [f"{1e3 * middle([found[busy, n] for found in kept])[1]:.1f}" for n in (1, most)]
        low, ratio, high = middle([found[busy, most] / found[busy, 1] for found in kept])
        worst = max(found[busy, most] / found[busy, 1] for found in kept)
        name = "one busy process" if busy else "nothing"
        rows.append([name, *cells, f"{ratio:.2f}", f"{low:.2f} to {high:.2f}", f"{worst:.2f}"])
    units = ["1 thread, ms", f"{most} threads, ms"]
    return ["beside", *units, "ratio", "half of the rounds", "worst round"], rows


def middle(values):
    return np.percentile(values, [25, 50, 75])


def page(document, table):
    """Return the result as Markdown."""
    facts, settings = document["machine"], document["settings"]
    cpu, versions = facts["cpu"], facts["versions"]
    kept = sum(map(quiet, document["rounds"]))
    lines = [
        "# Threads beside a busy process",
        "",
        f"One full-batch iteration of {'-'.join(map(str, settings['sizes']))} in "
        f"{settings['dtype']} on {settings['images']:,} images ({escape(settings['data'])}, "
        f"{settings['storage']}), on one thread and on {settings['threads']}. The ratio is that of "
        f"medians of {settings['iterations']} iterations, {TOGETHER} in a call, in {kept} of "
        f"{len(document['rounds'])} rounds; in the others, processes of other people took more "
        f"than {QUIET} of a processor.",
        "",
        markdown_table(*table) if table else "No round was quiet, so there is no result.",
        "",
    ]
    if table:
        kept_to = float(table[1][1][3]) <= LIMIT
        lines += [
            f"Promised: beside one busy process, all threads take at most {LIMIT} times as long "
            f"as one. **{'Kept' if kept_to else 'Not kept'}.**",
            "",
        ]
    lines += [
        f"{facts['date']}, {escape(cpu['model'])}, {cpu['cores_allowed']} of {cpu['cores']} cores, "
        f"{facts['threading_layer']} threads, Python {versions['python']}, "
        f"NumPy {versions['numpy']}, Numba {versions['numba']}, fastdigit "
        f"{versions['fastdigit']} ({facts['git_revision'] or 'no git'}).",
        "",
        "Made by `python bench/neighbour.py`; every time is in [results.json](results.json).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
