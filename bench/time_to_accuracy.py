"""How long until 98 %, and until 99 %? Recipes on MNIST, PyTorch beside them, whole processes.

usage: python bench/time_to_accuracy.py [--data mnist/] [--seeds 10] [--parts recipes,peers]

Each recipe is trained with ten seeds, and scored with the test images once each training is over.
Recipe 98 has its turns beside PyTorch with the same network and schedule, in as many epochs as
that needs. See --help. Nothing is imported here that imports NumPy: each process of a contender
reads this file before it knows its number of threads.
"""

import argparse
import math
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

PARTS = ("recipes", "peers", "process")
OURS, TORCH = "fastdigit", "import torch"
FASTEST = "98"
PEERS = "torch-eager,torch-fused,torch-compile,torch-manual,torch-manual-columns"
MOST_EPOCHS = 12
PEERS_TIMES, PROCESS_TIMES = 3.5, 4.0
"""Promised of recipe 98: PyTorch takes at least so many times as long, its import at least one so
manieth."""


class Promise(NamedTuple):
    """What a recipe is to reach, fixed beforehand."""

    mean: float
    least: float = 0.0
    times: float = math.inf
    """The training time of recipe 98, at most."""
    seeds: float = math.inf
    """That are trained at most."""


PROMISES = {
    "98": Promise(0.981, least=0.979),
    "98.5": Promise(0.9855, times=8),
    "99": Promise(0.9905, times=40),
    "99.3": Promise(0.993, times=200, seeds=3),
}
NOTHING = Promise(0.0)


def arguments():
    from fastdigit.cli.arguments import seed, whole

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DATA", help="a folder with MNIST; default: FASTDIGIT_DATA")
    add("--rows", type=whole(1), default=60_000, metavar="N", help="training images (60000)")
    add("--parts", default=",".join(PARTS), metavar="A,B,...", help=f"({','.join(PARTS)})")
    add("--recipes", metavar="A,B,...", help="98 is always among them (all)")
    add("--seeds", type=whole(1), default=10, metavar="N", help="of each recipe (10)")
    add("--rounds", type=whole(1), default=5, metavar="N", help="turns of each recipe (5)")
    add("--peers", default=PEERS, metavar="A,B,...", help=f"beside recipe 98 ({PEERS})")
    add("--peer-epochs", type=whole(1), metavar="N", help="instead of as few as it takes them")
    add("--seconds", type=float, default=180.0, metavar="S", help="of turns with peers (180)")
    add("--processes", type=whole(1), default=15, metavar="N", help="turns of each (15)")
    add("--threads", type=whole(1), default=2, metavar="N", help="of every contender (2)")
    add("--seed", type=seed, default=0, metavar="N", help="of the order of turns (0)")
    out = Path("reports/time-to-accuracy")
    add("--out", type=Path, default=out, metavar="DIR", help=f"({out})")
    add("--quiet", action="store_true", help="show no progress")
    return parser, parser.parse_args()


def main():
    parser, options = arguments()
    import questions

    from fastdigit.errors import DataError
    from fastdigit.recipes import RECIPES

    everyone = tuple(RECIPES)
    try:
        parts = words("--parts", options.parts, PARTS)
        recipes = words("--recipes", options.recipes or ",".join(everyone), everyone)
        peers = words("--peers", options.peers, PEERS.split(","))
        goal, data = work(options)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    run = questions.Run(options)
    paragraphs = [introduction()]
    if "recipes" in parts:
        paragraphs += ask_recipes(run, goal, [FASTEST, *(r for r in recipes if r != FASTEST)])
    if "peers" in parts:
        paragraphs += ask_peers(run, goal, peers)
    if "process" in parts:
        paragraphs += ask_process(run, goal)
    settings = {"seeds": options.seeds, "rounds": options.rounds, "parts": parts}
    document = run.document("time to accuracy", settings, data)
    facts = [
        ("data", data["source"]),
        ("images", f"{data['images']:,} to train on, {data['test_images']:,} to score"),
        ("seeds", f"0 to {options.seeds - 1}"),
        ("threads", str(options.threads)),
    ]
    questions.publish(options.out, document, "Time to accuracy", paragraphs, facts)


