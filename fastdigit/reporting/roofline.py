"""What a machine can do, and how near our iterations come: tables for terminals, and the chart."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastdigit.reporting.tables import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastdigit.measure.limits import Iteration
    from fastdigit.measure.roofline import Rates, Roofline

LANES = {"float32": 16, "float64": 8}
"""Numbers in 64 bytes."""
SHARED = 1.4
"""Times one thread's multiply-adds; with less, two threads seem to run on one core."""
READING = """\
limit, sparse: that of kernels which take pixels that are not 0 one by one: one cycle for each row
of 64 bytes loaded on the way forward, and one for each loaded and stored on the way back. A pixel
takes one row for 16 hidden units in float32, for 8 in float64. Ours take pixels in blocks, and can
be faster than that where few are 0.
limit, dense: all multiply-adds with no lane left empty, or reading all images, whichever is longer.
Both count the layers above the first, and exp, at the rate of multiply-adds. ms is the fastest
iteration, GFLOP/s without operations on padding."""
HEIGHT = 300
"""Points of the vertical axis, more or less."""
CLEAR = 8
"""Points between a roof and the middle of a label that is not crossed by it."""
NEAR = 1.8
"""Ratio of two bandwidths below which their lines share a label."""
LINES = {"L1": "#0072B2", "L2": "#56B4E9", "L3": "#009E73", "memory": "#666666"}
GROUND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
COLOURS = {"sparse": "#D55E00", "dense": "#CC79A7"}
MARKERS = {"float32": "o", "float64": "s"}


def machine_table(roofline: "Roofline") -> str:
    """Return what was measured, a column for each number of threads."""
    rates = roofline.rates
    rows = [["clock of a thread, GHz", *(f"{r.clock / 1e9:.2f}" for r in rates)]]
    for dtype, lanes in LANES.items():
        each = [r.multiply_adds[dtype] for r in rates]
        cycles = [r.clock * r.threads for r in rates]
        rows.append([f"multiply-adds {dtype}, GFLOP/s", *(f"{2e-9 * rate:.0f}" for rate in each)])
        a_cycle = (rate / lanes / c for rate, c in zip(each, cycles, strict=True))
        rows.append(["  vectors of 64 bytes a cycle and thread", *(f"{v:.2f}" for v in a_cycle)])
    rows.append(["loads of 64 bytes, each ns", *(f"{r.loads / 1e9:.2f}" for r in rates)])
    rows.append(["load, multiply-add, store, each ns", *(f"{r.updates / 1e9:.2f}" for r in rates)])
    for level in rates[0].bandwidth:
        size = roofline.caches.get(level)
        name = f"{level} ({_size(size)})" if size else level
        rows.append([f"reading {name}, GB/s", *(f"{r.bandwidth[level] / 1e9:.1f}" for r in rates)])
    headings = ("what this machine can do", *(f"{_threads(r.threads)}" for r in rates))
    return "\n".join([text_table(headings, rows), *scaling(rates)])


def scaling(rates: "Sequence[Rates]") -> list[str]:
    """Return a sentence on what more threads bring, if there are any."""
    if len(rates) < 2:
        return []
    one, pair = (r.multiply_adds["float32"] for r in rates[:2])
    sentence = f"2 threads do {pair / one:.2f} times the multiply-adds of one"
    return [sentence + (", so they seem to share a core" if pair < SHARED * one else "")]


def iteration_table(iterations: "Sequence[Iteration]") -> str:
    """Return how long iterations take and could take, and how that is counted."""
    headings = ("iteration", "dtype", "threads", "ms", "limit ms", "% of limit", "GFLOP/s")
    rows = [
        [
            i.storage,
            i.work.dtype,
            str(i.work.threads),
            f"{1e3 * i.seconds:.2f}",
            f"{1e3 * i.limit:.2f}",
            f"{i.percent:.0f}",
            f"{i.flops / 1e9:.1f}",
        ]
        for i in iterations
    ]
    return f"{text_table(headings, rows)}\n\n{READING}"


