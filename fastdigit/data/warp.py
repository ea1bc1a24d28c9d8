"""Warping images, compiled: each pixel of the result is looked up where it comes from.

Coordinates are whole multiples of 2^-16 pixel, and bilinear weights of 2^-8, so all is done in
whole numbers. What is chosen is a switch at run time: without elastic deformation the displacements
are zero, and without noise so is the grain.

Each step is a loop over all pixels of an image, in which LLVM finds vectors by itself. Only looking
up the cells is scalar: LLVM does not gather from memory that it believes might be written to.

Python's threads take the pieces, for compiled code runs beside them: a prange took two fifths of
the compilation.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdigit.data.distortion import ONE, deform, inverse_map, key_of, sprinkle
from fastdigit.data.lattice import Lattice
from fastdigit.jit import njit
from fastdigit.threads import available_threads

ROUNDING = 1 << 7
"""Half of the 2^-8 pixel that bilinear weights are rounded to."""

ALIGNED = 128
"""Scratch arrays are filled up to multiples of so many elements: their loops have no remainder."""

PIECE = 1024
"""Images that a thread takes at a time, in 2 to 5 ms: an interrupt has to wait no longer."""

Bytes = NDArray[np.uint8]


class Changes(NamedTuple):
    """What images are to be changed by, as compiled code takes it."""

    rotation: float
    """Radians."""
    scale: float
    shear: float
    shift: float
    reach: np.float32
    """What a number of 32 bits on the lattice is multiplied by; 0 for no elastic deformation."""
    noise: int
    """What the sum of four bytes is multiplied by; 0 for no noise."""
    threshold: int


class Scratch(NamedTuple):
    """What a thread works with; all but the first two have an element for each pixel."""

    padded: NDArray[np.uint8]
    """The image with a rim of zeros, in rows of side + 2."""
    cells: NDArray[np.uint32]
    """The four neighbours that a coordinate lies between, one in each byte."""
    columns: NDArray[np.int32]
    rows: NDArray[np.int32]
    across: NDArray[np.int32]
    """Displacements, in coordinates."""
    down: NDArray[np.int32]
    grain: NDArray[np.int32]
    """Noise, in grey levels times 2^16."""
    place: NDArray[np.uint32]
    """The cell that a pixel comes from."""
    weight: NDArray[np.uint32]
    """How far a pixel lies to the right in its cell and, in the upper half, how far down."""
    found: NDArray[np.uint32]


@njit(inner=True)
def scratch(side: int) -> Any:
    """Return the arrays to work with, for images of side x side pixels."""
    pixels = (side * side + ALIGNED - 1) // ALIGNED * ALIGNED
    cells = ((side + 2) * (side + 2) + ALIGNED - 1) // ALIGNED * ALIGNED
    columns, rows = np.zeros(pixels, np.int32), np.zeros(pixels, np.int32)
    for i in range(side * side):
        columns[i] = i % side
        rows[i] = i // side
    return Scratch(
        np.zeros(cells + side + 3, np.uint8),
        np.zeros(cells, np.uint32),
        columns,
        rows,
        np.zeros(pixels, np.int32),
        np.zeros(pixels, np.int32),
        np.zeros(pixels, np.int32),
        np.zeros(pixels, np.uint32),
        np.zeros(pixels, np.uint32),
        np.zeros(pixels, np.uint32),
    )


@njit(inner=True)
def pack(image: Any, side: int, s: Any) -> None:
    """Put the four pixels around each point between pixels into one cell."""
    stride = side + 2
    for y in range(side):
        line, row = s.padded[(y + 1) * stride + 1 :], image[y * side :]
        for x in range(side):
            line[x] = row[x]
    above, below = s.padded, s.padded[stride:]
    for i in range(len(s.cells)):
        top = np.uint32(above[i]) | np.uint32(np.uint32(above[i + 1]) << 8)
        bottom = np.uint32(below[i]) | np.uint32(np.uint32(below[i + 1]) << 8)
        s.cells[i] = top | np.uint32(bottom << 16)


@njit(inner=True)
def locate(across: Any, down: Any, side: int, s: Any) -> None:
    """Find the cell that each pixel comes from, and where in it; beyond the rim all is zero."""
    (a, b, c), (d, e, f) = across, down
    c += np.int32(ONE + ROUNDING)
    f += np.int32(ONE + ROUNDING)
    least, most = np.int32(0), np.int32((side + 1) * ONE)
    stride = np.int32(side + 2)
    for i in range(len(s.place)):
        u = np.int32(a * s.columns[i] + b * s.rows[i] + c + s.across[i])
        v = np.int32(d * s.columns[i] + e * s.rows[i] + f + s.down[i])
        u, v = min(max(u, least), most), min(max(v, least), most)
        s.place[i] = np.uint32((v >> 16) * stride + (u >> 16))
        s.weight[i] = np.uint32((u >> 8 & 255) | (v >> 8 & 255) << 16)


@njit(inner=True)
def look_up(cells: Any, place: Any, found: Any) -> None:
    """Fetch the cells."""
    for i in range(len(place)):
        found[i] = cells[place[i]]


@njit(inner=True)
def blend(s: Any, threshold: Any, out: Any) -> None:
    """Write the pixels: bilinear in the cells, with the grain where there is ink.

    Two pixels of a cell are weighed by one multiplication: a byte by 256 fits half of 32 bits.
    """
    half, most = np.uint32(0xFF00FF), np.int32(255 << 16)
    for i in range(len(out)):
        right = np.uint32(s.weight[i] & 255)
        low = np.uint32(s.weight[i] >> 16)
        left_pair = np.uint32(s.found[i] & half)
        right_pair = np.uint32(np.uint32(s.found[i] >> 8) & half)
        pair = np.uint32(np.uint32(left_pair << 8) + right * np.uint32(right_pair - left_pair))
        top, bottom = np.uint32(pair & 0xFFFF), np.uint32(pair >> 16)
        value = np.int32(np.uint32(top << 8) + low * np.uint32(bottom - top))
        grain = s.grain[i] if value > 0 else np.int32(0)
        value = np.int32(min(max(np.int32(value + grain), np.int32(0)), most) + (1 << 15)) >> 16
        out[i] = value if value >= threshold else 0


@njit()
def warp_piece(
    images: Any,
    out: Any,
    changes: Any,
    lattice: Any,
    root: Any,
    first: int,
    begin: int,
    end: int,
) -> None:
    """Warp the images from `begin` to before `end`; `first` is the index of the first of all."""
    side = len(lattice.starts)
    s = scratch(side)
    for i in range(begin, end):
        key = key_of(root, np.uint64(first) + np.uint64(i))
        across, down = inverse_map(key, changes, side)
        if changes.reach > 0.0:
            deform(key, changes.reach, lattice, s.across, s.down)
        if changes.noise > 0:
            sprinkle(key, changes.noise, side * side, s.grain)
        pack(images[i], side, s)
        locate(across, down, side, s)
        look_up(s.cells, s.place, s.found)
        blend(s, changes.threshold, out[i])


def warp(
    images: Bytes,
    out: Bytes,
    changes: Changes,
    lattice: Lattice,
    root: np.uint64,
    first: int,
    threads: int | None,
) -> None:
    """Warp images (n, side * side) into out.

    Parameters
    ----------
    images, out
        C-contiguous; they may be the same.
    changes
        The amounts.
    lattice
        Of displacements, for images of this side.
    root, first
        What stands for seed and epoch, and the index of the first image.
    threads
        All that are available, if None.

    Raises
    ------
    ValueError
        If there are not so many threads.
    """
    available = available_threads()
    if threads is not None and not 1 <= threads <= available:
        raise ValueError(f"threads={threads}, but between 1 and {available} can be used here")
    images = images.view()
    images.flags.writeable = False  # whether they were or not: Numba would compile for either
    starts = range(0, len(images), PIECE)

    def work(begin: int) -> None:
        end = min(begin + PIECE, len(images))
        warp_piece(images, out, changes, lattice, root, first, begin, end)

    threads = min(threads or available, len(starts))
    if threads < 2:
        for begin in starts:
            work(begin)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, starts):
            pass
