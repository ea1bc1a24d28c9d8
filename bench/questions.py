"""What bench/epochs.py, growth.py and time_to_accuracy.py share: several questions, one document.

Each question is answered by contenders that take turns; see `fastdigit.measure.paired`.
"""

import math
import sys
import time

from contest import NOTHING, command, interval, machine_facts, number, span, surety, write

from fastdigit.measure import paired, result
from fastdigit.measure.entrants import failed
from fastdigit.measure.idle import Steal, Watch
from fastdigit.measure.machine import load_average, machine
from fastdigit.measure.paired import RULE
from fastdigit.measure.peers import PACKAGES
from fastdigit.measure.suites.epochs import check
from fastdigit.reporting.tables import escape, markdown_table, text_table


class Run:
    """Questions that are asked one after the other, and all that is recorded of them."""

    def __init__(self, options):
        self.options = options
        self.questions = []
        self.parts = {}
        self._started, self._machine, self._steal = time.perf_counter(), machine(PACKAGES), Steal()
        self._watch = Watch()

    def ask(self, topic, entrants, task, base, budget, **more):
        """Answer a question, print its table, and return it."""
        question = paired.ask(
            topic,
            entrants,
            task,
            check,
            base,
            budget=budget,
            seed=self.options.seed,
            watch=self._watch,
            parts=self.parts,
            progress=not self.options.quiet,
            **more,
        )
        in_order = sorted(question["contenders"], key=lambda c: c["median_seconds"] or math.inf)
        question["contenders"] = in_order
        self.questions.append(question)
        print(f"\n{topic.name}\n{text_table(*rows(question))}\n{surety(question)}", flush=True)
        for line in refused(question):
            print(line, flush=True)
        return question

    def document(self, kind, settings, data):
        """Return a `result.Result`."""
        return result.Result(
            schema=result.SCHEMA,
            kind=kind,
            machine=self._machine,
            load_average_after=load_average(),
            steal=self._steal.share(),
            settings={
                "command": command(),
                "threads": self.options.threads,
                "seed": self.options.seed,
                **settings,
            },
            data=data,
            wall_seconds=time.perf_counter() - self._started,
            parts=self.parts,
            roofline=None,
            questions=self.questions,
        )


def rows(question):
    """Return headings, and a row for each contender that has a time."""
    headings = ["contender", "ms", "half of the rounds"]
    headings += ["ratio", "within rounds", "verdict", "rounds", "prepare s", "weights off by"]
    found = [
        [
            one["name"],
            f"{1e3 * one['median_seconds']:.1f}",
            span(one["quartiles_seconds"], 1e3, ".1f"),
            number(one["ratio"], "median"),
            interval(one["ratio"] and one["ratio"]["paired"]),
            "base" if one["name"] == question["base"] else one["verdict"] or NOTHING,
            str(len(one["rounds"])),
            f"{one['prepare_seconds']:.2f}",
            f"{one['check']['difference']:.1e}",
        ]
        for one in question["contenders"]
        if not one["refused"] and one["rounds"]
    ]
    return headings, found


def refused(question):
    """Return a sentence for each contender that has no time."""
    return [
        f"{c['name']} was refused: {c['refused']}" for c in question["contenders"] if c["refused"]
    ]


def times(contender):
    """Return how many times as long as the base it takes: the middle, and a 99 % interval."""
    found = contender["ratio"]["paired"]
    return 1 / found["median"], 1 / found["high"], 1 / found["low"]


def section(question, *sentences):
    """Return a question as paragraphs of Markdown."""
    lines = refused(question)
    return [
        f"## {escape(question['name'])}",
        *sentences,
        markdown_table(*rows(question)),
        *(["\n".join(f"- {escape(line)}" for line in lines)] if lines else []),
        escape(surety(question)),
    ]


def publish(folder, document, title, paragraphs, facts):
    """Write page and results; exit code 1 if anyone was wrong."""
    legend = (
        "*ratio* is the base's median by the contender's, below 1 for who takes longer; *within "
        "rounds* is the 99 % interval of the median of the ratios in each round, on which verdicts "
        "rest. *prepare s* is outside the clock. *weights off by* is the norm of the difference to "
        "the NumPy twin in float64 after some updates, relative to the norm of the way."
    )
    whole = [f"# {title}", *paragraphs, legend, escape(RULE), "## What was run"]
    whole.append(
        markdown_table(("fact", "value"), [*facts, *machine_facts(document)], numbers=False)
    )
    write(folder, document, whole)
    wrong = [
        c["name"] for q in document["questions"] for c in q["contenders"] if failed(c["check"])
    ]
    if wrong:
        sys.exit(f"error: {', '.join(wrong)} did not find what the NumPy twin found")
