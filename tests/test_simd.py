"""Every operation on vectors, against NumPy."""

import zlib
from fractions import Fraction

import numpy as np
import pytest

from fastdigit.jit import njit
from fastdigit.kernels import simd
from fastdigit.kernels.elementary import exp, log
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.simd import (
    LANES,
    add,
    advance,
    broadcast,
    convert,
    divide,
    fma,
    gather,
    greater,
    load,
    maximum,
    multiply,
    pointer,
    scatter,
    select,
    splat,
    store,
    subtract,
    total,
)

DTYPES = [np.float32, np.float64]


@njit()
def arithmetic(a, b, c, out):
    """Write the result of every lanewise operation to a row of its own."""
    for i in range(0, a.size, LANES):
        x, y, z = load(pointer(a), i), load(pointer(b), i), load(pointer(c), i)
        store(pointer(out[0]), i, add(x, y))
        store(pointer(out[1]), i, subtract(x, y))
        store(pointer(out[2]), i, multiply(x, y))
        store(pointer(out[3]), i, divide(x, y))
        store(pointer(out[4]), i, maximum(x, y))
        store(pointer(out[5]), i, select(greater(x, y), z, x))
        store(pointer(out[6]), i, fma(x, y, z))


@njit()
def memory(source, out):
    """Move elements in every way there is, each into a row of its own."""
    p = pointer(source)
    store(pointer(out[0]), 0, load(p, LANES))
    store(pointer(out[1]), LANES, load(advance(p, LANES), 0))
    store(pointer(out[2]), 0, broadcast(p, 5))
    store(pointer(out[3]), 0, gather(p, 3))
    scatter(advance(pointer(out[4]), 1), 2, load(p, 0))
    store(pointer(out[5]), 0, splat(p, 0.1))
    store(pointer(out[6]), 0, splat(p, 7))
    out[7, 0] = total(load(p, 0))
    out[7, 1] = p[9]


@njit()
def converted(source, first, target):
    """Convert 16 elements from an offset on, which is aligned neither here nor there."""
    convert(advance(pointer(source), first), advance(pointer(target), first))


@njit()
def exponentials(x, out):
    for i in range(0, x.size, LANES):
        store(pointer(out), i, exp(load(pointer(x), i)))


@njit()
def logarithms(x, out):
    for i in range(0, x.size, LANES):
        store(pointer(out), i, log(load(pointer(x), i)))


