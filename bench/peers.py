"""How long does a full-batch iteration take in other libraries, and in fastdigit?

usage: python bench/peers.py [--data mnist/] [--rounds 15] [--iterations 10] [--out reports/peers]

Times the notebook, all contenders of `fastdigit compare` and all peers, from the same weights on
the same images, in turns. See --help. Nothing is imported here that imports NumPy: each process of
a contender reads this file before it knows its number of threads.
"""

import argparse
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
    from fastdigit.measure.contenders import BASE
    from fastdigit.measure.paired import Topic
    from fastdigit.measure.suites.iteration import agreement

    try:
        entrants = chosen(options)
        task, data = work(options)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    found = contest.document(
        "training beside peers",
        Topic(
            "iteration",
            "-".join(map(str, task.sizes)) + ", full batch",
            "iteration",
            {"images": len(task.images), "threads": task.threads},
        ),
        entrants,
        task,
        agreement(task),
        BASE,
        options,
        settings(options, task),
        data,
    )
    title = "One full-batch iteration of training, beside other libraries"
    contest.publish(options.out, found, columns(), title, introduction(found), facts(found))


def chosen(options):
    """Return those who are to take part."""
    from fastdigit.measure.contenders import BASE, REFERENCE
    from fastdigit.measure.suites.iteration import entrants

    table = {entrant.name: entrant for entrant in entrants(peers=True)}
    always = {REFERENCE, BASE}
    if options.contenders:
        names = [name.strip() for name in options.contenders.split(",")]
        if unknown := set(names) - set(table):
            raise ValueError(f"there is no {min(unknown)!r}; there are {', '.join(table)}")
        table = {name: table[name] for name in table if name in always.union(names)}
    if options.dtype:
        table = {n: e for n, e in table.items() if n in always or e.dtype == options.dtype}
    if options.data == RANDOM:
        table = {n: e for n, e in table.items() if not stores_no_zeros(n, e.make)}
    return list(table.values())


def stores_no_zeros(name, constructor):
    return getattr(constructor, "sparse", "sparse" in name)


def work(options):
    """Return the task, and what to say of its data."""
    from fastdigit.errors import DataError
    from fastdigit.measure.contenders import Task

    if options.data == RANDOM:
        images, labels = random_images(options.rows - options.dev, options.seed)
        data = {"source": "uniform random floats without zeros", "images": len(images)}
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
            "images": len(images),
        }
    data["share_of_zeros"] = float((images == 0).mean())
    sizes = (images.shape[1], 10, CLASSES)
    return Task(images, labels, sizes, options.seed, 0.1, options.threads), data


def random_images(rows, seed):
    import numpy as np

    random = np.random.default_rng(seed)
    images = np.maximum(random.random((rows, 784), np.float32), np.float32(2**-24))
    return images, random.integers(0, CLASSES, rows).astype(np.uint8)


def settings(options, task):
    return {
        "learning_rate": task.learning_rate,
        "sizes": list(task.sizes),
        "init": "uniform",
        "dtype": options.dtype,
    }


def columns():
    from contest import NOTHING
    from contest import columns as columns_around

    def seconds(key):
        return lambda found: NOTHING if found[key] is None else f"{found[key]:.2f}"

    return [
        *columns_around(
            ("library", lambda found: found["library"]),
            ("dtype", lambda found: found["dtype"]),
        ),
        ("import s", seconds("import_seconds")),
        ("prepare s", seconds("prepare_seconds")),
        ("compile s", seconds("compile_seconds")),
        ("cached s", seconds("cached_seconds")),
        ("weights off by", lambda found: f"{found['check']['difference']:.1e}"),
    ]


def introduction(document):
    from fastdigit.measure.contenders import CHECKED

    return (
        f"{best(document)}\n\n"
        "Every contender begins with the same weights, in a process of its own that sleeps while "
        "others have their turn; in each round all have one turn, in random order, and a turn "
        f"begins with iterations that are not timed. Before, the weights after {CHECKED} "
        "iterations were compared with those of reference-f64; *weights off by* is the largest "
        "difference. *ms* is the median, over the rounds that count, of the mean iteration of the "
        "fastest third of a turn; *ratio* is the notebook's median by the contender's, and *within "
        "rounds* the interval of the median of the ratios in each round, on which the verdict "
        "rests.\n\n"
        "Outside the clock: reading the data, dividing the pixels by 255 (the peers are given "
        "floats), compressing and transposing, all in *prepare s*; compiling, or loading what is "
        "compiled (*cached s*); and importing the library. Inside the "
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

    (question,) = document["questions"]
    timed = [found for found in question["contenders"] if not found["refused"]]
    sentences = []
    for dtype in ("float32", "float64"):
        fastest = []
        for table in (CONTENDERS.keys() - {BASE}, PEERS.keys()):
            fastest += [f for f in timed if f["name"] in table and f["dtype"] == dtype][:1]
        if len(fastest) == 2:
            own, other = fastest
            ratio = other["median_seconds"] / own["median_seconds"]
            sentences.append(
                f"In {dtype}, the fastest of fastdigit, {own['name']}, needs "
                f"{1e3 * own['median_seconds']:.2f} ms an iteration, and the fastest peer, "
                f"{other['name']}, {1e3 * other['median_seconds']:.2f} ms: {ratio:.2f} times as "
                "long."
            )
    return " ".join(sentences) or "Nothing was compared with a peer."


def facts(document):
    chosen, data = document["settings"], document["data"]
    return [
        ("data", f"{data['source']}, {data['share_of_zeros']:.1%} zeros"),
        ("images", f"{data['images']:,}"),
        ("network", "-".join(map(str, chosen["sizes"])) + ", init uniform"),
        ("learning rate", f"{chosen['learning_rate']:g}"),
        ("rounds", f"{chosen['rounds']} of {chosen['repetitions']} iterations"),
        ("threads", str(chosen["threads"])),
    ]


if __name__ == "__main__":
    main()
