"""Digits drawn on the spot: handwriting-like pictures in MNIST's format, without any file.

An image depends on the seed and on its own index alone, whatever the number of images and of
threads. Only + - * / and sqrt are used, all rounded correctly by IEEE 754, so that the bits are
the same on every machine: no sine, no exponential, no logarithm, no sums in an order of NumPy's.
The strokes are laid out by NumPy, a batch at a time, and only painting them is compiled: with
everything compiled the first call took 8 s instead of 4.5 s, for 60,000 digits in 0.4 s instead
of 1.1 s (two shared cores).
"""

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fastdigit.data.dataset import Dataset
from fastdigit.data.glyphs import CORNER, MOST_POINTS, START, load_glyphs
from fastdigit.jit import njit
from fastdigit.threads import parallel_region, threads_lost

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]

SIDE = 28
BOX = 20  # MNIST fits a glyph into a box of 20 x 20 pixels
CENTRE = 14.0  # where MNIST's centres of mass lie, in pixel indices
STEPS = 7  # line segments between two control points
BATCH = 4096  # images whose strokes are laid out together, in some 30 MB

# The spread of hands. Lengths are in units of half a glyph, those of the pen in pixels.
BEYOND = 0.1  # how far a mixture may go past either of its drawings
JITTER = 0.12
CARE = 0.5  # jitter varies by this share between careful and careless hands
MEMORY = 0.75  # a point inherits this share of its predecessor's displacement
BEND = 0.115
SLANT_MEAN = 0.12
SLANT = 0.28
TURN = 0.09  # tangent of half the angle
STRETCH = 0.2
PRESSURE = 0.1
RADIUS = 1.22
RADIUS_SPREAD = 0.37
RADIUS_SKEW = 0.075
THINNEST = 0.55
SOFTNESS = 1.1  # width of a stroke's edge