def words(option, text, known):
    found = [word.strip() for word in text.split(",")]
    if unknown := set(found) - set(known):
        raise ValueError(f"{option}: there is no {min(unknown)!r}; there are {', '.join(known)}")
    return found


def work(options):
    """Return the goal, and what to say of its data."""
    import fastdigit as fd
    from fastdigit.data import default_data
    from fastdigit.measure.accuracy import Goal

    if options.data:
        train, test = (fd.load_data(options.data, subset=name) for name in ("train", "test"))
    else:
        train, test = default_data(), default_data("test")
    used = train.head(options.rows)
    goal = Goal(used.images, used.labels, test.images, test.labels, options.threads)
    data = {
        "source": Path(train.source).name,
        "fingerprint": train.fingerprint,
        "images": len(used),
        "test_images": len(test),
        "share_of_zeros": float((used.images == 0).mean()),
    }
    return goal, data


# --- scores --------------------------------------------------------------------------------------


def scored(options, seeds):
    """Return what asks contenders for their scores, seed by seed, and shows how far they are.

    ``seeds`` has their names and how many seeds each is given; the base's second process has none.
    """
    from tqdm.auto import tqdm

    from fastdigit.progress import interactive

    def facts(worker):
        bar = tqdm(
            range(seeds.get(worker.name, 0)),
            desc=f"seeds of {worker.name}",
            disable=options.quiet,
            leave=False,
            dynamic_ncols=True,
            mininterval=0.1 if interactive() else 20,
        )
        return {"scores": [worker.ask("score")._asdict() for _ in bar]}

    return facts


class Reached(NamedTuple):
    """The scores of all seeds."""

    seeds: int
    mean: float
    sd: float
    least: float
    training_seconds: float
    """The median, of trainings one after the other; turns tell more."""
    whole_seconds: float


def reached(scores):
    """Return what was reached."""
    from statistics import fmean, median, stdev

    accuracies = [score["accuracy"] for score in scores]
    return Reached(
        len(scores),
        fmean(accuracies),
        stdev(accuracies) if len(scores) > 1 else 0.0,
        min(accuracies),
        median(score["training_seconds"] for score in scores),
        median(score["whole_seconds"] for score in scores),
    )


def as_good(one, other):
    """Return whether one mean is not below another by more than two of their standard errors.

    The same updates, rounded otherwise, end a little above or below: that must not cost an epoch.
    """
    error = math.hypot(one.sd / math.sqrt(one.seeds), other.sd / math.sqrt(other.seeds))
    return one.mean >= other.mean - 2 * error


def in_percent(found):
    return f"{found.mean:.2%} +- {100 * found.sd:.2f} (at least {found.least:.2%})"


# --- recipes -------------------------------------------------------------------------------------


def ask_recipes(run, goal, recipes):
    """Train all recipes with all seeds, then in turns, and return paragraphs."""
    import questions

    from fastdigit.measure.accuracy import ByFit
    from fastdigit.measure.paired import Budget, Entrant, Topic
    from fastdigit.measure.suites.plan import OURS as LIBRARY

    options = run.options
    topic = Topic(
        "training",
        "recipes",
        "training",
        {"images": len(goal.labels), "threads": goal.threads},
    )
    entrants = [Entrant(r, LIBRARY, "float32", partial(ByFit, recipe=r)) for r in recipes]
    seeds = {name: min(options.seeds, PROMISES.get(name, NOTHING).seeds) for name in recipes}
    budget = Budget(
        math.inf, options.rounds, most_rounds=options.rounds, repetitions=1, warm_up=0, width=0.0
    )
    found = run.ask(topic, entrants, goal, FASTEST, budget, facts=scored(options, seeds))
    from fastdigit.reporting.tables import markdown_table, text_table

    shown = recipe_rows({contender["name"]: contender for contender in found["contenders"]})
    print("\n" + text_table(*shown), flush=True)
    legend = (
        "*seconds* are those of a training from prepared data, without scoring, the median of "
        "turns; *whole s* those of the trainings of all seeds, elsewhere in the run, with checking "
        "and preparing the images and loading the kernels. *times 98* is beside recipe 98 in the "
        "same rounds, with its 99 % interval."
    )
    return [*questions.section(found, markdown_table(*shown), legend)]


