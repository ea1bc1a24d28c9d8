"""Pictures of results: figures in memory, drawn without pyplot, so that no window is needed.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fastdigit.storage import write_whole

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
RIGHT, WRONG, QUIET = "#0072B2", "#D55E00", "#666666"
DPI = 110
TILE_WIDTH, TILE_HEIGHT = 1.08, 1.34
"""Of an image of side 1 and what is around it, with a line of text above."""
MOST_UNITS = 60
"""Hidden units drawn; more would be too small to be seen."""
MOST_COUNTS = 30
"""Classes whose counts are written into a confusion matrix; beyond, colours alone are shown."""


class Curve(NamedTuple):
    """How one training went."""

    name: str
    iterations: Sequence[int]
    loss: Sequence[float]
    """Mean cross-entropy, in nats."""
    accuracy: Sequence[float]
    """0..1"""
    seconds: Sequence[float] = ()
    """Since the start of training; empty if it is not to be shown."""


class Bar(NamedTuple):
    """How long one contender took."""

    name: str
    median: float
    rounds: Sequence[float]
    """The medians of its rounds."""
    note: str = ""


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    write_whole(path, content.getvalue())


def learning_curves(curves: Sequence[Curve], title: str) -> Figure:
    """Draw loss and accuracy over the iterations and, if seconds are given, over time."""
    timed = all(len(curve.seconds) for curve in curves)
    figure = Figure(figsize=(12 if timed else 9, 4), layout="constrained")
    figure.suptitle(title)
    panels: Any = figure.subplots(1, 3 if timed else 2)
    for number, curve in enumerate(curves):
        style = _style(number, len(curves), curve.name)
        percent = 100 * np.asarray(curve.accuracy)
        panels[0].plot(curve.iterations, curve.loss, **style)
        panels[1].plot(curve.iterations, percent, **style)
        if timed:
            panels[2].plot(curve.seconds, percent, **{**style, "linewidth": 2})
    panels[0].set(xlabel="iteration", ylabel="loss: mean cross-entropy (nats)")
    panels[0].set_ylim(bottom=0)
    panels[1].set(xlabel="iteration", ylabel="right answers (%)")
    if timed:
        panels[2].set(xlabel="seconds of training (log scale)", ylabel="right answers (%)")
        panels[2].set_xscale("log")
    for panel in panels:
        panel.grid(alpha=0.3)
        _open(panel)
    panels[0].legend(frameon=False, loc="upper right")
    return figure


def time_bars(bars: Sequence[Bar], title: str) -> Figure:
    """Draw the median of each contender as a bar, and the medians of its rounds as dots on it."""
    figure = Figure(figsize=(9, 1.4 + 0.5 * len(bars)), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots()
    rows = np.arange(len(bars))[::-1]
    axes.barh(rows, [bar.median for bar in bars], color="#9ecae1", height=0.62)
    # Spread over the height of the bar in a fixed pattern: equal rounds would hide each other.
    for row, bar in zip(rows, bars, strict=True):
        offsets = 0.4 * ((np.arange(len(bar.rounds)) * 0.618) % 1 - 0.5)
        axes.plot(bar.rounds, row + offsets, "o", color=RIGHT, markersize=3.5, alpha=0.6)
    furthest = max((max([bar.median, *bar.rounds]) for bar in bars), default=1)
    for row, bar in zip(rows, bars, strict=True):
        end = max([bar.median, *bar.rounds])
        axes.text(end + 0.012 * furthest, row, bar.note, va="center", fontsize=10)
    axes.set_xlim(0, 1.25 * furthest)
    axes.set_yticks(rows, [bar.name for bar in bars])
    axes.set_xlabel("milliseconds per iteration: bar is the median, each dot one round")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    _open(axes)
    return figure


def predictions_grid(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    predicted: npt.NDArray[np.intp],
    title: str,
    columns: int = 10,
) -> Figure:
    """Draw images with what was predicted; mistakes get a frame and the true label."""
    figure, axes = _mosaic(len(images), columns, title)
    for place, (image, label, found) in enumerate(zip(images, labels, predicted, strict=True)):
        right = label == found
        left, top = _tile(axes, image, place, columns, cmap="gray_r", vmin=0, vmax=255)
        frame = Rectangle(
            (left, top),
            1,
            1,
            fill=False,
            edgecolor="#dddddd" if right else WRONG,
            linewidth=0.8 if right else 2.5,
        )
        axes.add_patch(frame)
        axes.text(
            left + 0.5,
            top - 0.06,
            f"{found}" if right else f"{found}, is {label}",
            ha="center",
            va="bottom",
            fontsize=10,
            color=QUIET if right else WRONG,
            fontweight="normal" if right else "bold",
        )
    return figure


def weight_images(weights: npt.NDArray[Any], title: str) -> Figure:
    """Draw the weights (hidden, features) into each hidden unit as an image.

    Purple is positive, orange negative, white zero; the scale leaves out the most extreme.
    """
    shown = weights[:MOST_UNITS]
    columns = 5 if len(shown) <= 20 else 10
    # A few extreme weights would pale all others.
    limit = float(np.percentile(np.abs(weights), 99.5)) or 1.0
    figure, axes = _mosaic(len(shown), columns, title)
    for place, unit in enumerate(shown):
        left, top = _tile(axes, unit, place, columns, cmap="PuOr", vmin=-limit, vmax=limit)
        axes.text(left + 0.5, top - 0.04, f"unit {place}", ha="center", va="bottom", color=QUIET)
    bar = figure.colorbar(axes.images[0], ax=axes, shrink=0.8, extend="both")
    bar.set_label("weight")
    return figure


def confusion_matrix(counts: npt.NDArray[np.int64], title: str) -> Figure:
    """Draw how often each label (row) was taken for each other (column)."""
    classes = len(counts)
    side = min(max(5.6, 0.62 * classes), 12)
    figure = Figure(figsize=(side + 0.6, side + 0.4), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mistakes = np.where(np.eye(classes, dtype=bool), 0, shares)
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(float(mistakes.max()), 1e-9))
    dark = 0.6 * mistakes.max()
    for row in range(classes) if classes <= MOST_COUNTS else ():
        for column in range(classes):
            axes.text(
                column,
                row,
                f"{counts[row, column]}" if counts[row, column] else "·",
                ha="center",
                va="center",
                fontsize=9,
                fontweight="bold" if row == column else "normal",
                color=_ink(row == column, mistakes[row, column] > dark),
            )
    ticks = range(0, classes, 1 if classes <= MOST_COUNTS else 5)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set(xlabel="predicted", ylabel="label")
    axes.tick_params(length=0)
    return figure


def _ink(diagonal: bool, on_dark: bool) -> str:
    if diagonal:
        return RIGHT
    return "white" if on_dark else "#333333"


def _style(number: int, count: int, name: str) -> dict[str, Any]:
    """Return how to draw a line; the first are wide, so that equal lines stay visible."""
    return {
        "label": name,
        "color": COLOURS[number % len(COLOURS)],
        "linewidth": 1.5 + 0.9 * (count - 1 - number),
        "linestyle": "-" if number < count - 1 or count == 1 else "--",
    }


def _mosaic(count: int, columns: int, title: str) -> tuple[Figure, Axes]:
    """Return one plot that has room for so many tiles; one plot for each would take seconds."""
    width = min(columns, count)
    rows = math.ceil(count / columns)
    scale = max(0.9, 6.5 / (1.08 * width) if count > columns else 0.9)
    figure = Figure(
        figsize=(max(6.5, 1.08 * width * scale), 0.5 + TILE_HEIGHT * rows * scale),
        layout="constrained",
    )
    figure.suptitle(title)
    axes = figure.subplots()
    axes.axis("off")
    axes.set(xlim=(-0.04, TILE_WIDTH * width), ylim=(TILE_HEIGHT * rows - 0.2, -0.3), aspect=1)
    return figure, axes


def _tile(
    axes: Axes, pixels: npt.NDArray[Any], place: int, columns: int, **style: Any
) -> tuple[float, float]:
    """Draw one image of a mosaic; return its left and top."""
    left, top = TILE_WIDTH * (place % columns), TILE_HEIGHT * (place // columns)
    # Drawing an image sets limits and aspect of the plot, unless they are given again.
    limits = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
    axes.imshow(_square(pixels), extent=(left, left + 1, top + 1, top), aspect="equal", **style)
    axes.set(**limits)
    return left, top


def _square(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    side = math.isqrt(len(pixels))
    return pixels.reshape(side, side) if side * side == len(pixels) else pixels.reshape(1, -1)


def _open(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
