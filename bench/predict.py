"""How long does it take to label a million images, in other libraries and in fastdigit?

usage: python bench/predict.py [--data mnist/] [--images 1000000] [--out reports/predict]

Bytes in, labels out, 784-10-10 in float32. See --help. Nothing is imported here that imports NumPy:
each process of a contender reads this file before it knows its number of threads.
"""

import argparse
import sys
from pathlib import Path

BASE = "fastdigit"
EQUAL = 0.9999
"""Share of the labels that must be those of the NumPy reference; rounding may decide a tie."""
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
    from fastdigit.measure.machine import machine
    from fastdigit.measure.peers import PACKAGES

    try:
        table = chosen(options)
        question, data = work(options)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    before = machine(PACKAGES)
    need = len(table) * (question.total * question.images.shape[1] / 1e9 + GIGABYTES)
    available = before["memory"]["available_gb"]
    if available is not None and need > available:
        parser.error(
            f"this may need {need:.0f} GB of memory, and {available} are available; choose fewer "
            "--images or --contenders"
        )
    counts = [options.iterations] * options.rounds
    check = agreement(question)
    outcome = contest.hold(table, question, check, counts, options.warm_up, options.quiet)
    document = contest.document(
        "prediction beside peers", before, settings(options, question), data, outcome, BASE
    )
    title = f"Labels of {question.total:,} images, beside other libraries"
    contest.publish(
        options.out, document, columns(question.total), title, introduction(), facts(document)
    )
    if outcome.wrong:
        sys.exit(f"error: {', '.join(outcome.wrong)} found other labels than the reference")


def chosen(options):
    from fastdigit.measure.predictors import PREDICTORS

    if not options.contenders:
        return PREDICTORS
    names = [name.strip() for name in options.contenders.split(",")]
    if unknown := set(names) - set(PREDICTORS):
        raise ValueError(f"there is no {min(unknown)!r}; there are {', '.join(PREDICTORS)}")
    return {name: PREDICTORS[name] for name in PREDICTORS if name in names}


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
    import contest
    import numpy as np

    expected = question.network.predict(question.images, backend="numpy")
    right = np.resize(expected, question.total)

    def check(worker):
        worker.step(1)
        equal = float((worker.ask("labels") == right).mean())
        if not equal >= EQUAL:
            raise contest.Wrong(f"only {equal:.3%} of its labels are those of the reference")
        return {"labels_equal": equal, "chunk_size": worker.ask("chunk_size")}

    return check


def settings(options, question):
    return {
        "iterations_a_turn": options.iterations,
        "warm_up": options.warm_up,
        "rounds": options.rounds,
        "images": question.total,
        "sizes": list(question.network.sizes),
        "trained": options.trained,
        "seed": options.seed,
        "threads": options.threads,
    }


def columns(images):
    from contest import number

    def rate(record):
        return f"{images / record['milliseconds_median'] / 1e3:.2f}"

    return [
        ("contender", lambda record: record["name"]),
        ("ms", number("milliseconds_median", ".1f")),
        ("half of the rounds", number("milliseconds_quartiles", ".1f")),
        ("million images/s", rate),
        ("ratio", number("ratio", ".2f", "x")),
        ("half of the ratios", number("ratio_quartiles", ".2f")),
        ("chunk", number("chunk_size", ",")),
        ("labels equal", number("labels_equal", ".4%")),
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
        "those of the NumPy reference. *ms* is the median over all rounds, *ratio* the median of "
        "fastdigit by that of the contender: below 1, fastdigit is faster."
    )


def facts(document):
    chosen, data = document["settings"], document["data"]
    return [
        ("data", f"{data['source']}, {data['rows']:,} rows, {data['share_of_zeros']:.1%} zeros"),
        ("images", f"{chosen['images']:,}, those of the data repeated"),
        ("network", "-".join(map(str, chosen["sizes"])) + ", float32"),
        ("trained", f"{chosen['trained']} iterations"),
        ("rounds", f"{chosen['rounds']} of {chosen['iterations_a_turn']} calls"),
        ("threads", str(chosen["threads"])),
    ]


if __name__ == "__main__":
    main()
