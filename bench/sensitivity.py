"""Does a paired run notice a slowdown of 5 %, and is it quiet where there is none?

usage: python bench/sensitivity.py [--runs 60] [--seconds 50] [--out reports/sensitivity]

Two contenders are built of the same code, and one of them is made to do extra work in proportion to
its time, inside the clock. That is asked many times, as often with no extra work at all. Nothing is
imported here that imports NumPy: each process of a contender reads this file before it knows its
number of threads.
"""

import argparse
import time
from pathlib import Path

SLOWED, SAME = "slowed", "same"
BASE = "base"
CALLED, ALARMS = 57, 2
"""Of 60: slowdowns that have to be called so, and differences that may be seen where none is."""
OF = 60
MOST_SECONDS = 60
IMAGES = 3_000


class Slower:
    """A contender that goes on for a share of the time that each iteration took, and times both."""

    def __init__(self, task, make, share):
        self._contender = make(task)
        self._share = share
        self.dtype, self.backend = self._contender.dtype, self._contender.backend
        self.prepare_seconds = self._contender.prepare_seconds
        self.compile_seconds = self._contender.compile_seconds
        self.parameters = self._contender.parameters

    def step(self, iterations):
        turn = self._contender.step(0)
        for _ in range(iterations):
            began = time.perf_counter()
            one = self._contender.step(1)
            end = time.perf_counter() + self._share * (time.perf_counter() - began)
            while time.perf_counter() < end:
                pass
            turn.loss.extend(one.loss)
            turn.accuracy.extend(one.accuracy)
            turn.seconds.append(time.perf_counter() - began)
        return turn


def arguments():
    from fastdigit.cli.arguments import seed, whole
    from fastdigit.measure.contenders import CONTENDERS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--runs", type=whole(1), default=OF, metavar="N", help="of each kind (60)")
    add("--seconds", type=whole(1), default=50, metavar="N", help="of timing a run, at most (50)")
    add("--share", type=float, default=0.05, metavar="X", help="of extra work (0.05)")
    add(
        "--width",
        type=float,
        default=0.0125,
        metavar="X",
        help="of an interval to stop at (0.0125)",
    )
    add("--images", type=whole(1), default=IMAGES, metavar="N", help="built-in digits (3000)")
    add("--contender", choices=CONTENDERS, default="sparse-f32", help="(sparse-f32)")
    add("--threads", type=whole(1), default=1, metavar="N", help="(1)")
    add("--seed", type=seed, default=0, metavar="N", help="of the first run (0)")
    add("--out", type=Path, default=Path("reports/sensitivity"), metavar="DIR")
    return parser.parse_args()


def main():
    options = arguments()
    import contest

    import fastdigit as fd
    from fastdigit.measure import result
    from fastdigit.measure.contenders import Task
    from fastdigit.measure.idle import Steal, Watch
    from fastdigit.measure.machine import load_average, machine

    digits = fd.make_digits(options.images, seed=0)
    sizes = (digits.images.shape[1], 10, 10)
    task = Task(digits.images, digits.labels, sizes, 0, 0.1, options.threads)
    started, before, steal, watch, parts = time.perf_counter(), machine(), Steal(), Watch(), {}
    questions = []
    for number in range(options.runs):
        for kind in (SLOWED, SAME):
            questions.append(compact(ask(kind, number, task, options, watch, parts)))
            print(line(questions[-1]), flush=True)
    document = result.Result(
        schema=result.SCHEMA,
        kind="sensitivity",
        machine=before,
        load_average_after=load_average(),
        steal=steal.share(),
        settings={
            "command": contest.command(),
            "threads": options.threads,
            "seed": options.seed,
            "runs": options.runs,
            "seconds": options.seconds,
            "share": options.share,
            "width": options.width,
            "contender": options.contender,
        },
        data={
            "source": "built-in digits",
            "fingerprint": digits.fingerprint,
            "images": len(digits),
            "share_of_zeros": float((digits.images == 0).mean()),
        },
        wall_seconds=time.perf_counter() - started,
        parts=parts,
        roofline=None,
        questions=questions,
    )
    contest.write(options.out, document, page(document))


