"""Rows laid side by side, and back: every pixel, zeros beyond, and nothing else."""

import numpy as np
import pytest
from test_pixels import LANES, drawn, dtypes, laid, same_bits

from fastdigit.jit import njit
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.pixels import COLUMNS
from fastdigit.kernels.simd import advance, pointer
from fastdigit.kernels.transposition import (
    lanes_of,
    next_group,
    own_order,
    restore_rows,
    transpose_group,
)


@njit()
def transposed(images, order, group):
    transpose_group(pointer(images), images.shape[1], pointer(order), pointer(group))


@njit()
def taken(images, g, in_order, group):
    n, features = images.shape
    order, target = pointer(in_order), pointer(group)
    return next_group(pointer(images), n, features, g, order, target, target)


@njit()
def restored(group, columns, rows, target, first):
    restore_rows(pointer(group), columns, rows, advance(pointer(target), first))


FEATURES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 31, 32, 33, 36, 63, 64, 65, 67, 68, 100, 784]


def group_for(dtype, features):
    """Return memory for a group, and four rows more, full of ones."""
    rows = -(-features // COLUMNS) * COLUMNS
    group = aligned((rows + 4, LANES[dtype]), dtype)
    group[:] = 1
    return group, rows


def filled_up(rows):
    """Return the columns of a group, and zeros up to a whole pair."""
    beyond = np.zeros((-rows.shape[1] % COLUMNS, len(rows)), rows.dtype)
    return np.concatenate([rows.T, beyond])


@dtypes
@pytest.mark.parametrize("features", FEATURES)
def test_a_group_of_any_images(features, dtype):
    images = drawn(dtype, features)
    order = np.random.RandomState(features).randint(0, len(images), LANES[dtype])
    group, rows = group_for(dtype, features)
    transposed(images, order, group)
    same_bits(group[:rows], filled_up(images[order]))
    assert (group[rows:] == 1).all()


@dtypes
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 40])
def test_groups_as_they_come(n, features, dtype):
    images, lanes = drawn(dtype, features)[:n], LANES[dtype]
    in_order = own_order(n, dtype)
    for g, first in enumerate(range(0, n, lanes)):
        group, rows = group_for(dtype, features)
        assert taken(images, g, in_order, group) == min(lanes, n - first)
        # The last image fills up the last group.
        expected = images[np.minimum(np.arange(first, first + lanes), n - 1)]
        same_bits(group[:rows], filled_up(expected))


@dtypes
@pytest.mark.parametrize("columns", [1, 2, 7, 8, 9, 10, 15, 16, 17, 33])
def test_rows_are_restored(columns, dtype):
    lanes = LANES[dtype]
    group = laid(drawn(dtype, lanes)[:columns])
    for rows in (1, lanes - 1, lanes):
        for first in (0, 3):
            target = np.full(columns * lanes + 5, 7, dtype)
            restored(group, columns, rows, target, first)
            expected = np.full_like(target, 7)
            expected[first : first + rows * columns] = group.T[:rows].ravel()
            same_bits(target, expected)


@dtypes
@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 100])
def test_the_order_of_images_as_they_come(n, dtype):
    lanes = LANES[dtype]
    assert lanes_of(dtype) == lanes
    full, last = own_order(n, dtype).reshape(2, lanes)
    assert full.tolist() == list(range(lanes))
    first = (n - 1) // lanes * lanes
    assert (first + last).tolist() == [min(first + k, n - 1) for k in range(lanes)]
