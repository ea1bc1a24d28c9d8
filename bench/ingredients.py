"""What each ingredient of training does for the accuracy: the tables of docs/mathematics.md.

usage: python bench/ingredients.py [--data mnist/] [--seeds 3] [--threads 1] [--out docs]
       python bench/ingredients.py --tables        # write the tables of an earlier result anew

The last sixth of the training images is held out (of MNIST's 60,000 the last 10,000), and no test
image is looked at. Accuracies, unlike times, do not depend on the machine or its load: trainings
with the same data, settings and seed end with the same bits.
"""

import argparse
import json
import textwrap
from pathlib import Path

import numpy as np

import fastdigit as fd
from fastdigit.cli.arguments import whole
from fastdigit.data import default_data
from fastdigit.measure.machine import machine
from fastdigit.optimizers import Adam
from fastdigit.reporting.readme import WIDTH
from fastdigit.reporting.tables import markdown_table
from fastdigit.storage import write_whole

RESULTS, PAGE = "ingredients.json", "mathematics.md"

NOTEBOOK = {"hidden": (10,), "init": "uniform", "iterations": 500, "learning_rate": 0.1}
STEPS = (
    ("the notebooks' network and settings", {}),
    ("He's first weights", {"init": "he"}),
    ("batches of 128, 3 epochs", {"iterations": None, "epochs": 3, "batch_size": 128}),
    ("128 hidden units instead of 10", {"hidden": (128,)}),
    ("Nesterov's momentum, 0.9", {"optimizer": "nesterov"}),
    ("a rate that rises to 0.3, then falls to 0", {"schedule": "linear", "learning_rate": 0.3}),
    ("label smoothing, 0.05", {"label_smoothing": 0.05}),
    ("512 hidden units", {"hidden": (512,)}),
    ("12 epochs", {"epochs": 12}),
    ("affine augmentation", {"augment": "affine"}),
)
"""Each adds its settings to all those before."""
MIDDLE = 7
"""Steps whose settings the variants start from: up to label smoothing."""
VARIANTS = (
    ("as it is", {}),
    ("no label smoothing", {"label_smoothing": 0.0}),
    ("a constant rate of 0.3", {"schedule": "constant"}),
    ("a cosine, after a warm-up of none", {"schedule": "cosine"}),
    ("no momentum", {"optimizer": "sgd"}),
    ("momentum, but not Nesterov's", {"optimizer": "momentum"}),
    ("Adam (0.9, 0.98) at 0.005", {"optimizer": Adam(0.9, 0.98), "learning_rate": 0.005}),
    ("first weights from -0.5 to 0.5", {"init": "uniform"}),
    ("batches of 32", {"batch_size": 32}),
    ("batches of 512", {"batch_size": 512}),
    ("leaky ReLU", {"activation": "leaky_relu"}),
    ("tanh", {"activation": "tanh"}),
    ("logistic", {"activation": "logistic"}),
    ("dropout, 0.2", {"dropout": 0.2}),
    ("L2, 0.0001", {"l2": 1e-4}),
    ("L1, 0.00001", {"l1": 1e-5}),
)
"""Each changes one thing."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DATA", help="images; default: FASTDIGIT_DATA, or else built-in digits")
    add("--rows", type=whole(1), metavar="N", help="use only the first N images")
    add("--seeds", type=whole(1), default=3, metavar="N", help="trainings of each kind (3)")
    add("--threads", type=whole(1), default=1, metavar="N", help="(1)")
    add("--out", type=Path, default=Path("docs"), metavar="DIR", help="(docs)")
    add("--tables", action="store_true", help="train nothing: write the page's tables anew")
    return parser.parse_args()


def main():
    options = arguments()
    results = options.out / RESULTS
    if not options.tables:
        found = measured(options)
        options.out.mkdir(parents=True, exist_ok=True)
        write_whole(results, (json.dumps(found, indent=1) + "\n").encode())
        print(f"written: {results}")
    import markers

    page = options.out / PAGE
    if page.exists():
        markers.rewrite(page, tables(json.loads(results.read_text())))


def measured(options):
    """Return the held-out accuracies of every step and variant."""
    data = fd.load_data(options.data) if options.data else default_data("train")
    data = data.head(len(data) if options.rows is None else options.rows)
    train, held_out = parts(data)
    settings, collected = dict(NOTEBOOK), []
    for name, changes in STEPS:
        settings = settings | changes
        collected.append((name, settings))
    middle = collected[MIDDLE - 1][1]
    variants = [(name, middle | changes) for name, changes in VARIANTS]
    facts = machine()
    return {
        "schema": 1,
        "date": facts["date"],
        "versions": facts["versions"],
        "data": {
            "source": Path(data.source).parent.name if Path(data.source).exists() else data.source,
            "fingerprint": data.fingerprint,
            "training": len(train),
            "held_out": len(held_out),
        },
        "seeds": list(range(options.seeds)),
        "steps": [row(*one, train, held_out, options) for one in collected],
        "variants": [row(*one, train, held_out, options) for one in variants],
    }


def parts(data):
    """Return what is learned from, and what is held out: the last sixth."""
    count = len(data) * 5 // 6
    return data.head(count), fd.Dataset(data.images[count:], data.labels[count:])


def row(name, settings, train, held_out, options):
    """Return one line of a table: a name, all settings, and the accuracy with each seed."""
    accuracies = []
    for seed in range(options.seeds):
        accuracies.append(accuracy(settings, train, held_out, seed, options.threads))
    shown = {key: value if is_json(value) else repr(value) for key, value in settings.items()}
    print(f"{name}: {', '.join(f'{share:.2%}' for share in accuracies)}", flush=True)
    return {"name": name, "settings": shown, "accuracies": accuracies}


def is_json(value):
    return value is None or isinstance(value, int | float | str | tuple)


def accuracy(settings, train, held_out, seed, threads):
    """Train once, and return the share of held-out images that are right."""
    fit = dict(settings)
    hidden, init = fit.pop("hidden"), fit.pop("init")
    activation = fit.pop("activation", "relu")
    sizes = [train.images.shape[1], *hidden, int(train.labels.max()) + 1]
    network = fd.Network(sizes, seed=seed, init=init, activation=activation)
    fd.fit(network, train, seed=seed, threads=threads, progress=False, **fit)
    return network.accuracy(held_out.images, held_out.labels, threads=threads)


def tables(found):
    """Return the parts of the page."""
    data = found["data"]
    versions = found["versions"]
    what = (
        f"By `python bench/ingredients.py`, on {found['date'][:10]}, with NumPy "
        f"{versions['numpy']} and Numba {versions['numba']}: {data['training']:,} images of "
        f"{data['source']} to learn from, {data['held_out']:,} held out, and "
        f"{len(found['seeds'])} seeds."
    )
    return {
        "ingredients: steps": f"{textwrap.fill(what, WIDTH)}\n\n{table('added', found['steps'])}",
        "ingredients: variants": table("changed", found["variants"]),
    }


def table(heading, rows):
    """Return names and accuracies; a change is from the line above, or, of variants, the first."""
    means = [100 * float(np.mean(one["accuracies"])) for one in rows]
    before = [means[0], *(means[:-1] if heading == "added" else [means[0]] * (len(means) - 1))]
    cells = []
    for one, mean, base in zip(rows, means, before, strict=True):
        shares = [100 * share for share in one["accuracies"]]
        change = f"{mean - base:+.2f}" if one is not rows[0] else ""
        span = f"{min(shares):.2f} to {max(shares):.2f}"
        cells.append((one["name"], f"{mean:.2f} %", span, change))
    return markdown_table((heading, "held out", "seeds", "change"), cells)


if __name__ == "__main__":
    main()
