"""Fused Numba kernels on dense images: every pixel is multiplied, whatever its value.

They work on a *tile* of images that stays in the cache: its pixels become floats once, pass
through all layers, and come back as gradients before the next tile is read. Weights and gradients
are blocks of 16 outputs (see `layout`), so a product is one fused multiply-add for 16 outputs,
with the input broadcast to all lanes; eight of them run side by side, because each takes four
cycles and the processor starts two in every cycle.
"""

from typing import Any, NamedTuple

from fastdigit.jit import njit
from fastdigit.kernels.elementary import exp, log
from fastdigit.kernels.simd import (
    LANES,
    add,
    advance,
    broadcast,
    convert,
    divide,
    fma,
    gather,
    greater,
    load,
    maximum,
    multiply,
    scatter,
    select,
    splat,
    store,
    subtract,
)

Pointer = Any
"""A Numba pointer to floats."""

UNROLL = 8
"""Rows or features that are worked on side by side."""


class Rows(NamedTuple):
    """A row-major matrix in memory: its first element and the elements from row to row."""

    start: Pointer
    pitch: int


@njit(inner=True)
def read(pixels: Pointer, count: int, floats: Pointer) -> None:
    """Copy so many bytes or floats, as they are, to floats."""
    whole = count // LANES * LANES
    for j in range(0, whole, LANES):
        convert(advance(pixels, j), advance(floats, j))
    for j in range(whole, count):
        floats[j] = pixels[j]


@njit(inner=True)
def linear(
    inputs: Rows,
    features: int,
    weights: Pointer,
    biases: Pointer,
    scale: float,
    relu: bool,
    outputs: Rows,
    rows: int,
) -> None:
    """Z = scale * X W^T + b for a tile, or max(0, Z): fused product, bias and activation.

    Rows are worked on eight at a time, so up to seven rows beyond `rows` are written as well.
    """
    zero = splat(weights, 0.0)
    factor = splat(weights, scale)
    for block in range(outputs.pitch // LANES):
        bias = load(biases, block * LANES)
        w = advance(weights, block * features * LANES)
        for row in range(0, rows, UNROLL):
            x0 = advance(inputs.start, row * inputs.pitch)
            x1 = advance(x0, inputs.pitch)
            x2 = advance(x1, inputs.pitch)
            x3 = advance(x2, inputs.pitch)
            x4 = advance(x3, inputs.pitch)
            x5 = advance(x4, inputs.pitch)
            x6 = advance(x5, inputs.pitch)
            x7 = advance(x6, inputs.pitch)
            z0 = z1 = z2 = z3 = z4 = z5 = z6 = z7 = zero
            for j in range(features):
                weight = load(w, j * LANES)
                z0 = fma(broadcast(x0, j), weight, z0)
                z1 = fma(broadcast(x1, j), weight, z1)
                z2 = fma(broadcast(x2, j), weight, z2)
                z3 = fma(broadcast(x3, j), weight, z3)
                z4 = fma(broadcast(x4, j), weight, z4)
                z5 = fma(broadcast(x5, j), weight, z5)
                z6 = fma(broadcast(x6, j), weight, z6)
                z7 = fma(broadcast(x7, j), weight, z7)
            out = advance(outputs.start, row * outputs.pitch + block * LANES)
            for z in (z0, z1, z2, z3, z4, z5, z6, z7):
                value = fma(factor, z, bias)
                store(out, 0, maximum(zero, value) if relu else value)
                out = advance(out, outputs.pitch)


@njit(inner=True)
def add_gradients(
    inputs: Rows, features: int, deltas: Rows, rows: int, weights: Pointer, biases: Pointer
) -> None:
    """Add X^T dZ of a tile to the gradient of the weights, and the sums of dZ to the biases'."""
    for block in range(deltas.pitch // LANES):
        first = advance(deltas.start, block * LANES)
        db = load(biases, block * LANES)
        for row in range(rows):
            db = add(db, load(first, row * deltas.pitch))
        store(biases, block * LANES, db)
        g = advance(weights, block * features * LANES)
        whole = features // UNROLL * UNROLL
        for j in range(0, whole, UNROLL):
            g0 = load(g, 0)
            g1 = load(g, 1 * LANES)
            g2 = load(g, 2 * LANES)
            g3 = load(g, 3 * LANES)
            g4 = load(g, 4 * LANES)
            g5 = load(g, 5 * LANES)
            g6 = load(g, 6 * LANES)
            g7 = load(g, 7 * LANES)
            x = advance(inputs.start, j)
            d = first
            for _ in range(rows):
                delta = load(d, 0)
                g0 = fma(broadcast(x, 0), delta, g0)
                g1 = fma(broadcast(x, 1), delta, g1)
                g2 = fma(broadcast(x, 2), delta, g2)
                g3 = fma(broadcast(x, 3), delta, g3)
                g4 = fma(broadcast(x, 4), delta, g4)
                g5 = fma(broadcast(x, 5), delta, g5)
                g6 = fma(broadcast(x, 6), delta, g6)
                g7 = fma(broadcast(x, 7), delta, g7)
                x = advance(x, inputs.pitch)
                d = advance(d, deltas.pitch)
            for value in (g0, g1, g2, g3, g4, g5, g6, g7):
                store(g, 0, value)
                g = advance(g, LANES)
        for j in range(whole, features):
            g0 = load(g, 0)
            for row in range(rows):
                x0 = broadcast(inputs.start, row * inputs.pitch + j)
                g0 = fma(x0, load(first, row * deltas.pitch), g0)
            store(g, 0, g0)
            g = advance(g, LANES)


@njit(inner=True)
def keep_active(activations: Rows, deltas: Rows, rows: int) -> None:
    """Set the deltas to 0 where ReLU let nothing through."""
    zero = splat(deltas.start, 0.0)
    for i in range(0, rows * deltas.pitch, LANES):
        active = greater(load(activations.start, i), zero)
        store(deltas.start, i, select(active, load(deltas.start, i), zero))


@njit(inner=True)
def softmax(logits: Rows, outputs: int, rows: int, winners: Pointer, normalisers: Pointer) -> None:
    """Turn the logits of a tile into probabilities in place, 16 images side by side in the lanes.

    Also noted for each image are the class of the largest logit (the first of equal ones) and the
    logarithm of the sum of e^z: the loss of label y is that normaliser minus the logit of y.
    The maximum is subtracted first: e^z overflows, e^(z - max) cannot.
    """
    for first in range(0, rows, LANES):
        tile = advance(logits.start, first * logits.pitch)
        largest = gather(tile, logits.pitch)
        winner = splat(tile, 0.0)
        for o in range(1, outputs):
            z = gather(advance(tile, o), logits.pitch)
            winner = select(greater(z, largest), splat(tile, o), winner)
            largest = maximum(largest, z)
        total = splat(tile, 0.0)
        for o in range(outputs):
            e = exp(subtract(gather(advance(tile, o), logits.pitch), largest))
            total = add(total, e)
            scatter(advance(tile, o), logits.pitch, e)
        store(winners, first, winner)
        store(normalisers, first, add(largest, log(total)))
        share = divide(splat(tile, 1.0), total)
        for o in range(outputs):
            e = gather(advance(tile, o), logits.pitch)
            scatter(advance(tile, o), logits.pitch, multiply(e, share))
