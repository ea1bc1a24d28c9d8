"""The tree of sums: every piece once, in one order, by any number of threads, in few buffers."""

import numpy as np
import pytest

from fastdigit.jit import njit
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.parallel import PIECES, available_threads, run
from fastdigit.kernels.simd import advance
from fastdigit.kernels.tree import APART, BUFFERS, SUM, begin, claim, merge, new_tree

SIZE = 64


@njit()
def _fill(buffers, tree, pieces, seen, _e, _f, _g, piece, thread):
    number = claim(tree, buffers, SIZE, thread)
    buffer = advance(buffers, number * SIZE)
    for k in range(SIZE):
        seen[piece] += buffer[k] != 0
        buffer[k] += pieces[piece * SIZE + k]
    merge(tree, buffers, SIZE, piece, number)


def in_a_tree(pieces):
    """Return the sum of rows, neighbours first."""
    while len(pieces) > 1:
        pieces = pieces[::2] + pieces[1::2]
    return pieces[0]


@pytest.mark.parametrize("threads", range(1, available_threads() + 1))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sum_has_one_order(dtype, threads):
    pieces = np.random.default_rng(0).normal(size=(PIECES, SIZE)).astype(dtype)
    buffers = aligned((BUFFERS, SIZE), dtype)
    buffers.fill(np.nan)  # what an earlier pass left does not count
    tree, seen = new_tree(), np.zeros(PIECES, np.int64)
    for _ in range(20):
        begin(tree)
        run(_fill, [buffers, tree, pieces, seen], PIECES, threads)
        np.testing.assert_array_equal(buffers[SUM], in_a_tree(pieces))
    assert not seen.any()


def test_one_thread_needs_few_buffers():
    buffers = aligned((BUFFERS, SIZE), "float32")
    buffers.fill(np.nan)
    tree, seen = new_tree(), np.zeros(PIECES, np.int64)
    begin(tree)
    run(_fill, [buffers, tree, np.ones((PIECES, SIZE), "float32"), seen], PIECES, 1)
    used = np.flatnonzero(np.isfinite(buffers).all(axis=1))
    assert used.tolist() == [*range(APART - 1), SUM]
