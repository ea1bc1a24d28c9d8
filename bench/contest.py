"""What bench/peers.py and bench/predict.py share: a question asked, its table, its files."""

import json
import math
import shlex
import sys
import time
from pathlib import Path

from fastdigit.measure import paired, result
from fastdigit.measure.entrants import failed
from fastdigit.measure.idle import Steal
from fastdigit.measure.machine import load_average, machine
from fastdigit.measure.paired import RULE, Budget
from fastdigit.measure.peers import PACKAGES
from fastdigit.reporting.tables import escape, markdown_table, text_table
from fastdigit.storage import write_whole

RESULTS, README = "results.json", "README.md"
NOTHING = "-"
PATIENCE = 1.0
"""Seconds to wait for an undisturbed machine before a round."""
ENOUGH = 10
"""Undisturbed rounds below which no verdict is given, or all that are asked for."""


def budget(options):
    """Return so many rounds, of so many repetitions, however long they take."""
    return Budget(
        seconds=math.inf,
        least_rounds=min(ENOUGH, options.rounds),
        most_rounds=options.rounds,
        repetitions=options.iterations,
        warm_up=options.warm_up,
        width=0.0,
        patience=PATIENCE,
    )


def document(kind, topic, entrants, task, check, base, options, settings, data, **more):
    """Ask, and return a `result.Result`."""
    started, before, steal = time.perf_counter(), machine(PACKAGES), Steal()
    parts = {}
    question = paired.ask(
        topic,
        entrants,
        task,
        check,
        base,
        budget=budget(options),
        seed=options.seed,
        parts=parts,
        progress=not options.quiet,
        **more,
    )
    contenders = sorted(question["contenders"], key=lambda c: c["median_seconds"] or math.inf)
    return result.Result(
        schema=result.SCHEMA,
        kind=kind,
        machine=before,
        load_average_after=load_average(),
        steal=steal.share(),
        settings={
            "command": command(),
            "threads": options.threads,
            "seed": options.seed,
            "rounds": options.rounds,
            "repetitions": options.iterations,
            "warm_up": options.warm_up,
            **settings,
        },
        data=data,
        wall_seconds=time.perf_counter() - started,
        parts=parts,
        roofline=None,
        questions=[question | {"contenders": contenders}],
    )


def command():
    """Return what was called, without the directories of whoever called it."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return shlex.join(["python", f"bench/{Path(sys.argv[0]).name}", *words])


def columns(*middle):
    """Return headings, and what stands below them, with some of one's own in the middle."""
    return [
        ("contender", lambda found: found["name"]),
        *middle,
        ("ms", lambda found: f"{1e3 * found['median_seconds']:.2f}"),
        ("half of the rounds", lambda found: span(found["quartiles_seconds"], 1e3, ".2f")),
        ("ratio", lambda found: number(found["ratio"], "median")),
        ("99 % interval", lambda found: interval(found["ratio"])),
        ("within rounds", lambda found: interval(found["ratio"] and found["ratio"]["paired"])),
        ("verdict", lambda found: found["verdict"] or NOTHING),
    ]


def number(found, key):
    return NOTHING if found is None else f"{found[key]:.3f}x"


def interval(found):
    return NOTHING if found is None else f"{found['low']:.3f} to {found['high']:.3f}"


def span(values, factor, form):
    return " to ".join(f"{factor * value:{form}}" for value in values)


def publish(folder, document, columns, title, introduction, facts):
    """Print the table, and write it and everything that was measured into a folder."""
    (question,) = document["questions"]
    timed = [found for found in question["contenders"] if not found["refused"]]
    headings = [heading for heading, _ in columns]
    rows = [[shown(found) for _, shown in columns] for found in timed]
    missing = [
        f"{found['name']} was refused: {found['refused']}"
        for found in question["contenders"]
        if found["refused"]
    ]
    sure = surety(question)
    print("\n" + "\n".join([text_table(headings, rows), *missing, sure]), flush=True)
    parts = [
        f"# {title}",
        introduction,
        markdown_table(headings, rows),
        *(["\n".join(f"- {escape(line)}" for line in missing)] if missing else []),
        escape(sure),
        escape(RULE),
        "## What was run",
        markdown_table(("fact", "value"), [*facts, *machine_facts(document)], numbers=False),
    ]
    write(folder, document, parts)
    wrong = [found["name"] for found in question["contenders"] if failed(found["check"])]
    if wrong:
        sys.exit(f"error: {', '.join(wrong)} did not find what the reference found")


def write(folder, document, paragraphs):
    """Write a page and everything that was measured into a folder."""
    source = (
        f"Everything measured is in [{RESULTS}]({RESULTS}). This page was written by the command "
        "above."
    )
    page = "\n\n".join([*paragraphs, source]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / README, page.encode(errors="backslashreplace"))
    content = json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"
    write_whole(folder / RESULTS, content.encode())
    print(f"written: {folder / README}, {folder / RESULTS}", flush=True)


def surety(question):
    """Return what is known of the noise, in a sentence or two."""
    floor, busy = question["noise_floor"], question["busy"]
    said = "Nothing is known of the noise: the base did not run twice."
    if floor is not None:
        said = (
            f"{question['base']} ran twice, in two processes, and differed by up to {floor:.2%} "
            "from itself: no smaller difference is given a verdict."
        )
    return f"{said} No verdict for some: {busy}." if busy else said


def machine_facts(document):
    machine = document["machine"]
    cpu = machine["cpu"]
    before, after = (
        ", ".join(map(str, load or [NOTHING]))
        for load in (machine["load_average"], document["load_average_after"])
    )
    steal = document["steal"]
    return [
        ("processor", f"{cpu['model']}, {cpu['cores_allowed']} cores allowed"),
        ("vector instructions", " ".join(cpu["vectors"]) or NOTHING),
        ("caches", ", ".join(f"{name} {size}" for name, size in cpu["caches"].items()) or NOTHING),
        ("virtual machine", {True: "yes", False: "no"}.get(cpu["hypervisor"], "unknown")),
        ("memory", f"{machine['memory']['total_gb']} GB"),
        ("load average before", before),
        ("load average after", after),
        ("taken by the hypervisor", NOTHING if steal is None else f"{steal:.1%}"),
        ("BLAS of NumPy", " ".join(machine["blas"].values())),
        ("versions", ", ".join(f"{k} {v or NOTHING}" for k, v in machine["versions"].items())),
        ("revision", str(machine["git_revision"] or NOTHING)),
        ("system", machine["system"]),
        ("date", machine["date"]),
        ("command", document["settings"]["command"]),
    ]