def recipe_rows(contenders):
    """Return headings and a row for each recipe."""
    from questions import times

    from fastdigit.recipes import RECIPES

    headings = ["recipe", "hidden", "seeds", "test %", "sd", "least", "seconds", "times 98"]
    headings += ["whole s", "promised", "kept"]
    rows = []
    for name in RECIPES:
        contender = contenders.get(name)
        if contender is None or contender["refused"]:
            continue
        found, promise = reached(contender["facts"]["scores"]), PROMISES.get(name)
        middle, low, high = times(contender) if contender["ratio"] else (1.0, 1.0, 1.0)
        rows.append(
            [
                name,
                "-".join(map(str, RECIPES[name].hidden)),
                str(found.seeds),
                f"{100 * found.mean:.2f}",
                f"{100 * found.sd:.2f}",
                f"{100 * found.least:.2f}",
                f"{contender['median_seconds']:.3f}",
                f"{middle:.1f} ({low:.1f} to {high:.1f})",
                f"{found.whole_seconds:.3f}",
                *([described(promise), kept(promise, found, middle)] if promise else ["-", "-"]),
            ]
        )
    return headings, rows


def described(promise):
    least = f", each {100 * promise.least:g}" if promise.least else ""
    times = f", {promise.times:g} times 98" if math.isfinite(promise.times) else ""
    return f"{100 * promise.mean:g}{least}{times}"


def kept(promise, found, times):
    good = found.mean >= promise.mean and found.least >= promise.least and times <= promise.times
    return "yes" if good else "NO"


# --- PyTorch -------------------------------------------------------------------------------------


def ask_peers(run, goal, names):
    """Time recipe 98 beside PyTorch, and return paragraphs."""
    import questions

    from fastdigit.measure import batches
    from fastdigit.measure.accuracy import ByFit, ByLoop
    from fastdigit.measure.paired import Budget, Entrant, Topic
    from fastdigit.measure.suites.plan import OURS as LIBRARY

    options = run.options
    installed = [name for name in names if batches.PEERS[name].installed]
    if not installed:
        return ["## Recipe 98 beside PyTorch", "PyTorch is not installed, so nothing was compared."]
    ours = partial(ByFit, recipe=FASTEST)
    tried = searched(options, goal, ours, installed[-1])
    epochs = options.peer_epochs or max(tried)
    entrants = [Entrant(OURS, LIBRARY, "float32", ours)]
    for name in installed:
        loop = partial(ByLoop, recipe=FASTEST, epochs=epochs, make=batches.PEERS[name])
        entrants.append(Entrant(name, "PyTorch", "float32", loop, "torch"))
    topic = Topic(
        "training",
        "recipe 98 beside PyTorch",
        "training",
        {"images": len(goal.labels), "threads": goal.threads, "epochs_of_peers": epochs},
    )
    facts = scored(options, dict.fromkeys([OURS, *installed], options.seeds))
    # All of a training counts, its first moments included.
    budget = Budget(options.seconds, repetitions=1, warm_up=0)
    found = run.ask(topic, entrants, goal, OURS, budget, facts=facts)
    contenders = {c["name"]: c for c in found["contenders"] if not c["refused"]}
    scores = [
        f"- {name}: {in_percent(reached(c['facts']['scores']))}" for name, c in contenders.items()
    ]
    said = beside(found)
    print(said, flush=True)
    return questions.section(found, f"**{said}**", why(tried, epochs), "\n".join(scores))


def searched(options, goal, ours, name):
    """Return what PyTorch reached in 1, 2, ... epochs, until that is as good as ours."""
    from fastdigit.measure.accuracy import ByLoop
    from fastdigit.measure.batches import PEERS as LOOPS

    if options.peer_epochs:
        return {}
    target = tried_alone(options, goal, OURS, ours)
    found = {}
    for epochs in range(1, MOST_EPOCHS + 1):
        loop = partial(ByLoop, recipe=FASTEST, epochs=epochs, make=LOOPS[name])
        found[epochs] = tried_alone(options, goal, f"{name}, {epochs} epochs", loop)
        if as_good(found[epochs], target):
            return found
    raise SystemExit(
        f"error: {name} did not reach {target.mean:.2%} in {MOST_EPOCHS} epochs; tell it how many "
        "by --peer-epochs"
    )


