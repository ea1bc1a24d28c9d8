"""How long does a full-batch iteration take in other libraries, and in fastdigit?

usage: python bench/peers.py [--data mnist/] [--rounds 15] [--iterations 10] [--out reports/peers]

Times the notebook, all contenders of `fastdigit compare` and all peers, from the same weights on
the same images, in turns. See --help. Nothing is imported here that imports NumPy: each process of
a contender reads this file before it knows its number of threads.
"""

import argparse
import sys
from pathlib import Path

RANDOM = "random"
CLASSES = 10


def arguments():
    from fastdigit.cli.arguments import seed, whole

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "--data",
        metavar="DATA",
        help="Kaggle's train.csv, a folder with MNIST's IDX files, .npz; or 'random' for uniform "
        "floats without any zero; default: FASTDIGIT_DATA, or else built-in digits",
    )
    add("--rows", type=whole(1), default=42_000, metavar="N", help="first rows used (42000)")
    add("--dev", type=whole(0), default=1000, metavar="N", help="rows of these held out (1000)")
    add("--rounds", type=whole(1), default=15, metavar="N", help="turns of each contender (15)")
    add("--iterations", type=whole(1), default=10, metavar="N", help="timed in each turn (10)")
    add("--warm-up", type=whole(0), default=1, metavar="N", help="before them, untimed (1)")
    add("--threads", type=whole(1), default=2, metavar="N", help="of every contender (2)")
    add("--dtype", choices=("float32", "float64"), help="leave out contenders of the other type")
    add("--contenders", metavar="A,B,...", help="these only, with notebook and reference")
    add("--seed", type=seed, default=0, metavar="N", help="of split, weights, random images (0)")
    add("--out", type=Path, default=Path("reports/peers"), metavar="DIR", help="(reports/peers)")
    add("--quiet", action="store_true", help="show no progress")
    return parser, parser.parse_args()


def main():
    parser, options = arguments()
    import contest

    from fastdigit.errors import DataError
    from fastdigit.measure.machine import machine
    from fastdigit.measure.peers import PACKAGES

    try:
        table = chosen(options)
        task, data = work(options)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    before = machine(PACKAGES)
    check = agreement()
    counts = [options.iterations] * options.rounds
    outcome = contest.hold(table, task, check, counts, options.warm_up, options.quiet)
    document = contest.document(
        "training beside peers", before, settings(options, task), data, outcome, "notebook"
    )
    title = "One full-batch iteration of training, beside other libraries"
    contest.publish(
        options.out, document, columns(), title, introduction(document), facts(document)
    )
    if outcome.wrong:
        sys.exit(f"error: {', '.join(outcome.wrong)} did not learn what the reference learned")


def chosen(options):
    """Return the constructors of those who are to take part, the reference first."""
    from fastdigit.measure.contenders import BASE, CONTENDERS, REFERENCE
    from fastdigit.measure.peers import PEERS

    table = {REFERENCE: CONTENDERS[REFERENCE], **CONTENDERS, **PEERS}
    always = {REFERENCE, BASE}
    if options.contenders:
        names = [name.strip() for name in options.contenders.split(",")]
        if unknown := set(names) - set(table):
            raise ValueError(f"there is no {min(unknown)!r}; there are {', '.join(table)}")
        table = {name: table[name] for name in table if name in always.union(names)}
    if options.dtype:
        fits = (None, options.dtype)
        table = {n: c for n, c in table.items() if n in always or dtype_of(c) in fits}
    if options.data == RANDOM:
        table = {n: c for n, c in table.items() if not stores_no_zeros(n, c)}
    return table


def dtype_of(constructor):
    keywords = getattr(constructor, "keywords", {})
    return keywords.get("dtype") or getattr(constructor, "dtype", None)


def stores_no_zeros(name, constructor):
    return getattr(constructor, "sparse", "sparse" in name)


def work(options):
    """Return the task, and what to say of its data."""
    from fastdigit.errors import DataError
    from fastdigit.measure.contenders import Task

    if options.data == RANDOM:
        images, labels = random_images(options.rows - options.dev, options.seed)
        data = {"source": "uniform random floats without zeros", "training": len(images)}
    else:
        import fastdigit as fd
        from fastdigit.data import default_data

        everything = fd.load_data(options.data) if options.data else default_data()
        train, _ = everything.head(options.rows).split(options.dev, options.seed)
        if train.labels is None:
            raise DataError(f"{everything.source} has no labels")
        images, labels = train.images, train.labels
        data = {
            "source": Path(train.source).name,
            "fingerprint": everything.fingerprint,
            "training": len(images),
        }
    data["share_of_zeros"] = float((images == 0).mean())
    sizes = (images.shape[1], 10, CLASSES)
    return Task(images, labels, sizes, options.seed, 0.1, options.threads), data


