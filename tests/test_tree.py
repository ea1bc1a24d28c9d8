"""The tree of sums: every piece once, in one order, by any number of threads, in few buffers."""

import numpy as np
import pytest

from fastdigit.jit import njit
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.parallel import PIECES, available_threads, pieces_of, run
from fastdigit.kernels.simd import advance
from fastdigit.kernels.tree import (
    APART,
    BUFFERS,
    SUM,
    begin,
    claim,
    merge,
    new_tree,
    take_over,
)

SIZE = 64


@njit()
def _fill(buffers, tree, pieces, seen, count, _f, _g, piece, thread):
    number = claim(tree, buffers, SIZE, count[0], thread)
    buffer = advance(buffers, number * SIZE)
    for k in range(SIZE):
        seen[piece] += buffer[k] != 0
        buffer[k] += pieces[piece * SIZE + k]
    merge(tree, buffers, SIZE, count[0], piece, number)


@njit()
def _go_on(buffers, tree, pieces, taken, count, _f, _g, piece, thread):
    number = take_over(tree, count[0], piece)
    taken[piece] = number >= 0
    if number < 0:
        number = claim(tree, buffers, SIZE, count[0], thread)
    for k in range(SIZE):
        buffers[number * SIZE + k] += pieces[piece * SIZE + k]
    merge(tree, buffers, SIZE, count[0], piece, number)


def in_a_tree(pieces):
    """Return the sum of rows, neighbours first."""
    while len(pieces) > 1:
        pieces = pieces[::2] + pieces[1::2]
    return pieces[0]


@pytest.mark.parametrize("threads", range(1, available_threads() + 1))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 32, PIECES])
def test_the_sum_has_one_order(dtype, count, threads):
    pieces = np.random.default_rng(0).normal(size=(count, SIZE)).astype(dtype)
    buffers = aligned((BUFFERS, SIZE), dtype)
    buffers.fill(np.nan)  # what an earlier pass left does not count
    tree, seen = new_tree(), np.zeros(count, np.int64)
    for _ in range(20):
        begin(tree)
        run(_fill, [buffers, tree, pieces, seen, np.array([count])], count, threads)
        np.testing.assert_array_equal(buffers[SUM], in_a_tree(pieces))
    assert not seen.any()


@pytest.mark.parametrize("threads", range(1, available_threads() + 1))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 4, 8, PIECES])
def test_to_go_on_with_the_sum_of_a_neighbour_changes_no_bit(dtype, count, threads):
    pieces = np.random.default_rng(1).normal(size=(count, SIZE)).astype(dtype)
    buffers = aligned((BUFFERS, SIZE), dtype)
    buffers.fill(np.nan)
    tree, taken = new_tree(), np.zeros(count, np.int64)
    for _ in range(20):
        begin(tree)
        run(_go_on, [buffers, tree, pieces, taken, np.array([count])], count, threads)
        np.testing.assert_array_equal(buffers[SUM], in_a_tree(pieces))
        if threads == 1 and count > 2:
            assert taken.tolist() == [0, 1] * (count // 2)


@pytest.mark.parametrize(
    ("groups", "pieces"),
    [(0, 1), (1, 1), (47, 1), (48, 2), (95, 2), (96, 4), (1535, 32), (1536, 64), (10**6, 64)],
)
def test_a_piece_has_24_groups_at_least(groups, pieces):
    assert pieces_of(groups) == pieces


def test_one_thread_needs_few_buffers():
    buffers = aligned((BUFFERS, SIZE), "float32")
    buffers.fill(np.nan)
    tree, seen = new_tree(), np.zeros(PIECES, np.int64)
    begin(tree)
    pieces = np.ones((PIECES, SIZE), "float32")
    run(_fill, [buffers, tree, pieces, seen, np.array([PIECES])], PIECES, 1)
    used = np.flatnonzero(np.isfinite(buffers).all(axis=1))
    assert used.tolist() == [*range(APART - 1), SUM]
