"""The reference of augmentation: the formulas in NumPy, in float64, which `warp` is tested against.

Maps and displacements are rounded to 2^-16 pixel and bilinear weights to 2^-8, as in the compiled
code; NumPy's sine and the order of its sums can move a displacement by one such step.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdigit.data.augment import SPREAD, Augment
from fastdigit.data.distortion import (
    GRAIN,
    LATTICE,
    SHEARING,
    SHIFTING_X,
    SHIFTING_Y,
    STRETCHING_X,
    STRETCHING_Y,
    TURNING,
    root_of,
)
from fastdigit.data.drawing import GOLDEN, Floats, Keys, hash_slots, scramble
from fastdigit.data.lattice import WINDOW, lattice

ONE = 2.0**16


def keys_of(seed: int, epoch: int, first: int, n: int) -> Keys:
    """Return what each image's random numbers are made of: (n,)."""
    index = np.arange(first, first + n, dtype=np.uint64)
    return scramble(root_of(seed, epoch) + scramble(index * GOLDEN + np.uint64(1)))


def symmetric(bits: Keys) -> NDArray[Any]:
    """Return the lower 32 bits as numbers in [-1, 1)."""
    return bits.astype(np.uint32).view(np.int32) * 2.0**-31


def inverse_maps(chosen: Augment, keys: Keys, side: int) -> tuple[Floats, Floats]:
    """Return matrices (n, 2, 2) and offsets (n, 2) that lead from a result's pixel to its source.

    ``M = R(angle) [[1, shear], [0, 1]] diag(wide, high)`` acts around the centre, and then comes
    the shift t: ``x' = centre + t + M (x - centre)``; returned is what undoes it.
    """
    draws = symmetric(hash_slots(keys, 0, 6) >> np.uint64(32))
    angle = np.radians(chosen.rotation) * draws[:, TURNING]
    slant = chosen.shear * draws[:, SHEARING]
    stretch = 1.0 + chosen.scale * draws[:, [STRETCHING_X, STRETCHING_Y]]
    turn = np.empty((len(keys), 2, 2))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 1, 0] = np.sin(angle)
    turn[:, 0, 1] = -np.sin(angle)
    lean = np.zeros_like(turn)
    lean[:, 0, 0] = lean[:, 1, 1] = 1.0
    lean[:, 0, 1] = slant
    inverse = np.linalg.inv(turn @ lean * stretch[:, None, :])
    centre = 0.5 * (side - 1)
    middle = centre + chosen.shift * draws[:, [SHIFTING_X, SHIFTING_Y]]
    offset = centre - np.einsum("nij,nj->ni", inverse, middle)
    return np.floor(inverse * ONE + 0.5) / ONE, np.floor(offset * ONE + 0.5) / ONE


def displacements(chosen: Augment, keys: Keys, side: int) -> Floats:
    """Return how far each pixel's source is moved across and down, in pixels: (n, 2, side, side).

    That is ``alpha W N W^T`` for random numbers N on the lattice.
    """
    weights, starts = lattice(side, float(chosen.elastic_sigma))
    points = int(starts[-1]) + WINDOW
    whole = np.zeros((side, points))
    for pixel, start in enumerate(starts):
        whole[pixel, start : start + WINDOW] = weights[pixel]
    bits = hash_slots(keys, LATTICE, LATTICE + points * points)
    noise = np.stack([symmetric(bits >> np.uint64(32)), symmetric(bits)], axis=1)
    # Of the noise, columns are blurred first: its rows lie along x.
    noise = noise.reshape(-1, 2, points, points).swapaxes(2, 3)
    field: Floats = np.trunc(chosen.elastic * (whole @ noise @ whole.T) * ONE) / ONE
    return field


def bilinear(images: Floats, x: Floats, y: Floats) -> Floats:
    """Return the images (n, side, side) at coordinates (n, side, side), with zeros outside."""
    n, side, _ = images.shape
    padded = np.pad(images, ((0, 0), (1, 2), (1, 2)))
    x, y = (np.floor((np.clip(c, -1, side) + 1) * 256 + 0.5) / 256 for c in (x, y))
    column, row = x.astype(int), y.astype(int)
    right, low = x - column, y - row
    image = np.arange(n)[:, None, None]

    def corner(down: int, across: int) -> Any:
        return padded[image, row + down, column + across]

    above = (1 - right) * corner(0, 0) + right * corner(0, 1)
    below = (1 - right) * corner(1, 0) + right * corner(1, 1)
    return np.asarray((1 - low) * above + low * below)


def grains(chosen: Augment, keys: Keys, side: int) -> Floats:
    """Return the noise for each pixel, in grey levels: (n, side, side).

    A number is the sum of four random bytes, and 64 bits make two of them.
    """
    half = (side * side + 1) // 2
    bytes_ = hash_slots(keys, GRAIN, GRAIN + half).astype("<u8").view(np.uint8)
    sums = bytes_.reshape(len(keys), -1, 2, 4).sum(axis=3, dtype=int)
    flat = sums.swapaxes(1, 2).reshape(len(keys), -1)[:, : side * side]
    amount = round(chosen.noise * ONE / SPREAD) / ONE
    return np.asarray((flat - 510) * amount).reshape(-1, side, side)


def augmented(
    chosen: Augment, images: NDArray[np.uint8], seed: int = 0, epoch: int = 0, first: int = 0
) -> NDArray[np.uint8]:
    """Return what `Augment.apply` does, for images (n, side * side)."""
    if not chosen.changes:
        return images.copy()
    n, side = len(images), math.isqrt(images.shape[1])
    keys = keys_of(seed, epoch, first, n)
    matrix, offset = inverse_maps(chosen, keys, side)
    y, x = np.mgrid[:side, :side]
    source = np.einsum("nij,jyx->niyx", matrix, np.stack([x, y])) + offset[:, :, None, None]
    source += displacements(chosen, keys, side)
    value = bilinear(images.reshape(n, side, side).astype(float), source[:, 0], source[:, 1])
    value = np.where(value > 0, value + grains(chosen, keys, side), 0)
    result = np.floor(np.clip(value, 0, 255) + 0.5)
    return np.where(result < chosen.threshold, 0, result).astype(np.uint8).reshape(n, -1)
