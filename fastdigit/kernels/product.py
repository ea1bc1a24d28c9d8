"""Matrix products of mini-batches, a tile of sums in registers at a time.

A tile is four rows of a strip, or eight of a vector: so each number that is loaded is multiplied
four or eight times. What is passed over again and again should fit the first cache, which callers
see to by `DEPTH`.
"""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels.simd import advance, lanes
from fastdigit.kernels.strips import (
    NARROW_ROWS,
    WIDE_ROWS,
    fma_tile,
    load_narrow,
    load_wide,
    store_tile,
)

Pointer = Any
"""To elements of one type, in compiled code."""

DEPTH = 96
"""Products that are added up before the next rows: then 96 strips of b are at hand, 24 KB."""


@njit(inner=True)
def multiply(
    a: Pointer,
    row: int,
    step: int,
    b: Pointer,
    width: int,
    count: int,
    rows: int,
    sums: Pointer,
) -> None:
    """Add A B to sums, each a dot product in the order of its terms.

    Parameters
    ----------
    a
        A[r, k] is `a[r * row + k * step]`.
    b
        (count, width): B.
    width
        Elements of a strip, or of a vector.
    count
        Products in each sum.
    rows
        Of A and of the sums, filled up to whole tiles.
    sums
        (rows, width)
    """
    if width > lanes(b):
        for r in range(0, rows, WIDE_ROWS):
            tile = load_wide(advance(sums, r * width), width)
            for k in range(count):
                tile = fma_tile(advance(a, r * row + k * step), row, advance(b, k * width), tile)
            store_tile(advance(sums, r * width), width, tile)
    else:
        for r in range(0, rows, NARROW_ROWS):
            narrow = load_narrow(advance(sums, r * width), width)
            for k in range(count):
                at = advance(a, r * row + k * step)
                narrow = fma_tile(at, row, advance(b, k * width), narrow)
            store_tile(advance(sums, r * width), width, narrow)
