"""Every operation on bundles, against NumPy."""

import numpy as np
import pytest
from test_simd import DTYPES, LANES, drawn, folded, fused, same, special

from fastdigit.jit import njit
from fastdigit.kernels.bundles import (
    UNITS,
    add_each,
    add_totals,
    affine,
    farthest_each,
    fma_each,
    fma_scalars,
    store_each,
    where_positive,
    zeros,
)
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.simd import advance, lanes, load, pointer


@njit(inner=True)
def bundle_at(p):
    """Return a bundle of vectors that lie one after the other, without the help of `simd`."""
    w = lanes(p)
    return (
        load(p, 0),
        load(p, w),
        load(p, 2 * w),
        load(p, 3 * w),
        load(p, 4 * w),
        load(p, 5 * w),
        load(p, 6 * w),
        load(p, 7 * w),
        load(p, 8 * w),
        load(p, 9 * w),
    )


@njit()
def bundled(given, rows, x, floor, numbers, first, out):
    """Write what every operation on bundles returns to rows of its own."""
    bundle, p = bundle_at(pointer(given)), pointer(rows)
    v, low = load(pointer(x), 0), load(pointer(floor), 0)
    n = advance(pointer(numbers), first)
    store_each(pointer(out[0]), bundle)
    store_each(pointer(out[1]), zeros(p))
    store_each(pointer(out[2]), add_each(p, bundle))
    store_each(pointer(out[3]), fma_each(v, p, bundle))
    store_each(pointer(out[4]), fma_scalars(v, n, bundle))
    store_each(pointer(out[5]), affine(bundle, v, n, low))
    store_each(pointer(out[6]), where_positive(p, bundle))
    store_each(pointer(out[7]), farthest_each(p, bundle))


@njit()
def totals_of_bundles(given, first, sums):
    add_totals(advance(pointer(sums), first), bundle_at(pointer(given)))


@pytest.mark.parametrize("numbers", ["ordinary", "special"])
@pytest.mark.parametrize("first", [0, 1, 13])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bundles(dtype, first, numbers):
    random = np.random.RandomState(first)
    width = LANES[dtype]
    given, rows, x, floor = (aligned(s, dtype) for s in [(UNITS, width)] * 2 + [width] * 2)
    scalars = np.zeros(40, dtype)
    for array in (given, rows, x, floor, scalars):
        if numbers == "ordinary":
            array[:] = drawn(random, array.shape)
        else:
            array[:] = random.choice(special(dtype), array.shape)
    out = aligned((8, UNITS + 2, width), dtype)
    out[:] = -1
    bundled(given, rows, x, floor, scalars, first, out)
    each = scalars[first : first + UNITS, None]
    z = fused(given, x, each, dtype)
    with np.errstate(all="ignore"):
        expected = [
            given,
            np.zeros_like(given),
            given + rows,
            fused(x, rows, given, dtype),
            fused(x, each, given, dtype),
            np.where(floor > z, floor, z),
            np.where(rows > 0, given, dtype(0)),
            np.where(np.abs(rows) > given, np.abs(rows), given),
        ]
    for found, vectors in zip(out, expected, strict=True):
        same(found[:UNITS], vectors)
        assert (found[UNITS:] == -1).all()


@pytest.mark.parametrize("numbers", ["ordinary", "special"])
@pytest.mark.parametrize("first", [0, 1, 13])
@pytest.mark.parametrize("dtype", DTYPES)
def test_totals_of_bundles_have_the_order_of_a_total(dtype, first, numbers):
    random = np.random.RandomState(first)
    given = aligned((UNITS, LANES[dtype]), dtype)
    sums = np.zeros(40, dtype)
    for array in (given, sums):
        if numbers == "ordinary":
            array[:] = drawn(random, array.shape)
        else:
            array[:] = random.choice(special(dtype), array.shape)
    if numbers == "special":  # or else nearly all sums are infinite or NaN
        given[5:] = random.choice([0.0, -0.0, 1.5, -3, np.finfo(dtype).eps], given[5:].shape)
        sums[:] = np.where(np.isfinite(sums), sums, -0.0)
    expected = sums.copy()
    with np.errstate(all="ignore"):
        expected[first : first + UNITS] += folded(given)
    totals_of_bundles(given, first, sums)
    same(sums, expected)