def tried_alone(options, goal, name, make):
    """Return what a contender reaches, in a process of its own."""
    from fastdigit.measure.worker import Worker

    worker = Worker(name, goal, make)
    try:
        scores = scored(options, {name: options.seeds})(worker)["scores"]
    finally:
        worker.kill()
    found = reached(scores)
    print(f"{name}: {in_percent(found)}", flush=True)
    return found


def why(tried, epochs):
    """Return why PyTorch trains so many epochs."""
    if not tried:
        return f"PyTorch trained {epochs} epochs, as it was told."
    steps = ", ".join(f"{count}: {in_percent(found)}" for count, found in tried.items())
    return (
        "PyTorch has the network, the schedule and the other settings of the recipe, stretched "
        f"over as few epochs as reach the same mean accuracy: {epochs} (by epochs, {steps}). A "
        "mean that is below by less than two standard errors counts as the same, to PyTorch's "
        "advantage."
    )


def beside(question):
    from questions import times

    peers = [c for c in question["contenders"] if c["name"] != OURS and c["ratio"]]
    if not peers:
        return "Nothing was compared with PyTorch."
    middle, low, high = times(peers[0])
    kept = "kept" if middle >= PEERS_TIMES else "NOT KEPT"
    return (
        f"The fastest variant of PyTorch, {peers[0]['name']}, takes {middle:.2f} times as long to "
        f"the accuracy of recipe 98 (99 %: {low:.2f} to {high:.2f}); promised: at least "
        f"{PEERS_TIMES:g} times: {kept}."
    )


# --- whole processes -----------------------------------------------------------------------------


def ask_process(run, goal):
    """Time `fastdigit train` beside ``import torch``, and return paragraphs."""
    import questions

    from fastdigit.measure.accuracy import Command
    from fastdigit.measure.paired import Budget, Entrant, Topic
    from fastdigit.measure.suites.plan import OURS as LIBRARY

    options = run.options
    with tempfile.TemporaryDirectory(prefix="fastdigit-") as folder:
        model = Path(folder) / "model.safetensors"
        train = ["-m", "fastdigit", "train", *([options.data] if options.data else [])]
        train += ["--recipe", FASTEST, "--rows", str(options.rows), "--quiet"]
        train += ["--threads", str(options.threads), "--save-model", str(model)]
        command = partial(Command, words=train, recipe=FASTEST, model=model)
        entrants = [
            Entrant(TORCH, "PyTorch", "float32", partial(Command, words=["-c", TORCH])),
            Entrant("fastdigit train", LIBRARY, "float32", command),
        ]
        topic = Topic("start-up", "whole processes", "process", {"threads": goal.threads})
        budget = Budget(
            math.inf,
            min(10, options.processes),
            most_rounds=options.processes,
            repetitions=1,
            warm_up=0,
            width=0.0,
        )
        found = run.ask(topic, entrants, goal, TORCH, budget)
    (ours,) = (c for c in found["contenders"] if c["name"] != TORCH)
    said = "Nothing was compared."
    if ours["ratio"]:
        middle, low, high = questions.times(ours)
        kept = "kept" if middle <= PROCESS_TIMES else "NOT KEPT"
        said = (
            f"fastdigit train --recipe 98 --save-model takes {middle:.2f} times as long as python "
            f"-c 'import torch' (99 %: {low:.2f} to {high:.2f}); promised: at most "
            f"{PROCESS_TIMES:g} times: {kept}."
        )
    print(said, flush=True)
    about = (
        "From the start of Python to its end, with warm caches: reading MNIST, loading the "
        "kernels, training, saving the model. Before, the saved weights were compared, bit by bit, "
        "with those of `fit`."
    )
    return questions.section(found, f"**{said}**", about)


def introduction():
    return (
        "All targets were fixed beforehand, and settings were chosen on held-out training images; "
        "the test images score each training once it is over, and no seed is left out. The clock "
        "of a training holds shuffling, augmentation, gathering and updates. Contenders have their "
        "turns in processes of their own that sleep meanwhile; a turn is a whole training, with "
        "the next seed."
    )


if __name__ == "__main__":
    main()