def random_images(rows, seed):
    import numpy as np

    random = np.random.default_rng(seed)
    images = np.maximum(random.random((rows, 784), np.float32), np.float32(2**-24))
    return images, random.integers(0, CLASSES, rows).astype(np.uint8)


def agreement():
    """Return a check that compares weights with those of the reference, which comes first."""
    import contest
    import numpy as np

    from fastdigit.measure.contenders import CHECKED, REFERENCE, WEIGHTS_WITHIN

    right = []

    def check(worker):
        if not right and worker.name != REFERENCE:
            raise contest.Wrong(f"{REFERENCE} did not run, so it could not be shown right")
        worker.step(CHECKED)
        parameters = worker.parameters().astype(np.float64)
        right.append(parameters)
        difference = float(np.abs(parameters - right[0]).max())
        allowed = WEIGHTS_WITHIN[worker.ready.dtype]
        if not difference <= allowed:
            raise contest.Wrong(
                f"its weights are off by {difference:.1e} after {CHECKED} iterations, more than "
                f"the {allowed:.0e} that is allowed"
            )
        return {"weight_difference": difference}

    return check


def settings(options, task):
    return {
        "iterations_a_turn": options.iterations,
        "warm_up": options.warm_up,
        "rounds": options.rounds,
        "learning_rate": task.learning_rate,
        "sizes": list(task.sizes),
        "init": "uniform",
        "seed": options.seed,
        "threads": options.threads,
        "dtype": options.dtype,
    }


def columns():
    from contest import number

    return [
        ("contender", lambda record: record["name"]),
        ("library", lambda record: record["backend"]),
        ("dtype", lambda record: record["dtype"]),
        ("ms/iteration", number("milliseconds_median", ".2f")),
        ("half of the rounds", number("milliseconds_quartiles", ".2f")),
        ("ratio", number("ratio", ".2f", "x")),
        ("half of the ratios", number("ratio_quartiles", ".2f")),
        ("prepare s", number("prepare_seconds", ".2f")),
        ("compile s", number("compile_seconds", ".2f")),
        ("weights off by", number("weight_difference", ".1e")),
    ]


def introduction(document):
    from fastdigit.measure.contenders import CHECKED

    return (
        f"{best(document)}\n\n"
        "Every contender begins with the same weights, in a process of its own that sleeps while "
        "others have their turn; in each round all have one turn, in random order, and a turn "
        f"begins with iterations that are not timed. Before, the weights after {CHECKED} "
        "iterations were compared with those of reference-f64; *weights off by* is the largest "
        "difference. *ms/iteration* is the median over all rounds of the mean of a turn, *ratio* "
        "the notebook's median by the contender's.\n\n"
        "Outside the clock: reading the data, dividing the pixels by 255 (the peers are given "
        "floats), compressing and transposing, all in *prepare s*, and compiling. Inside the "
        "clock: forward pass, gradient and update. All contenders of fastdigit compute loss and "
        "accuracy in every iteration, the notebook the accuracy in every tenth; torch-eager, "
        "torch-compile and sklearn compute the loss, the other peers neither. SciPy multiplies "
        "compressed rows with one thread only. jax-tuned, torch-manual, torch-csr and scipy-csr "
        "store the images twice, as rows and transposed, which makes their gradient faster."
    )


def best(document):
    """Return the fastest of fastdigit and of the others, for each type."""
    from fastdigit.measure.contenders import BASE, CONTENDERS
    from fastdigit.measure.peers import PEERS

    sentences = []
    for dtype in ("float32", "float64"):
        fastest = []
        for table in (CONTENDERS.keys() - {BASE}, PEERS.keys()):
            mine = [r for r in document["contenders"] if r["name"] in table and r["dtype"] == dtype]
            fastest += mine[:1]
        if len(fastest) == 2:
            own, other = fastest
            ratio = other["milliseconds_median"] / own["milliseconds_median"]
            sentences.append(
                f"In {dtype}, the fastest of fastdigit, {own['name']}, needs "
                f"{own['milliseconds_median']:.2f} ms an iteration, and the fastest peer, "
                f"{other['name']}, {other['milliseconds_median']:.2f} ms: {ratio:.2f} times as "
                "long."
            )
    return " ".join(sentences) or "Nothing was compared with a peer."


def facts(document):
    chosen, data = document["settings"], document["data"]
    return [
        ("data", f"{data['source']}, {data['share_of_zeros']:.1%} zeros"),
        ("images", f"{data['training']:,}"),
        ("network", "-".join(map(str, chosen["sizes"])) + ", init uniform"),
        ("learning rate", f"{chosen['learning_rate']:g}"),
        ("rounds", f"{chosen['rounds']} of {chosen['iterations_a_turn']} iterations"),
        ("threads", str(chosen["threads"])),
    ]


if __name__ == "__main__":
    main()