# Where an image's random numbers are used: first the uniform ones, then the nearly normal ones.
FAMILY, ONE, OTHER, MIXING, CARING, SHARPENING = range(6)
SLANTING, TURNING, STRETCHING, THICKENING, BENDING, POINTS = 0, 1, 2, 3, 4, 10

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def scramble(numbers: Keys) -> Keys:
    """Return the numbers' images under the finalizer of SplitMix64 (Steele, Lea, Flood, 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def hash_slots(keys: Keys, first: int, last: int) -> Keys:
    """Return 64 random bits for each key and each slot from first to last - 1: (keys, slots)."""
    return scramble(keys[:, None] + np.arange(first, last, dtype=np.uint64) * GOLDEN)


def uniform(keys: Keys, first: int, last: int) -> Floats:
    """Return numbers in [0, 1), of 32 bits so that adding a digit to one is exact."""
    return (hash_slots(keys, first, last) >> np.uint64(32)).astype(np.float64) * 2.0**-32


def bell(keys: Keys, first: int, last: int) -> Floats:
    """Return nearly normal numbers of mean 0 and variance 1: the sum of four uniform ones each."""
    bits = hash_slots(keys, first, last)
    quarter = np.uint64(0xFFFF)
    total = (bits & quarter) + (bits >> np.uint64(48))
    total += (bits >> np.uint64(16) & quarter) + (bits >> np.uint64(32) & quarter)
    return ((total.astype(np.float64) + 2.0) * 2.0**-16 - 2.0) * math.sqrt(3.0)


def choose_labels(root: Keys, index: Keys) -> NDArray[np.int64]:
    """Return balanced labels: ten in a row are the ten digits, in one of forty orders."""
    block = scramble(root ^ (index // np.uint64(10)))
    turn = (block >> np.uint64(31)).astype(np.int64) % 40
    odd = np.array([1, 3, 7, 9])[turn // 10]
    return (odd * (index % np.uint64(10)).astype(np.int64) + turn) % 10


def deform(points: Floats, care: Floats, normal: Floats) -> Floats:
    """Return the control points (n, 2, 16) as this hand writes them, not yet fitted to the box."""
    drift = np.zeros((len(points), 2))
    moved = np.empty_like(points)
    for k in range(MOST_POINTS):
        drift = MEMORY * drift + care[:, None] * normal[:, POINTS + 3 * k : POINTS + 3 * k + 2]
        moved[:, :, k] = points[:, :, k] + drift
    x, y = moved[:, 0], moved[:, 1]
    a = normal[:, BENDING : BENDING + 6, None]
    across = x * x * a[:, 0] + x * y * a[:, 1] + y * y * a[:, 2]
    down = x * x * a[:, 3] + x * y * a[:, 4] + y * y * a[:, 5]
    y = y + BEND * down
    x = (x + BEND * across) * (1.0 + STRETCH * normal[:, STRETCHING, None])
    x -= (SLANT_MEAN + SLANT * normal[:, SLANTING, None]) * y
    half = TURN * normal[:, TURNING, None]
    cosine, sine = (1.0 - half * half) / (1.0 + half * half), 2.0 * half / (1.0 + half * half)
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=1)


def trace(points: Floats, pen: Floats, sharpness: Floats) -> Floats:
    """Return Catmull-Rom curves through control points: (STEPS + 1, n, 2, 15).

    Where a stroke begins or ends the curve leaves along the chord, and the more so at a corner
    the sharper it is. What lies between two strokes is returned too, and is not to be painted.
    """
    begin, end = points[:, :, :-1], points[:, :, 1:]
    chord = end - begin
    leave, arrive = chord.copy(), chord.copy()
    bend = 0.5 * (chord[:, :, :-1] - chord[:, :, 1:])
    bend *= np.where(pen == CORNER, 1.0 - sharpness, 1.0)[:, None, 1:-1]
    leave[:, :, 1:] += np.where(pen[:, None, 1:-1] == START, 0.0, bend)
    arrive[:, :, :-1] -= np.where(pen[:, None, 2:] == START, 0.0, bend)
    curves = np.empty((STEPS + 1, *chord.shape))
    for step in range(STEPS + 1):
        t = step / STEPS
        s = 1.0 - t
        curve = s * s * (1.0 + 2.0 * t) * begin
        curve += t * t * (3.0 - 2.0 * t) * end
        curve += t * s * s * leave
        curve -= t * t * s * arrive
        curves[step] = curve
    return curves


def fit_box(curves: Floats, drawn: NDArray[np.bool_], reach: Floats) -> None:
    """Scale and shift the glyphs, in place, so that their ink fills the box one way."""
    low = np.where(drawn[:, None], curves.min(0), np.inf).min(2)
    high = np.where(drawn[:, None], curves.max(0), -np.inf).max(2)
    scale = (BOX - 2.0 * reach) / (high - low).max(1)
    curves *= scale[:, None, None]
    curves += (0.5 * (BOX - scale[:, None] * (low + high)))[:, :, None]


@njit()
def paint(ax: float, ay: float, bx: float, by: float, radius: float, ink: Floats) -> None:
    """Raise ink (20, 20) to how deep in a segment each pixel's centre lies, in pixels."""
    dx, dy = bx - ax, by - ay
    inverse = 1.0 / max(dx * dx + dy * dy, 1e-12)
    reach = radius + 0.5 * SOFTNESS
    low_x = max(0, int(min(ax, bx) - reach))
    high_x = min(BOX, int(max(ax, bx) + reach) + 1)
    for row in range(max(0, int(min(ay, by) - reach)), min(BOX, int(max(ay, by) + reach) + 1)):
        py = row + 0.5 - ay
        for column in range(low_x, high_x):
            px = column + 0.5 - ax
            t = min(max((px * dx + py * dy) * inverse, 0.0), 1.0)
            ex, ey = px - t * dx, py - t * dy
            ink[row, column] = max(ink[row, column], radius - math.sqrt(ex * ex + ey * ey))


@njit()
def develop(ink: Floats, index: int, images: NDArray[np.uint8]) -> None:
    """Turn depth into grey levels and put the box where its centre of mass is the image's."""
    mass = across = down = 0.0
    for row in range(BOX):
        for column in range(BOX):
            grey = min(max(ink[row, column] / SOFTNESS + 0.5, 0.0), 1.0)
            ink[row, column] = grey
            mass += grey
            across += grey * column
            down += grey * row
    room = SIDE - BOX
    left = min(max(int(CENTRE - across / mass + 0.5), 0), room)
    top = min(max(int(CENTRE - down / mass + 0.5), 0), room)
    for row in range(BOX):
        for column in range(BOX):
            images[index, (row + top) * SIDE + column + left] = int(ink[row, column] * 255.0 + 0.5)


@njit()
def paint_image(
    index: int, curves: Floats, drawn: NDArray[np.bool_], radii: Floats, images: NDArray[np.uint8]
) -> None:
    """Paint one glyph's curves where they are drawn, with radii (16,)."""
    ink = np.empty((BOX, BOX))
    for row in range(BOX):
        for column in range(BOX):
            ink[row, column] = -BOX
    for k in range(MOST_POINTS - 1):
        if drawn[index, k]:
            radius = radii[index, k]
            growth = (radii[index, k + 1] - radius) / STEPS
            for step in range(STEPS):
                ax, ay = curves[step, index, 0, k], curves[step, index, 1, k]
                bx, by = curves[step + 1, index, 0, k], curves[step + 1, index, 1, k]
                paint(ax, ay, bx, by, radius, ink)
                radius += growth
    develop(ink, index, images)


