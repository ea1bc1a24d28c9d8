"""The files of a comparison: report.md, compare.json and four pictures."""

import json
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdigit.data import Dataset
from fastdigit.network import Network
from fastdigit.reporting import comparison
from fastdigit.storage import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES, TIMES, DIGITS, WEIGHTS = (
    "learning-curves.png",
    "times.png",
    "predictions.png",
    "weights.png",
)
REPORT, DATA = "report.md", "compare.json"
FILES = (REPORT, DATA, CURVES, TIMES, DIGITS, WEIGHTS)
DIGITS_SHOWN = 60


def write(document: Mapping[str, Any], network: Network, dev: Dataset, folder: Path) -> None:
    """Write all files.

    Parameters
    ----------
    document
        What compare.json is to hold.
    network
        Whose predictions and weights are shown: that of the last contender.
    dev
        The held-out images.
    folder
        Where to write; it must exist.
    """
    from fastdigit.reporting import pictures

    content = json.dumps(document, indent=1, allow_nan=False) + "\n"
    write_whole(folder / DATA, content.encode())
    name = document["contenders"][-1]["name"]
    pictures.save(_curves(document), folder / CURVES)
    pictures.save(_times(document), folder / TIMES)
    pictures.save(_digits(name, network, dev), folder / DIGITS)
    pictures.save(
        pictures.weight_images(
            network.weights[0],
            f"{name}: the weights into each hidden unit",
        ),
        folder / WEIGHTS,
    )
    shown = (
        ("Time of an iteration", TIMES),
        ("Learning curves", CURVES),
        ("Held-out digits", DIGITS),
        ("First-layer weights", WEIGHTS),
    )
    write_whole(
        folder / REPORT, comparison.report(document, shown).encode(errors="backslashreplace")
    )


def _curves(document: Mapping[str, Any]) -> "Figure":
    from fastdigit.reporting import pictures

    records = document["contenders"]
    curves = [
        pictures.Curve(
            record["name"],
            range(len(record["loss"])),
            record["loss"],
            record["accuracy"],
            list(accumulate(record["seconds"])),
        )
        for record in records
    ]
    agrees = document["verdict"]["agrees"] and len(records) > 1
    title = "All learn the same; they differ in time alone" if agrees else "How each one learns"
    return pictures.learning_curves(curves, title)


def _times(document: Mapping[str, Any]) -> "Figure":
    from fastdigit.reporting import pictures

    bars = []
    for record in document["contenders"]:
        note = f"{record['milliseconds_median']:.2f} ms"
        if record["ratio"] is not None:
            note += f", {record['ratio']:.1f}x"
        rounds = [part["milliseconds_median"] for part in record["rounds"]]
        bars.append(pictures.Bar(record["name"], record["milliseconds_median"], rounds, note))
    return pictures.time_bars(bars, comparison.headline(document))


def _digits(name: str, network: Network, dev: Dataset) -> "Figure":
    from fastdigit.reporting import pictures

    assert dev.labels is not None
    found = network.predict(dev.images, backend="numpy")
    right = float((found == dev.labels).mean())
    shown = min(DIGITS_SHOWN, len(dev))
    return pictures.predictions_grid(
        dev.images[:shown],
        dev.labels[:shown],
        found[:shown],
        f"{name} reads {right:.1%} of {len(dev):,} held-out digits right; the first {shown}:",
    )
