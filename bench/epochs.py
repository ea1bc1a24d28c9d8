"""How long does an epoch with batches take in fastdigit, PyTorch, JAX and scikit-learn?

usage: python bench/epochs.py [--data mnist/] [--networks 784-128-10,random] [--out reports/epochs]

Gradient descent with momentum in batches of 128, the same updates in the same order for all, in
turns of an epoch. See --help. Nothing is imported here that imports NumPy: each process of a
contender reads this file before it knows its number of threads.
"""

import argparse
from pathlib import Path

RANDOM = "random"
NETWORKS = {
    "784-128-10": 3.5,
    "784-512-10": 3.0,
    "784-256-128-10": 2.0,
    RANDOM: 1.2,
}
"""And how many times as long as fastdigit the fastest peer is promised to take."""
RANDOM_SIZES = (784, 128, 10)
RATE = 0.1


def arguments():
    from fastdigit.cli.arguments import seed, whole

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DATA", help="default: FASTDIGIT_DATA, or else built-in digits")
    add("--rows", type=whole(1), default=60_000, metavar="N", help="first images used (60000)")
    add("--threads", type=whole(1), default=2, metavar="N", help="of every contender (2)")
    add("--seconds", type=float, default=150.0, metavar="S", help="of turns, a network (150)")
    add(
        "--networks",
        default=",".join(NETWORKS),
        metavar="A,B,...",
        help="as 784-128-10; 'random' is that on dense random floats (all)",
    )
    add("--contenders", metavar="A,B,...", help="these only, with the base")
    add("--seed", type=seed, default=0, metavar="N", help="of weights, orders, floats (0)")
    add("--out", type=Path, default=Path("reports/epochs"), metavar="DIR", help="(reports/epochs)")
    add("--quiet", action="store_true", help="show no progress")
    return parser, parser.parse_args()


def main():
    parser, options = arguments()
    import questions

    from fastdigit.errors import DataError
    from fastdigit.measure.paired import Budget

    try:
        plans, data = planned(options)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    run = questions.Run(options)
    budget = Budget(seconds=options.seconds, repetitions=1)
    paragraphs = [introduction()]
    for name, plan in plans.items():
        found = run.ask(plan.topic, plan.entrants, plan.task, plan.base, budget)
        said = verdict(found, NETWORKS.get(name))
        print(said, flush=True)
        paragraphs += questions.section(found, f"**{said}**")
    settings = {"batch_size": 128, "learning_rate": RATE, "networks": list(plans)}
    document = run.document("epochs beside peers", settings, data)
    title = "One epoch of training with batches, beside other libraries"
    facts = [
        ("data", f"{data['source']}, {data['share_of_zeros']:.1%} zeros"),
        ("images", f"{data['images']:,}"),
        ("learning rate", f"{RATE:g}, momentum 0.9"),
        ("threads", str(options.threads)),
    ]
    questions.publish(options.out, document, title, paragraphs, facts)


def planned(options):
    """Return a `Plan` for each network, and what to say of the data."""
    import fastdigit as fd
    from fastdigit.data import default_data
    from fastdigit.errors import DataError
    from fastdigit.measure.batches import Task
    from fastdigit.measure.suites.epochs import plan

    given = fd.load_data(options.data) if options.data else default_data()
    digits = given.head(options.rows)
    if digits.labels is None:
        raise DataError(f"{digits.source} has no labels")
    plans = {}
    for name in dict.fromkeys(options.networks.split(",")):
        images, labels, sizes = digits.images, digits.labels, RANDOM_SIZES
        if name == RANDOM:
            images, labels = random_images(len(labels), options.seed)
        else:
            sizes = sizes_of(name)
        task = Task(images, labels, sizes, options.seed, options.threads, learning_rate=RATE)
        kind = "random dense floats" if name == RANDOM else "digits"
        plans[name] = chosen(plan(task, True, kind), options.contenders)
    data = {
        "source": Path(digits.source).name,
        "fingerprint": given.fingerprint,
        "images": len(digits),
        "share_of_zeros": float((digits.images == 0).mean()),
    }
    return plans, data


def sizes_of(name):
    words = name.split("-")
    if len(words) < 2 or not all(word.isdecimal() for word in words):
        raise ValueError(f"--networks: {name!r} is no network; write 784-128-10, or {RANDOM}")
    return tuple(map(int, words))


def random_images(rows, seed):
    """Return floats (rows, 784) none of which is 0, and labels that can be learned from them."""
    import numpy as np

    random = np.random.default_rng(seed)
    images = random.random((rows, RANDOM_SIZES[0]), np.float32) - np.float32(0.5)
    images[images == 0] = 0.5
    teacher = random.standard_normal((RANDOM_SIZES[0], RANDOM_SIZES[-1]), np.float32)
    return images, (images @ teacher).argmax(axis=1).astype(np.uint8)


def chosen(plan, names):
    """Return a plan with these contenders only, and its base."""
    from dataclasses import replace

    if not names:
        return plan
    from fastdigit.measure.batches import CONTENDERS, PEERS

    wanted = {name.strip() for name in names.split(",")}
    if unknown := wanted - CONTENDERS.keys() - PEERS.keys():
        everyone = ", ".join([*CONTENDERS, *PEERS])
        raise ValueError(f"--contenders: there is no {min(unknown)!r}; there are {everyone}")
    wanted.add(plan.base)
    return replace(plan, entrants=[one for one in plan.entrants if one.name in wanted])


def verdict(question, promise):
    """Return what the fastest peer takes, beside fastdigit."""
    from questions import times

    from fastdigit.measure.batches import PEERS

    peers = [c for c in question["contenders"] if c["name"] in PEERS and c["ratio"]]
    if not peers:
        return "Nothing was compared with a peer."
    middle, low, high = times(peers[0])
    said = (
        f"The fastest peer, {peers[0]['name']}, takes {middle:.2f} times as long as "
        f"{question['base']} (99 %: {low:.2f} to {high:.2f})"
    )
    if promise is None:
        return f"{said}."
    kept = "kept" if middle >= promise else "NOT KEPT"
    return f"{said}; promised: at least {promise:g} times: {kept}."


def introduction():
    return (
        "Every contender begins with the same weights, in a process of its own that sleeps while "
        "others have their turn, and makes the same updates in the same order: gradient descent "
        "with momentum 0.9 on the mean cross-entropy of batches of 128. A turn is one epoch that "
        "is not timed and one that is; after ten epochs all begin anew, outside the clock. Inside "
        "it: shuffling, gathering, forward and backward pass, updates. Outside: reading and "
        "importing; compiling; and dividing the pixels by 255 (peers are given floats, fastdigit "
        "bytes). The contenders of fastdigit run the loop of `fit`, with loss, accuracy, and what "
        "it takes to be interrupted; torch-eager, torch-fused and sklearn compute the loss, the "
        "other peers neither. sklearn checks all images for NaN before each epoch. *columns* are "
        "weights stored as (inputs, outputs)."
    )


if __name__ == "__main__":
    main()
