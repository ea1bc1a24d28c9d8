"""What is drawn for an image, compiled: an affine map, a displacement field and noise.

All is made of IEEE 754's + - * / in a fixed order, and then rounded to whole numbers, so the bits
are the same on every processor.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdigit.data.drawing import GOLDEN, scramble
from fastdigit.jit import njit

ONE = 1 << 16
"""A pixel in coordinates, and a grey level in noise: both are whole multiples of 2^-16."""

TURNING, STRETCHING_X, STRETCHING_Y, SHEARING, SHIFTING_X, SHIFTING_Y = range(6)
LATTICE, GRAIN = 1 << 8, 1 << 32
"""Where the random numbers of an image are used."""

SINE = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(11, -1, -1))
COSINE = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(11, -1, -1))
"""Taylor's series, highest order first: up to 180 degrees they are right to 1e-11."""

mix = njit(inner=True)(scramble)


def root_of(seed: int, epoch: int) -> NDArray[np.uint64]:
    """Return what the keys of all images in an epoch are made of: ``(1,)``."""
    base = scramble(np.array([seed], np.uint64) + GOLDEN)
    return scramble(base + np.array([epoch], np.uint64) * GOLDEN)


@njit(inner=True)
def key_of(root: Any, index: Any) -> Any:
    """Return what the random numbers of an image are made of."""
    return mix(root + mix(index * GOLDEN + np.uint64(1)))


@njit(inner=True)
def chance(key: Any, slot: int) -> Any:
    """Return a random number in [-1, 1)."""
    return np.int32(mix(key + np.uint64(slot) * GOLDEN) >> np.uint64(32)) * 2.0**-31


@njit(inner=True)
def series(x: float, coefficients: Any) -> float:
    """Return a polynomial by Horner's rule, which compiles to no fused operation."""
    result = 0.0
    for coefficient in coefficients:
        result = result * x + coefficient
    return result


@njit(inner=True)
def coordinate(x: float) -> Any:
    """Return the nearest whole multiple of 2^-16."""
    return np.int32(math.floor(x * ONE + 0.5))


@njit(inner=True)
def inverse_map(key: Any, changes: Any, side: int) -> Any:
    """Return where pixel (x, y) of the result comes from: ``(a x + b y + c, d x + e y + f)``.

    Seen from the image's centre, a pixel was scaled, sheared and turned, and the whole shifted.
    """
    angle = changes.rotation * chance(key, TURNING)
    wide = 1.0 + changes.scale * chance(key, STRETCHING_X)
    high = 1.0 + changes.scale * chance(key, STRETCHING_Y)
    slant = changes.shear * chance(key, SHEARING)
    sine = angle * series(angle * angle, SINE)
    cosine = series(angle * angle, COSINE)
    a, b = (cosine + slant * sine) / wide, (sine - slant * cosine) / wide
    d, e = -sine / high, cosine / high
    centre = 0.5 * (side - 1)
    x = centre + changes.shift * chance(key, SHIFTING_X)
    y = centre + changes.shift * chance(key, SHIFTING_Y)
    c, f = centre - a * x - b * y, centre - d * x - e * y
    return (
        (coordinate(a), coordinate(b), coordinate(c)),
        (coordinate(d), coordinate(e), coordinate(f)),
    )


@njit(inner=True)
def smooth(noise: Any, weights: Any, starts: Any, lines: Any, field: Any) -> None:
    """Set the field to ``W.T @ noise @ W``, in coordinates; lines is scratch for ``noise @ W``."""
    points, side = weights.shape
    for k in range(points):
        line = lines[k]
        line[:] = np.float32(0.0)
        for j in range(points):
            number, weight = noise[k, j], weights[j]
            for x in range(side):
                line[x] += number * weight[x]
    for y in range(side):
        start = starts[y]
        w, line, row = weights[start:, y], lines[start:], field[y * side :]
        for x in range(side):
            total = w[0] * line[0, x] + w[1] * line[1, x] + w[2] * line[2, x] + w[3] * line[3, x]
            row[x] = np.int32(total + w[4] * line[4, x] + w[5] * line[5, x] + w[6] * line[6, x])


@njit(inner=True)
def deform(key: Any, reach: Any, weights: Any, starts: Any, across: Any, down: Any) -> None:
    """Draw the displacements, of numbers on the lattice that are multiples of `reach`."""
    points = len(weights)
    noise = np.empty((2, points, points), np.float32)
    lines = np.empty((points, weights.shape[1]), np.float32)
    for k in range(points):
        for j in range(points):
            bits = mix(key + np.uint64(LATTICE + k * points + j) * GOLDEN)
            noise[0, k, j] = reach * np.float32(np.int32(bits >> np.uint64(32)))
            noise[1, k, j] = reach * np.float32(np.int32(bits))
    smooth(noise[0], weights, starts, lines, across)
    smooth(noise[1], weights, starts, lines, down)


@njit(inner=True)
def sprinkle(key: Any, amount: Any, grain: Any) -> None:
    """Draw the grain: sums of four uniform numbers, which are nearly normal."""
    quarter = np.uint64(0xFFFF)
    for i in range(len(grain)):
        bits = mix(key + np.uint64(GRAIN + i) * GOLDEN)
        total = (bits & quarter) + (bits >> np.uint64(48))
        total += (bits >> np.uint64(16) & quarter) + (bits >> np.uint64(32) & quarter)
        grain[i] = np.int32(((np.int64(total) - 131070) * amount) >> 4)
