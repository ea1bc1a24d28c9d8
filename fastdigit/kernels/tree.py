"""Sums of pieces, combined in a fixed tree, in as little memory as can be.

Each piece of a pass, 64 at most, adds up a sum of its own, and whichever thread is second to finish
one of two neighbours adds the two up: one fixed order, without one thread waiting for another. Of
the two buffers one is free then, and the next piece begins in it: a few buffers, which stay in a
near cache, do for all pieces. With a buffer for each piece, the gradients of a small network, 2 MB
in all, were fetched from far away and sent back in each pass.
"""

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.barrier import counted
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.parallel import PIECES, clear_bits, count_up, set_bits
from fastdigit.kernels.simd import add, advance, lanes, load, splat, store

PLACES = PIECES
"""Where the numbers of the buffers begin that hold the sums of pieces. Before them is, for each
pair of neighbours, how many of the two are there: an even number before and after a pass."""
FREE = 2 * PIECES
"""Where the buffers that are free are noted, one bit each."""
TREE = FREE + 1
SUM = PIECES
"""The number of the buffer that holds the sum of all pieces after a pass."""
BUFFERS = SUM + 1
APART = 8
"""Buffers between those where two threads look for a free one: a thread needs about seven."""


def new_tree() -> npt.NDArray[np.int64]:
    """Return the numbers of a tree before its first pass."""
    return np.zeros(TREE, np.int64)


def begin(tree: npt.NDArray[np.int64]) -> None:
    """Free all buffers; once before each pass."""
    tree[FREE] = -1


@njit(inner=True)
def claim(tree: Pointer, buffers: Pointer, size: int, pieces: int, thread: int) -> int:
    """Return the number of a free buffer, of (65, size), filled with zeros, and take it."""
    # A piece that has no neighbour begins where the sum of all is looked for.
    number = thread * APART % PIECES if pieces > 1 else SUM
    while number != SUM and not clear_bits(advance(tree, FREE), 1 << number) >> number & 1:
        number = (number + 1) % PIECES
    buffer = advance(buffers, number * size)
    zero = splat(buffers, 0.0)
    for k in range(0, size, lanes(buffers)):
        store(buffer, k, zero)
    return number


@njit(inner=True)
def take_over(tree: Pointer, pieces: int, piece: int) -> int:
    """Return the number of the buffer with the sum of a piece's neighbour, or -1 if there is none.

    A piece that adds to each number of a buffer just once may begin in it instead of in one with
    zeros, for `merge` would add the same two numbers. So half of a thread's pieces are not merged.
    """
    # The sum of all has a buffer of its own.
    if pieces > 2 and counted(advance(tree, pieces // 2 + piece // 2)) % 2 == 1:
        return tree[PLACES + (piece ^ 1)]
    return -1


@njit(inner=True)
def merge(tree: Pointer, buffers: Pointer, size: int, pieces: int, piece: int, number: int) -> None:
    """Add the sum of a piece, in the buffer of this number, to those of its neighbours.

    A buffer that was taken over has the sum of the nearest one already.
    """
    width = 1
    pair = pieces
    while width < pieces:
        # The pairs of pieces come first, then the pairs of these, and so on.
        own = piece // width
        pair -= pieces // (2 * width)
        tree[PLACES + own * width] = number
        if count_up(advance(tree, pair + own // 2)) % 2 == 0:
            return
        other = tree[PLACES + (own ^ 1) * width]
        width *= 2
        if other == number:
            continue
        mine, theirs = advance(buffers, number * size), advance(buffers, other * size)
        both = advance(buffers, SUM * size) if width == pieces else mine
        # Which of the two is added to which is the same, bit for bit.
        for k in range(0, size, lanes(buffers)):
            store(both, k, add(load(mine, k), load(theirs, k)))
        set_bits(advance(tree, FREE), 1 << other)