@njit(parallel=True)
def paint_images(
    curves: Floats, drawn: NDArray[np.bool_], radii: Floats, images: NDArray[np.uint8]
) -> None:
    """Paint the images, each the work of one thread."""
    for i in prange(len(images)):
        paint_image(i, curves, drawn, radii, images)


def paint_all(
    curves: Floats, drawn: NDArray[np.bool_], radii: Floats, images: NDArray[np.uint8]
) -> None:
    """Paint the images, on all threads if there are any."""
    if threads_lost():
        for i in range(len(images)):
            paint_image(i, curves, drawn, radii, images)
        return
    with parallel_region():
        paint_images(curves, drawn, radii, images)


def draw_batch(seed: int, first: int, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Draw the images with the indices from `first` on into zeroed `images`."""
    glyphs = load_glyphs()
    index = np.arange(first, first + len(images), dtype=np.uint64)
    root = scramble(np.array([seed], np.uint64) + GOLDEN)
    labels[:] = choose_labels(root, index)
    keys = scramble(root + scramble(index * GOLDEN + np.uint64(1)))
    chance = uniform(keys, 0, 6)
    normal = bell(keys, 6, 6 + POINTS + 3 * MOST_POINTS)
    family = np.searchsorted(glyphs.reached, labels + chance[:, FAMILY], side="right")
    one, other = (
        glyphs.drawings[glyphs.first[family] + (glyphs.variants[family] * chance[:, k]).astype(int)]
        for k in (ONE, OTHER)
    )
    mix = (chance[:, MIXING] * (1.0 + 2.0 * BEYOND) - BEYOND)[:, None, None]
    care = JITTER * (1.0 - CARE + 2.0 * CARE * chance[:, CARING])
    points = deform(one[:, :2] + mix * (other - one)[:, :2], care, normal)
    pen = one[:, 2]
    drawn = pen[:, 1:] != START
    curves = trace(points, pen, chance[:, SHARPENING, None])
    thick = normal[:, THICKENING]
    radius = (RADIUS + RADIUS_SPREAD * thick + RADIUS_SKEW * thick * thick) * glyphs.width[family]
    pressure = 1.0 + PRESSURE * normal[:, POINTS + 2 :: 3]
    radius = np.maximum(radius, THINNEST)
    # Where the pen is pressed harder at the rim of the box the ink is cut off: MNIST fills it too.
    fit_box(curves, drawn, radius + 0.5 * SOFTNESS)
    paint_all(curves, drawn, radius[:, None] * pressure, images)


def check_whole(name: str, number: Any, limit: int) -> int:
    """Return `number` as an int, or say what is wrong with it."""
    if isinstance(number, (bool, np.bool_)) or not isinstance(number, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, not {number!r}")
    if not 0 <= number < limit:
        raise ValueError(f"{name} must be at least 0 and below {limit}, not {number}")
    return int(number)


def draw_digits(n: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw n digits: the arrays behind `make_digits`.

    Parameters
    ----------
    n : number of images, 0 or more.
    seed : 0 <= seed < 2**63. Image i depends on (seed, i) alone, so fewer images are a prefix.

    Returns
    -------
    images : uint8 (n, 784), C-contiguous, 0 is paper and 255 ink, as in MNIST.
    labels : uint8 (n,); each run of ten images holds every digit once.

    Raises
    ------
    TypeError, ValueError
        If n or seed is no whole number or out of range.
    """
    n = check_whole("n", n, 2**63)
    seed = check_whole("seed", seed, 2**63)
    images = np.zeros((n, SIDE * SIDE), np.uint8)
    labels = np.zeros(n, np.uint8)
    for first in range(0, n, BATCH):
        batch = slice(first, first + BATCH)
        draw_batch(seed, first, images[batch], labels[batch])
    return images, labels


def make_digits(n: int, seed: int = 0) -> Dataset:
    """Draw n handwriting-like digits of 28 x 28 pixels.

    Parameters
    ----------
    n : number of images, 0 or more.
    seed : 0 <= seed < 2**63. Image i depends on (seed, i) alone, so fewer images are a prefix.

    Raises
    ------
    TypeError, ValueError
        If n or seed is no whole number or out of range.
    """
    images, labels = draw_digits(n, seed)
    return Dataset(images, labels, source=f"built-in digits (seed {seed})")
