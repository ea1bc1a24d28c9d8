"""How long does it take to label a million images, in other libraries and in fastdigit?

usage: python bench/predict.py [--data mnist/] [--images 1000000] [--out reports/predict]

Bytes in, labels out, 784-10-10 in float32. See --help. Nothing is imported here that imports NumPy:
each process of a contender reads this file before it knows its number of threads.
"""

import argparse
from pathlib import Path

BASE = "fastdigit"
UNLIKE = 1e-4
"""Share of the labels that may differ from the NumPy reference's: rounding may decide a tie."""
GIGABYTES = 0.8
"""That a process of a contender needs beside its images, generously."""


def arguments():
    from fastdigit.cli.arguments import seed, whole

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add(
        "--data",
        metavar="DATA",
        help="Kaggle's train.csv, a folder with MNIST's IDX files, .npz; default: FASTDIGIT_DATA, "
        "or else built-in digits",
    )
    add(
        "--images",
        type=whole(1),
        default=1_000_000,
        metavar="N",
        help="to label; those of the data are repeated (1000000)",
    )
    add("--rounds", type=whole(1), default=15, metavar="N", help="turns of each contender (15)")
    add("--iterations", type=whole(1), default=1, metavar="N", help="timed in each turn (1)")
    add("--warm-up", type=whole(0), default=1, metavar="N", help="before them, untimed (1)")
    add("--threads", type=whole(1), default=2, metavar="N", help="of every contender (2)")
    add("--contenders", metavar="A,B,...", help="these only")
    add("--trained", type=whole(0), default=50, metavar="N", help="iterations of training (50)")
    add("--seed", type=seed, default=0, metavar="N", help="of the first weights (0)")
    add(
        "--out", type=Path, default=Path("reports/predict"), metavar="DIR", help="(reports/predict)"
    )
    add("--quiet", action="store_true", help="show no progress")
    return parser, parser.parse_args()


def main():
    parser, options = arguments()
    import contest

    from fastdigit.errors import DataError
    from fastdigit.measure.machine import memory
    from fastdigit.measure.paired import Topic

    try:
        entrants = chosen(options)
        question, data = work(options)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    # The base runs twice.
    processes = len(entrants) + (BASE in {entrant.name for entrant in entrants})
    need = processes * (question.total * question.images.shape[1] / 1e9 + GIGABYTES)
    available = memory()["available_gb"]
    if available is not None and need > available:
        parser.error(
            f"this may need {need:.0f} GB of memory, and {available} are available; choose fewer "
            "--images or --contenders"
        )
    sizes = list(question.network.sizes)
    found = contest.document(
        "prediction beside peers",
        Topic(
            "predict",
            "-".join(map(str, sizes)) + ", float32, bytes to labels",
            f"{question.total:,} images",
            {"images": question.total, "threads": question.threads},
        ),
        entrants,
        question,
        agreement(question),
        BASE,
        options,
        {"sizes": sizes, "trained": options.trained, "images": question.total},
        data,
        facts=lambda worker: {"images at a time": worker.ask("chunk_size")},
    )
    title = f"Labels of {question.total:,} images, beside other libraries"
    contest.publish(options.out, found, columns(), title, introduction(), facts(found))


def chosen(options):
    from fastdigit.measure.paired import Entrant
    from fastdigit.measure.predictors import PREDICTORS
    from fastdigit.measure.suites.predict import library_of, package_of

    names = list(PREDICTORS)
    if options.contenders:
        names = [name.strip() for name in options.contenders.split(",")]
        if unknown := set(names) - set(PREDICTORS):
            raise ValueError(f"there is no {min(unknown)!r}; there are {', '.join(PREDICTORS)}")
    return [
        Entrant(name, library_of(name), "float32", entry, package_of(name))
        for name, entry in PREDICTORS.items()
        if name in names
    ]


def work(options):
    """Return the question, and what to say of its data."""
    import fastdigit as fd
    from fastdigit.data import default_data
    from fastdigit.measure.predictors import Question

    data = fd.load_data(options.data) if options.data else default_data()
    data = data.head(options.images)
    network = fd.Network([data.images.shape[1], 10, 10], dtype="float32", seed=options.seed)
    if options.trained:
        fd.fit(network, data, iterations=options.trained, learning_rate=0.5, progress=False)
    said = {
        "source": Path(data.source).name,
        "fingerprint": data.fingerprint,
        "rows": len(data),
        "share_of_zeros": float((data.images == 0).mean()),
    }
    return Question(data.images, options.images, network, options.threads), said


def agreement(question):
    """Return a check that compares labels with those of the NumPy reference."""
    import numpy as np

    from fastdigit.measure.result import Check

    expected = question.network.predict(question.images, backend="numpy")
    right = np.resize(expected, question.total)

    def check(worker):
        worker.step(1)
        unlike = float((worker.ask("labels") != right).mean())
        return Check(what="share of labels", difference=unlike, allowed=UNLIKE)

    return check


def columns():
    from contest import columns as columns_around

    return [
        *columns_around(("library", lambda found: found["library"])),
        ("images at a time", lambda found: f"{found['facts']['images at a time']:,}"),
        ("labels unlike", lambda found: f"{found['check']['difference']:.4%}"),
    ]


def introduction():
    return (
        "Each library is given the images as bytes and has to return labels; converting and "
        "scaling the pixels is part of its time. All but fastdigit work on chunks of the size that "
        "was fastest for them, of those from 256 to 65536. *onnxruntime-bytes* takes bytes and "
        "divides them in the model, *-folded* has the division in the weights, and for *-floats* "
        "NumPy divides. *torch-folded* has the division in the weights, too.\n\n"
        "Every contender lives in a process of its own that sleeps while others have their turn; "
        "in each round all have one turn, in random order. Before, the labels were compared with "
        "those of the NumPy reference. *ms* is the median over the rounds that count, *ratio* the "
        "median of fastdigit by that of the contender: below 1, fastdigit is faster. *within "
        "rounds* is the interval of the median of the ratios in each round, on which the verdict "
        "rests."
    )


def facts(document):
    chosen, data = document["settings"], document["data"]
    return [
        ("data", f"{data['source']}, {data['rows']:,} rows, {data['share_of_zeros']:.1%} zeros"),
        ("images", f"{chosen['images']:,}, those of the data repeated"),
        ("network", "-".join(map(str, chosen["sizes"])) + ", float32"),
        ("trained", f"{chosen['trained']} iterations"),
        ("rounds", f"{chosen['rounds']} of {chosen['repetitions']} calls"),
        ("threads", str(chosen["threads"])),
    ]


if __name__ == "__main__":
    main()