def chart(roofline: "Roofline", iterations: "Sequence[Iteration]") -> "Figure":
    """Draw roofs and iterations, for one thread and for as many as there are.

    A roof is what the machine does at most with so many operations for each byte: multiply-adds, or
    what arrives from a cache.
    """
    from matplotlib.figure import Figure

    counts = sorted({roofline.rates[0].threads, roofline.rates[-1].threads})
    figure = Figure(figsize=(7.4 * len(counts), 5.8), layout="constrained")
    figure.suptitle(
        "What our iterations reach (points), and what they could on this machine (bars); "
        "flat roofs are multiply-adds"
    )
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for panel, threads in zip(panels, counts, strict=True):
        _roofs(panel, roofline.of(threads))
        for iteration in iterations:
            if iteration.work.threads == threads:
                _point(panel, iteration, roofline.of(threads))
        panel.set_title(_threads(threads))
        panel.set_xlabel(
            "FLOP for each byte\n(sparse: bytes between L1 and registers; dense: bytes of images)"
        )
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("GFLOP/s")
    panels[0].legend(frameon=False, loc="lower right")
    return figure


def _roofs(axes: "Axes", rates: "Rates") -> None:
    left, right = 0.015, 900.0
    peaks = {dtype: 2e-9 * rate for dtype, rate in rates.multiply_adds.items()}
    top = max(peaks.values())
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(0.4, 2.5 * top))
    for dtype, peak in peaks.items():
        begin = peak / (rates.bandwidth["L1"] / 1e9)
        axes.plot([begin, right], [peak, peak], color="black", linewidth=1.6)
        axes.annotate(
            f"{dtype}, {peak:.0f} GFLOP/s",
            (right, peak),
            (-2, 4),
            textcoords="offset points",
            ha="right",
            bbox=GROUND,
        )
    for level, rate in rates.bandwidth.items():
        ends = np.array([left, top / (rate / 1e9)])
        axes.plot(ends, rate / 1e9 * ends, color=LINES[level], linewidth=1.6)
    for levels in _neighbours(rates.bandwidth):
        highest = rates.bandwidth[levels[0]] / 1e9
        x = max(1.15 * left, 0.5 / highest)
        axes.annotate(
            "; ".join(f"{level}, {rates.bandwidth[level] / 1e9:.0f} GB/s" for level in levels),
            (x, highest * x),
            (0, 5),
            textcoords="offset points",
            fontsize="small",
            rotation=45,
            rotation_mode="anchor",
            transform_rotates_text=True,
            color=LINES[levels[0]],
        )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.25)


def _neighbours(bandwidth: dict[str, float]) -> list[list[str]]:
    """Return the levels, fastest first; those whose lines leave no room for a label together."""
    groups: list[list[str]] = []
    for level in sorted(bandwidth, key=lambda level: -bandwidth[level]):
        if groups and bandwidth[groups[-1][0]] < NEAR * bandwidth[level]:
            groups[-1].append(level)
        else:
            groups.append([level])
    return groups


def _point(axes: "Axes", iteration: "Iteration", rates: "Rates") -> None:
    colour, dtype = COLOURS[iteration.storage], iteration.work.dtype
    x, y, limit = iteration.intensity, iteration.flops / 1e9, iteration.limit_flops / 1e9
    axes.plot([x, x], [y, limit], color=colour, linewidth=1, linestyle=":")
    axes.plot([x], [limit], "_", color=colour, markersize=16, markeredgewidth=2)
    axes.plot(
        [x],
        [y],
        MARKERS[dtype],
        color=colour,
        markersize=8,
        label=f"{iteration.storage}, {dtype}",
    )
    axes.annotate(
        f"{iteration.percent:.0f} %",
        (x, y),
        (-9, _room(axes, y, rates)),
        textcoords="offset points",
        ha="right",
        va="center",
        color=colour,
        bbox=GROUND,
    )


def _room(axes: "Axes", y: float, rates: "Rates") -> int:
    """Return points up or down by which a label beside `y` keeps clear of all flat roofs."""
    low, high = axes.get_ylim()
    decade = HEIGHT / math.log10(high / low)
    gaps = [decade * math.log10(2e-9 * rate / y) for rate in rates.multiply_adds.values()]
    return max((0, -8, 8), key=lambda shift: min(CLEAR, *(abs(gap - shift) for gap in gaps)))


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"


def _size(size: int) -> str:
    return f"{size / 2**20:.3g} MB" if size >= 2**20 else f"{size / 2**10:.3g} KB"
