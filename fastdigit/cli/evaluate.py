"""``fastdigit evaluate``: how good a saved network is, and what it takes for what."""

import argparse
from typing import TYPE_CHECKING

from fastdigit.cli import arguments
from fastdigit.cli.streams import say
from fastdigit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

CONFUSIONS = 5


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a saved network",
        description="Score a saved network: accuracy, each class, and the most frequent mistakes.",
    )
    parser.add_argument("model", metavar="MODEL", help="a file that train --save-model wrote")
    arguments.add_data(parser)
    parser.add_argument(
        "--subset",
        choices=("train", "test"),
        default="test",
        help="part of a folder or archive; a single CSV or IDX file is used whole (default: test)",
    )
    parser.add_argument(
        "--rows", type=arguments.whole(1), metavar="N", help="use only the first N rows"
    )
    arguments.add_compute(parser)
    parser.add_argument(
        "-o",
        "--picture",
        type=arguments.png,
        metavar="PNG",
        help="draw the confusion matrix",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the scores."""
    arguments.apply_threads(options.threads)
    from fastdigit import Network
    from fastdigit.storage import check_writable

    if options.picture is not None:
        check_writable(options.picture)
    network = Network.load(options.model)
    data = arguments.load(options, options.subset)
    if options.rows is not None:
        data = data.head(options.rows)
    if data.labels is None:
        raise DataError(f"{data.source} has no labels to compare with; use fastdigit predict")
    images, labels = network.checked(data.images, data.labels)
    found = network.predict(images, backend=options.backend, threads=options.threads)
    counts = confusion(labels, found, network.sizes[-1])
    right = int(counts.diagonal().sum())
    say(f"{options.model}: {network!r}")
    say(f"{data.source}: {len(data):,} images")
    say(f"accuracy {right / len(data):.2%} ({right:,} of {len(data):,} right)\n")
    say(class_table(counts))
    mistakes = most_frequent(counts)
    if mistakes:
        say("\nmost frequent mistakes")
        for label, taken, times in mistakes[:CONFUSIONS]:
            say(f"  {label} taken for {taken}: {times} times")
    if options.picture is not None:
        from fastdigit.reporting import pictures

        title = f"{right / len(data):.1%} right"
        if mistakes:
            label, taken, times = mistakes[0]
            title += f"; most often wrong: {label} taken for {taken}, {times} times"
        pictures.save(pictures.confusion_matrix(counts, title), options.picture)
        say(f"\nsaved {options.picture}")


def confusion(labels: "npt.NDArray[np.uint8]", found: "npt.NDArray[np.intp]", n: int) -> "Counts":
    """Return how often each label (row) was taken for each class (column), (n, n)."""
    import numpy as np

    flat = np.bincount(labels.astype(np.int64) * n + found, minlength=n * n)
    return flat.reshape(n, n)


def class_table(counts: "Counts") -> str:
    """Return count, right answers, precision and recall of each class, for a terminal."""
    from fastdigit.reporting.tables import text_table

    rows = []
    for label, count in enumerate(counts.sum(axis=1)):
        right, claimed = counts[label, label], counts[:, label].sum()
        precision = f"{right / claimed:.1%}" if claimed else "-"
        recall = f"{right / count:.1%}" if count else "-"
        rows.append([str(label), f"{count}", f"{right}", precision, recall])
    return text_table(("label", "images", "right", "precision", "recall"), rows)


def most_frequent(counts: "Counts") -> list[tuple[int, int, int]]:
    """Return label, what it was taken for, and how often: the most frequent mistakes first."""
    pairs = [
        (label, taken, int(times))
        for label, row in enumerate(counts)
        for taken, times in enumerate(row)
        if label != taken and times
    ]
    return sorted(pairs, key=lambda pair: -pair[2])
