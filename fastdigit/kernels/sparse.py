"""Fused Numba kernels on sparse images: pixels that are 0 are neither stored nor multiplied.

Four fifths of a picture of a digit are background. Images are kept as compressed rows (CSR): the
bytes that are not 0, their columns, and where each image begins; 3 bytes a pixel that counts. For
a tile, the bytes become floats once, for both directions. A pixel then costs one load of 16
weights on the way forward, and one load and one store of 16 gradients on the way back.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.dense import Pointer, Rows
from fastdigit.kernels.parallel import PIECES, run
from fastdigit.kernels.simd import LANES, add, advance, broadcast, fma, load, maximum, splat, store

MOST_FEATURES = 2**16
"""Columns are 16-bit numbers."""


class Compressed(NamedTuple):
    """Images (n, features) without their zeros."""

    values: npt.NDArray[np.uint8]
    """The pixels that are not 0, image by image."""
    columns: npt.NDArray[np.uint16]
    """The feature of each."""
    starts: npt.NDArray[np.int64]
    """(n + 1,): where the pixels of each image begin, and where the last one's end."""


class Pixels(NamedTuple):
    """The pixels of a tile: floats, their columns, and where each image begins."""

    values: Pointer
    columns: Any
    starts: Any
    """Counted from the first pixel of all images, as `Compressed.starts`."""


def compress(images: npt.NDArray[np.uint8], threads: int) -> Compressed:
    """Return images (n, features) of bytes as compressed rows."""
    sizes = np.array(images.shape, np.int64)
    starts = np.zeros(len(images) + 1, np.int64)
    run(_count, [sizes, images, starts], PIECES, threads)
    np.cumsum(starts, out=starts)
    values = np.empty(starts[-1], np.uint8)
    columns = np.empty(starts[-1], np.uint16)
    run(_compress, [sizes, images, starts, values, columns], PIECES, threads)
    return Compressed(values, columns, starts)


@njit()
def _count(
    sizes: Any, images: Any, starts: Any, _d: Any, _e: Any, _f: Any, _g: Any, piece: int, _: int
) -> None:
    """Note how many pixels each image has, one place further on: a kernel of 64 pieces."""
    n, features = sizes[0], sizes[1]
    for row in range(n * piece // PIECES, n * (piece + 1) // PIECES):
        image = advance(images, row * features)
        found = 0
        for j in range(features):
            found += image[j] != 0
        starts[row + 1] = found


@njit()
def _compress(
    sizes: Any,
    images: Any,
    starts: Any,
    values: Any,
    columns: Any,
    _f: Any,
    _g: Any,
    piece: int,
    _: int,
) -> None:
    """Copy the pixels that are not 0: a kernel of 64 pieces."""
    n, features = sizes[0], sizes[1]
    for row in range(n * piece // PIECES, n * (piece + 1) // PIECES):
        image = advance(images, row * features)
        k = starts[row]
        for j in range(features):
            if image[j] != 0:
                values[k] = image[j]
                columns[k] = j
                k += 1


@njit(inner=True)
def linear_sparse(
    pixels: Pixels,
    features: int,
    weights: Pointer,
    biases: Pointer,
    scale: float,
    relu: bool,
    outputs: Rows,
    rows: int,
) -> None:
    """Z = scale * X W^T + b for a tile, or max(0, Z), as `dense.linear`.

    An image is summed up in four vectors, which take turns: one alone would wait four cycles
    for each addition.
    """
    zero = splat(weights, 0.0)
    factor = splat(weights, scale)
    first = pixels.starts[0]
    for block in range(outputs.pitch // LANES):
        bias = load(biases, block * LANES)
        w = advance(weights, block * features * LANES)
        for row in range(rows):
            x = advance(pixels.values, pixels.starts[row] - first)
            columns = advance(pixels.columns, pixels.starts[row] - first)
            count = pixels.starts[row + 1] - pixels.starts[row]
            whole = count // 4 * 4
            z0 = z1 = z2 = z3 = zero
            for k in range(0, whole, 4):
                z0 = fma(broadcast(x, k), load(w, columns[k] * LANES), z0)
                z1 = fma(broadcast(x, k + 1), load(w, columns[k + 1] * LANES), z1)
                z2 = fma(broadcast(x, k + 2), load(w, columns[k + 2] * LANES), z2)
                z3 = fma(broadcast(x, k + 3), load(w, columns[k + 3] * LANES), z3)
            for k in range(whole, count):
                z0 = fma(broadcast(x, k), load(w, columns[k] * LANES), z0)
            value = fma(factor, add(add(z0, z1), add(z2, z3)), bias)
            value = maximum(zero, value) if relu else value
            store(outputs.start, row * outputs.pitch + block * LANES, value)


@njit(inner=True)
def add_gradients_sparse(
    pixels: Pixels, features: int, deltas: Rows, rows: int, weights: Pointer, biases: Pointer
) -> None:
    """Add X^T dZ of a tile to the gradients, as `dense.add_gradients`."""
    first = pixels.starts[0]
    for block in range(deltas.pitch // LANES):
        db = load(biases, block * LANES)
        g = advance(weights, block * features * LANES)
        for row in range(rows):
            delta = load(deltas.start, row * deltas.pitch + block * LANES)
            db = add(db, delta)
            x = advance(pixels.values, pixels.starts[row] - first)
            columns = advance(pixels.columns, pixels.starts[row] - first)
            for k in range(pixels.starts[row + 1] - pixels.starts[row]):
                at = columns[k] * LANES
                store(g, at, fma(broadcast(x, k), delta, load(g, at)))
        store(biases, block * LANES, db)
