"""What is drawn for an image, compiled: an affine map, a displacement field and noise.

All is made of IEEE 754's + - * / in a fixed order, and then rounded to whole numbers, so the bits
are the same on every processor.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdigit.data.drawing import GOLDEN, scramble
from fastdigit.data.lattice import WINDOW
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
def blur(source: Any, weights: Any, starts: Any, target: Any) -> None:
    """Set each row of the target to the weighted sum of the rows of its window in the source."""
    for y in range(len(starts)):
        lines, w = source[starts[y] :], weights[y]
        w0, w1, w2, w3, w4, w5, w6 = w[0], w[1], w[2], w[3], w[4], w[5], w[6]
        a, b, c, d, e, f, g = (lines[0], lines[1], lines[2], lines[3], lines[4], lines[5], lines[6])
        row = target[y]
        for x in range(len(row)):
            left = w0 * a[x] + w1 * b[x] + w2 * c[x] + w3 * d[x]
            row[x] = left + w4 * e[x] + w5 * f[x] + w6 * g[x]


@njit(inner=True)
def deform(key: Any, reach: Any, lattice: Any, across: Any, down: Any) -> None:
    """Draw both displacements: numbers on the lattice, blurred along one axis and the other.

    They lie side by side, because the loops over a row of one alone are short.
    """
    weights, starts = lattice.weights, lattice.starts
    side = len(starts)
    points = starts[side - 1] + WINDOW
    noise = np.empty((points, 2 * points), np.float32)
    for k in range(points):
        for j in range(points):
            bits = mix(key + np.uint64(LATTICE + k * points + j) * GOLDEN)
            noise[k, j] = reach * np.float32(np.int32(bits >> np.uint64(32)))
            noise[k, points + j] = reach * np.float32(np.int32(bits))
    columns = np.empty((side, 2 * points), np.float32)
    blur(noise, weights, starts, columns)
    turned = np.empty((points, 2 * side), np.float32)
    for j in range(points):
        for x in range(side):
            turned[j, x] = columns[x, j]
            turned[j, side + x] = columns[x, points + j]
    fields = np.empty((side, 2 * side), np.float32)
    blur(turned, weights, starts, fields)
    for y in range(side):
        line, right, low = fields[y], across[y * side :], down[y * side :]
        for x in range(side):
            right[x] = np.int32(line[x])
            low[x] = np.int32(line[side + x])


@njit(inner=True)
def sprinkle(key: Any, amount: Any, pixels: int, grain: Any) -> None:
    """Draw the grain: sums of four random bytes, which are nearly normal; 64 bits make two."""
    pairs, amount = np.uint64(0x00FF00FF00FF00FF), np.int32(amount)
    half = (pixels + 1) // 2
    second = grain[half:]
    for i in range(half):
        bits = mix(key + np.uint64(GRAIN + i) * GOLDEN)
        bits = (bits & pairs) + (bits >> np.uint64(8) & pairs)
        bits += bits >> np.uint64(16)
        grain[i] = np.int32((np.int32(bits & np.uint64(0xFFFF)) - 510) * amount)
        second[i] = np.int32((np.int32(bits >> np.uint64(32) & np.uint64(0xFFFF)) - 510) * amount)