def ask(kind, number, task, options, watch, parts):
    """Return what a run found out, and how long it took."""
    from functools import partial

    from fastdigit.measure import paired
    from fastdigit.measure.contenders import CONTENDERS, REFERENCE
    from fastdigit.measure.suites.iteration import CHECKED, apart, weights

    right = weights(CONTENDERS[REFERENCE], task)

    def check(worker):
        worker.step(CHECKED)
        return apart(worker.parameters(), right, worker.ready.dtype)

    began = time.perf_counter()
    make, dtype = CONTENDERS[options.contender], f"float{options.contender[-2:]}"
    share = options.share if kind == SLOWED else 0.0
    entrants = [
        paired.Entrant(name, "numba", dtype, partial(Slower, make=make, share=extra))
        for name, extra in ((BASE, 0.0), (kind, share))
    ]
    question = paired.ask(
        paired.Topic(
            "iteration", f"{kind}, run {number + 1}", "iteration", {"run": number, "extra": share}
        ),
        entrants,
        task,
        check,
        BASE,
        budget=paired.Budget(seconds=options.seconds, least_rounds=20, width=options.width),
        seed=options.seed + number,
        watch=watch,
        parts=parts,
        progress=False,
    )
    question["parameters"]["wall_seconds"] = time.perf_counter() - began
    return question


def compact(question):
    """Keep what counted of each turn, and which were disturbed: each repetition would be 17 MB."""
    for found in filter(None, [*question["contenders"], question["again"]]):
        found["turns"] = {
            "nanoseconds": [round(1e9 * turn["counted"]) for turn in found["rounds"]],
            "disturbed": [i for i, turn in enumerate(found["rounds"]) if turn["disturbed"]],
        }
        found["rounds"] = []
    return question


def line(question):
    """Return one run in a line."""
    found = question["contenders"][1]
    if found["ratio"] is None or question["noise_floor"] is None:
        return f"{question['name']}: {found['refused'] or question['busy']}"
    ratio, paired = found["ratio"], found["ratio"]["paired"]
    turns = len(found["turns"]["nanoseconds"])
    return (
        f"{question['name']}: {found['verdict'] or question['busy']}; ratio {ratio['median']:.3f}, "
        f"within rounds {paired['low']:.3f} to {paired['high']:.3f}, noise floor "
        f"{question['noise_floor']:.2%}, {ratio['rounds']} of {turns} rounds, "
        f"{question['parameters']['wall_seconds']:.0f} s"
    )


def verdicts(document, kind):
    """Return how often each verdict was given in the runs of a kind."""
    from collections import Counter

    runs = [q["contenders"][1] for q in document["questions"]]
    return Counter(found["verdict"] or "none" for found in runs if found["name"] == kind)


def page(document):
    """Return the result as Markdown."""
    import contest

    from fastdigit.measure.paired import RULE
    from fastdigit.reporting.tables import escape, markdown_table

    chosen, questions = document["settings"], document["questions"]
    given = ("slower", "too close to call", "faster", "none")
    counts = {kind: verdicts(document, kind) for kind in (SLOWED, SAME)}
    rows = [[kind, *(str(counts[kind][verdict]) for verdict in given)] for kind in counts]
    called = counts[SLOWED]["slower"]
    alarms = counts[SAME]["slower"] + counts[SAME]["faster"]
    longest = max(q["parameters"]["wall_seconds"] for q in questions)
    runs = chosen["runs"]
    kept = called * OF >= CALLED * runs and alarms * OF <= ALARMS * runs and longest <= MOST_SECONDS
    return [
        "# What a paired run notices",
        f"The same training ({chosen['contender']}, {document['data']['images']:,} images, "
        f"{chosen['threads']} thread{'s' * (chosen['threads'] > 1)}) twice, one of the two with "
        f"{chosen['share']:.0%} of extra work inside the clock: in **{called} of {runs}** runs it "
        f"was called slower. Without extra work, a difference was seen in **{alarms} of {runs}** "
        f"runs. Promised are at least {CALLED} and at most {ALARMS} of {OF}, in at most "
        f"{MOST_SECONDS} s a run; the longest took {longest:.0f} s. "
        f"**{'Kept' if kept else 'Not kept'}.**",
        markdown_table(("runs", *given), rows),
        "A run builds each contender and the base once more in new processes, compares what they "
        "learn with the reference, and lets them take turns until the 99 % intervals are no wider "
        f"than {chosen['width']:.0%} on either side, or {chosen['seconds']} s have passed. No "
        "verdict is given where 1 lies within the interval widened by what the base differed from "
        "itself. No run was repeated or left out. What counted of each turn, and which turns were "
        "disturbed, is kept.",
        escape(RULE),
        "## Every run",
        "\n".join(f"- {escape(line(question))}" for question in questions),
        "## What was run",
        markdown_table(("fact", "value"), contest.machine_facts(document), numbers=False),
    ]


if __name__ == "__main__":
    main()
