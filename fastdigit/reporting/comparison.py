"""A comparison of contenders, as `compare.json` holds it, for people: a table and report.md."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastdigit.reporting.tables import escape, markdown_table, text_table

Document = Mapping[str, Any]

HEADINGS = (
    "contender",
    "dtype",
    "threads",
    "compile s",
    "train s",
    "ms/iteration",
    "ratio",
    "training %",
    "held-out %",
    "weights off by",
)
NOTHING = "-"
FEWEST_ROUNDS = 4
"""For which quartiles mean anything."""
BUSY = 0.4
"""Running processes for each core, before the start, above which times are doubtful."""
SCATTERED = 0.25
"""Distance of the quartiles, as a share of the median, above which it is doubtful."""

READING = (
    "Every contender begins with the same weights and trains in a process of its own, a turn "
    "at a time in random order; a turn begins when all threads of the last one sleep. "
    "*ms/iteration* is the median over all iterations, *ratio* the notebook's median over the "
    "contender's. *compile s* is "
    "compiling, or loading compiled code from the cache, and is part of no other column. "
    "*training %* and *held-out %* are right answers of the final weights, as the "
    "NumPy reference counts them. *weights off by* is the largest absolute difference to the "
    "weights of reference-f64. The notebook's loop computes an accuracy every 10 iterations "
    "and no loss; the others compute both in every iteration, inside their time. Loss and "
    "accuracy in the curves are those of the training images before each update."
)


def rows(document: Document) -> list[list[str]]:
    """Return the cells of one line for each contender."""
    threads = str(document["settings"]["threads"])
    return [
        [
            record["name"],
            record["dtype"],
            threads,
            _number(record["compile_seconds"] or None, ".2f"),
            _number(record["training_seconds"], ".2f"),
            _number(record["milliseconds_median"], ".3f"),
            _number(record["ratio"], ".1f", "x"),
            _number(100 * record["accuracy_training"], ".2f"),
            _number(100 * record["accuracy_held_out"], ".2f"),
            _number(record["weight_difference"], ".1e"),
        ]
        for record in document["contenders"]
    ]


def terminal(document: Document) -> str:
    """Return the table and the verdict for a terminal."""
    verdict = "\n".join([*document["verdict"]["sentences"], *doubts(document)])
    return f"{text_table(HEADINGS, rows(document))}\n\n{verdict}"


def report(document: Document, pictures: Sequence[tuple[str, str]]) -> str:
    """Return report.md.

    Parameters
    ----------
    document
        What compare.json holds.
    pictures
        Headings and file names.
    """
    sentences = [*document["verdict"]["sentences"], *doubts(document)]
    parts = [
        "# Training side by side",
        f"{escape(headline(document))}.",
        markdown_table(HEADINGS, rows(document)),
        "\n".join(f"- {escape(sentence)}" for sentence in sentences),
        *(f"## {escape(heading)}\n\n![{escape(heading)}]({name})" for heading, name in pictures),
        "## What was run",
        markdown_table(("fact", "value"), facts(document), numbers=False),
        "## How to read it",
        READING,
    ]
    return "\n\n".join(parts) + "\n"


def headline(document: Document) -> str:
    """Return who was how much faster, as a title."""
    timed = [record for record in document["contenders"] if record["ratio"]]
    if len(timed) < 2:
        return "Times were not compared: the notebook did not run beside another contender"
    best = max(timed, key=lambda record: float(record["ratio"]))
    title = f"{best['name']} trains {best['ratio']:.1f} times as fast as the notebook"
    if len(best["rounds"]) < FEWEST_ROUNDS:
        return title
    low, high = best["ratio_quartiles"]
    return f"{title} (half of the rounds: {low:.1f} to {high:.1f} times)"


def doubts(document: Document) -> list[str]:
    """Return what makes the times less certain than they look."""
    sentences = []
    load, cores = document["machine"]["load_average"], document["machine"]["cpu"]["cores_allowed"]
    if load and cores and load[0] > BUSY * cores:
        sentences.append(
            f"The machine was busy before this began (load average {load[0]} on {cores} cores), so "
            "the times are less certain; run it again on a quiet machine."
        )
    for record in document["contenders"]:
        low, high = record["milliseconds_quartiles"]
        spread = (high - low) / record["milliseconds_median"]
        if spread > SCATTERED:
            sentences.append(
                f"The iterations of {record['name']} took {low:.3g} to {high:.3g} ms (half of "
                "them), so its median is less certain."
            )
    return sentences


def facts(document: Document) -> list[tuple[str, str]]:
    """Return what was run on what, as names and values."""
    settings, data, machine = document["settings"], document["data"], document["machine"]
    cpu, versions = machine["cpu"], machine["versions"]
    layers = {record["threading_layer"] for record in document["contenders"]} - {None}
    return [
        ("data", f"{data['source']}: {data['rows']:,} rows"),
        ("split", f"{data['training']:,} training, {data['held_out']:,} held out"),
        ("fingerprint of the data", data["fingerprint"][:16]),
        ("network", "-".join(map(str, settings["sizes"])) + f", init {settings['init']}"),
        ("seed of weights and split", str(settings["seed"])),
        ("iterations", f"{settings['iterations']}, {settings['iterations_a_turn']} a turn"),
        ("learning rate", f"{settings['learning_rate']:g}"),
        ("threads", str(settings["threads"])),
        ("processor", f"{cpu['model']}, {cpu['cores_allowed']} cores allowed"),
        ("vector instructions", " ".join(cpu["vectors"]) or NOTHING),
        ("caches", json.dumps(cpu["caches"]).strip("{}").replace('"', "") or NOTHING),
        ("virtual machine", {True: "yes", False: "no"}.get(cpu["hypervisor"], "unknown")),
        ("governor", cpu["governor"]),
        ("load average before", ", ".join(map(str, machine["load_average"] or [NOTHING]))),
        ("memory", f"{machine['memory']['total_gb']} GB"),
        ("BLAS", " ".join(machine["blas"].values())),
        ("threading layer of Numba", ", ".join(sorted(layers)) or NOTHING),
        ("versions", ", ".join(f"{name} {value}" for name, value in versions.items() if value)),
        ("revision", str(machine["git_revision"] or NOTHING)),
        ("system", machine["system"]),
        ("date", machine["date"]),
        ("command", settings["command"]),
    ]


def _number(value: float | None, form: str, unit: str = "") -> str:
    return NOTHING if value is None else f"{value:{form}}{unit}"
