"""Draw the pictures of docs/mathematics.md.

usage: python bench/mathematics_pictures.py [--data mnist/] [--rows N] [--threads 1] [--out docs]

Curves come from trainings that are run here, on five sixths of the images, and are scored on the
rest; the picture of the ingredients from what bench/ingredients.py left in docs/ingredients.json.
"""

import argparse
import json
from pathlib import Path

import ingredients
import numpy as np
from matplotlib.figure import Figure

import fastdigit as fd
from fastdigit.cli.arguments import whole
from fastdigit.data import default_data
from fastdigit.kernels.reference import ACTIVATIONS
from fastdigit.reporting.pictures import COLOURS, QUIET, save
from fastdigit.schedules import Constant, Cosine, Linear, Step, rates

BATCH, EPOCHS = 128, 10
UPDATES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""After which the training with batches is scored."""
ITERATIONS = 500
"""Of the training with all images at once."""
SCHEDULES = {
    "constant": Constant(),
    "step, every 3 epochs": Step(every=3),
    "cosine": Cosine(),
    "linear": Linear(),
}
PEAK = 0.3
SHOWN = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "tanh": "tanh", "logistic": "logistic"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", metavar="DATA", help="images; default: FASTDIGIT_DATA, or else built-in digits")
    add("--rows", type=whole(1), metavar="N", help="use only the first N images")
    add("--threads", type=whole(1), default=1, metavar="N", help="(1)")
    add("--out", type=Path, default=Path("docs"), metavar="DIR", help="(docs)")
    return parser.parse_args()


def main():
    options = arguments()
    data = fd.load_data(options.data) if options.data else default_data("train")
    data = data.head(len(data) if options.rows is None else options.rows)
    parts = ingredients.parts(data)
    options.out.mkdir(parents=True, exist_ok=True)
    drawn = {
        "activations": activations,
        "batches": lambda: batches(*parts, options.threads),
        "schedules": lambda: schedules(*parts, options.threads),
    }
    results = options.out / ingredients.RESULTS
    if results.exists():
        drawn["ingredients"] = lambda: steps(json.loads(results.read_text()))
    for name, draw in drawn.items():
        path = options.out / f"mathematics-{name}.png"
        save(draw(), path)
        print(f"written: {path}", flush=True)


def panels(title, count=2):
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(1, count)
    for part in axes:
        part.grid(alpha=0.3)
        part.spines[["top", "right"]].set_visible(False)
    return figure, axes


def activations():
    """Draw what each activation makes of z, and how steep it is there."""
    figure, (function, slope) = panels("Activations, and their slopes")
    z = np.linspace(-4, 4, 801)
    for (name, label), colour in zip(SHOWN.items(), COLOURS, strict=False):
        activation = ACTIVATIONS[name]
        a = activation.function(z)
        # The leaky ReLU lies on the ReLU wherever z > 0.
        style = {
            "color": colour,
            "linestyle": "--" if name == "leaky_relu" else "-",
            "label": label,
        }
        function.plot(z, a, **style)
        slope.plot(z, activation.derivative(a).astype(float), **style)
    function.set(xlabel="z", ylabel="a", ylim=(-1.2, 2.2))
    slope.set(xlabel="z", ylabel="da / dz", ylim=(-0.05, 1.1))
    function.legend(frameon=False, loc="upper left")
    return figure


def batches(train, held_out, threads):
    """Draw how good the notebooks' network is, by updates and by passes over the images."""
    every = fd.Network([train.images.shape[1], 10, 10], seed=0)
    history = fd.fit(every, train, validation=held_out, iterations=ITERATIONS, learning_rate=0.1,
                     threads=threads, progress=False, every=1)  # fmt: skip
    an_epoch = -(-len(train) // BATCH)
    scores = [after(train, held_out, threads, updates) for updates in UPDATES]
    all_at_once = [(score.iteration, score.accuracy) for score in history.validation[1:]]
    curves = (
        (f"all {len(train):,} images", all_at_once, 1, ""),
        (f"batches of {BATCH}", list(zip(UPDATES, scores, strict=True)), 1 / an_epoch, "o"),
    )
    figure, axes = panels("784-10-10, learning rate 0.1: what an update brings, and what it costs")
    for (name, points, passes, marker), colour in zip(curves, COLOURS, strict=False):
        updates = np.array([at for at, _ in points])
        percent = [100 * share for _, share in points]
        style = {"color": colour, "label": name, "marker": marker, "markersize": 4}
        axes[0].plot(updates, percent, **style)
        axes[1].plot(updates * passes, percent, **style)
    for part, label in zip(axes, ("updates", "passes over the images"), strict=True):
        part.set(xscale="log", xlabel=f"{label} (log scale)", ylabel="right on held-out images (%)")
        part.set_ylim(0, 100)
    axes[0].legend(frameon=False, loc="upper left")
    return figure


def after(train, held_out, threads, updates):
    """Return the accuracy after so many updates with batches."""
    network = fd.Network([train.images.shape[1], 10, 10], seed=0)
    fd.fit(network, train, iterations=updates, batch_size=BATCH, learning_rate=0.1,
           threads=threads, progress=False)  # fmt: skip
    return network.accuracy(held_out.images, held_out.labels, threads=threads)


def schedules(train, held_out, threads):
    """Draw schedules, and how good a network is after each epoch with them."""
    figure, (rate, accuracy) = panels(
        f"784-128-10, Nesterov's momentum, batches of {BATCH}, {EPOCHS} epochs"
    )
    an_epoch = -(-len(train) // BATCH)
    steps = EPOCHS * an_epoch
    for (name, chosen), colour in zip(SCHEDULES.items(), COLOURS, strict=False):
        network = fd.Network([train.images.shape[1], 128, 10], seed=0)
        history = fd.fit(network, train, validation=held_out, epochs=EPOCHS, batch_size=BATCH,
                         optimizer="nesterov", learning_rate=PEAK, schedule=chosen,
                         threads=threads, progress=False)  # fmt: skip
        scores = history.validation
        found = rates(chosen, PEAK, steps, an_epoch)
        rate.plot(np.arange(steps) / an_epoch, found, color=colour, label=name)
        accuracy.plot([score.iteration for score in scores], [100 * s.accuracy for s in scores],
                      color=colour, marker="o", markersize=4, label=name)  # fmt: skip
    rate.set(xlabel="epoch", ylabel="learning rate", ylim=(0, PEAK * 1.1))
    accuracy.set(xlabel="epochs done", ylabel="right on held-out images (%)")
    accuracy.legend(frameon=False, loc="lower right")
    return figure


def steps(found):
    """Draw the errors that are left after each step, one dot a seed."""
    rows = found["steps"]
    figure = Figure(figsize=(9, 0.6 + 0.42 * len(rows)), layout="constrained")
    figure.suptitle("Wrong answers on held-out images, as one ingredient after the other is added")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        wrong = [100 * (1 - share) for share in row["accuracies"]]
        mean = float(np.mean(wrong))
        axes.plot(wrong, [place] * len(wrong), "o", color=COLOURS[0], markersize=4, alpha=0.6)
        axes.plot(mean, place, "|", color=COLOURS[3], markersize=16, markeredgewidth=2)
        axes.annotate(f"{mean:.2f} %", (max(wrong), place), xytext=(10, 0),
                      textcoords="offset points", va="center", color=QUIET)  # fmt: skip
    axes.set_yticks(range(len(rows)), [("+ " if n else "") + r["name"] for n, r in enumerate(rows)])
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="wrong answers (%, log scale)", xlim=(0.7, 40))
    axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