def filled(numbers, dtype):
    """Return the numbers in aligned memory, filled up with ones to whole vectors."""
    numbers = np.asarray(numbers).ravel()
    memory = aligned(-(-numbers.size // LANES) * LANES, dtype)
    memory[:] = 1
    memory[: numbers.size] = numbers
    return memory


def applied(kernel, numbers, dtype):
    x = filled(numbers, dtype)
    out = aligned(x.size, dtype)
    kernel(x, out)
    return out[: np.size(numbers)]


def same(found, expected):
    """Require the same numbers, NaN in the same places and zeros of the same sign."""
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def special(dtype):
    limits = np.finfo(dtype)
    numbers = [0, 1, 1.5, 3, limits.tiny, limits.smallest_subnormal, limits.max, limits.eps, np.inf]
    return np.array([*numbers, *np.negative(numbers), np.nan], dtype)


def operands(dtype):
    """Return three arrays: all pairs of special numbers, then random ones of many sizes."""
    random = np.random.RandomState(2)
    numbers = special(dtype)
    a, b = (grid.ravel() for grid in np.meshgrid(numbers, numbers))
    c = numbers[(7 * np.arange(a.size) + np.arange(a.size) // numbers.size) % numbers.size]
    drawn = (random.rand(3, 512) - 0.5) * 2.0 ** random.randint(-30, 30, (3, 512))
    return [
        filled(np.concatenate([x, y.astype(dtype)]), dtype)
        for x, y in zip((a, b, c), drawn, strict=True)
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic(dtype):
    a, b, c = operands(dtype)
    out = aligned((7, a.size), dtype)
    arithmetic(a, b, c, out)
    with np.errstate(all="ignore"):
        expected = [a + b, a - b, a * b, a / b]
    for row, numbers in enumerate(expected):
        known = ~np.isnan(numbers)
        same(out[row][known], numbers[known])
        assert np.isnan(out[row][~known]).all()
    # Of NaN and a number, and of zeros of both signs, the second one.
    same(out[4], np.where(a > b, a, b))
    same(out[5], np.where(a > b, c, a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_rounds_once(dtype):
    a, b, c = operands(dtype)
    # Products that cancel against the third number up to their last bits.
    with np.errstate(all="ignore"):
        c[-256:] = -(a[-256:] * b[-256:])
    out = aligned((7, a.size), dtype)
    arithmetic(a, b, c, out)
    with np.errstate(all="ignore"):
        twice = a * b + c
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    different = 0
    for x, y, z, found, rough in zip(
        *(n[finite].tolist() for n in (a, b, c, out[6], twice)), strict=True
    ):
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        assert found == rounded(exact, dtype), (x, y, z)
        different += found != rough
    assert different > 100
    assert np.isnan(out[6][np.isnan(a) | np.isnan(b) | np.isnan(c)]).all()
    infinite = np.isinf(a) & (b == 1) & np.isfinite(c)
    assert infinite.any()
    same(out[6][infinite], a[infinite])


def rounded(exact, dtype):
    """Return the number of this type nearest to a fraction, the even one of two."""
    limits = np.finfo(dtype)
    if exact == 0:
        return 0.0
    # The exponent of the last bit: of the leading bit minus the bits of the mantissa.
    size = abs(exact)
    leading = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** leading:
        leading -= 1
    last = max(leading - limits.nmant, limits.minexp - limits.nmant)
    whole = round(exact / Fraction(2) ** last)
    if abs(whole) * Fraction(2) ** last > Fraction(float(limits.max)):
        return np.inf if exact > 0 else -np.inf
    return float(whole * Fraction(2) ** last)


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory(dtype):
    source = aligned(64, dtype)
    source[:] = np.random.RandomState(0).rand(64)
    out = aligned((8, 64), dtype)
    out[:] = -1
    memory(source, out)
    expected = np.full((8, 64), -1, dtype)
    expected[0, :16] = source[16:32]
    expected[1, 16:32] = source[16:32]
    expected[2, :16] = source[5]
    expected[3, :16] = source[:48:3]
    expected[4, 1:32:2] = source[:16]
    expected[5, :16] = dtype(0.1)
    expected[6, :16] = 7
    folded = source[:16]
    while len(folded) > 1:
        half = len(folded) // 2
        folded = folded[:half] + folded[half:]
    expected[7, :2] = folded[0], source[9]
    same(out, expected)


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("first", [0, 1, 7])
def test_convert(target, first):
    source = np.arange(256, dtype=np.uint8)[::-1].copy()
    for start in range(first, 256 - LANES + 1, LANES):
        out = np.full(256, -1, target)
        converted(source, start, out)
        expected = np.full(256, -1, target)
        expected[start : start + LANES] = source[start : start + LANES]
        same(out, expected)
    floats = np.random.RandomState(1).rand(64).astype(target)
    floats[first : first + 4] = [np.nan, np.inf, -0.0, np.finfo(target).smallest_subnormal]
    out = np.zeros(64, target)
    converted(floats, first, out)
    same(out[first : first + LANES], floats[first : first + LANES])
    assert not out[first + LANES :].any()


# --- exp and log ---------------------------------------------------------------------------------


def ulps(found, exact, dtype):
    """Return the largest error, in units of the last place of the exact result."""
    limits = np.finfo(dtype)
    exponent = np.floor(np.log2(np.abs(exact)))
    last = np.maximum(exponent, limits.minexp) - limits.nmant
    return float((np.abs(found.astype(exact.dtype) - exact) / np.exp2(last)).max())


def exp_inputs(dtype):
    """Return numbers over all of exp's range and near 0, made without a library function."""
    top = 103 if dtype == np.float32 else 745
    steps = np.arange(-64 * top, 64 * (88 if dtype == np.float32 else 709) + 1)
    grid = (steps * 2.0**-6 + (steps % 7919) * 2.0**-20).astype(dtype)
    near_zero = (np.arange(-4096, 4097) * 2.0**-14).astype(dtype)
    return np.concatenate([grid, near_zero, near_zero * dtype(2.0**-12)])


def log_inputs(dtype):
    """Return numbers of every normal exponent, and many near 1 and near the range's ends."""
    limits = np.finfo(dtype)
    exponents = np.ldexp(dtype(1), np.arange(limits.minexp, limits.maxexp))
    mantissas = (1 + (np.arange(32) * 2.0**-5 + np.arange(32) ** 3 * 2.0**-20)).astype(dtype)
    spread = (exponents[:, None] * mantissas).ravel()
    near_one = (1 + np.arange(-8192, 8193) * 2.0**-15).astype(dtype)
    nearest = (1 + np.arange(-512, 513) * float(limits.epsneg)).astype(dtype)
    ends = np.array([limits.tiny, limits.max], dtype)
    return np.concatenate([spread, near_one, nearest, ends])


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs more than 64-bit floats")
@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_is_within_two_ulps(dtype):
    x = exp_inputs(dtype)
    found = applied(exponentials, x, dtype)
    assert ulps(found, np.exp(x.astype(np.longdouble)), dtype) <= 2
    assert (found > 0).all()
    assert (found < np.finfo(dtype).tiny).sum() > 500


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_at_the_ends(dtype):
    largest, smallest = (88.72283, -103.97) if dtype == np.float32 else (709.782712, -745.13)
    x = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30, largest, largest + 1e-4, smallest]
    found = applied(exponentials, np.array(x, dtype), dtype)
    tiny = np.finfo(dtype).smallest_subnormal
    np.testing.assert_array_equal(found[:7], [1, 1, np.inf, 0, np.nan, np.inf, 0])
    assert np.finfo(dtype).max / 2 < found[7] < np.inf
    assert found[8] == np.inf
    assert found[9] == tiny
    beyond = applied(exponentials, np.array([smallest - 0.01, smallest - 100], dtype), dtype)
    np.testing.assert_array_equal(beyond, [0, 0])


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs more than 64-bit floats")
@pytest.mark.parametrize("dtype", DTYPES)
def test_log_is_within_two_ulps(dtype):
    x = log_inputs(dtype)
    x = x[x != 1]
    assert ulps(applied(logarithms, x, dtype), np.log(x.astype(np.longdouble)), dtype) <= 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_of_one_is_zero_and_of_nan_nan(dtype):
    np.testing.assert_array_equal(
        applied(logarithms, np.array([1, np.nan, 1], dtype), dtype), [0, np.nan, 0]
    )


def checksums():
    """Return a number for the bits of exp and log, in both types."""
    return [
        zlib.crc32(applied(kernel, inputs(dtype), dtype).tobytes())
        for kernel, inputs in ((exponentials, exp_inputs), (logarithms, log_inputs))
        for dtype in DTYPES
    ]


GOLDEN = [1844728296, 343670650, 1636366224, 312508887]


def test_exp_and_log_have_their_bits():
    assert checksums() == GOLDEN


@pytest.mark.parametrize("processor", ["nehalem", "haswell"])
def test_exp_and_log_have_the_same_bits_on_older_processors(processor, output_of):
    """Nehalem has vectors of 4 float32 and no fma, haswell vectors of 8."""
    lines = output_of(
        "import test_simd; print(test_simd.checksums())",
        environment={"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": None},
    )
    assert lines == [str(GOLDEN)]


def test_a_vector_fills_whole_cache_lines():
    assert LANES * np.dtype(np.float32).itemsize == simd.ALIGNMENT
