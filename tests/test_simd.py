"""Every operation on vectors, against NumPy."""

import zlib
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest

from fastdigit.jit import njit
from fastdigit.kernels.elementary import exp, log
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.simd import (
    ALIGNMENT,
    add,
    advance,
    divide,
    equal,
    fma,
    greater,
    lanes,
    load,
    maximum,
    multiply,
    pointer,
    record,
    select,
    splat,
    store,
    subtract,
    total,
)

DTYPES = [np.float32, np.float64]
LANES = {np.float32: 16, np.float64: 8}


class Three(NamedTuple):
    """What a record is read into."""

    first: int
    second: int
    third: int


@njit()
def lanewise(a, b, c, out):
    """Write the result of every lanewise operation to a row of its own."""
    for i in range(0, a.size, lanes(pointer(a))):
        x, y, z = load(pointer(a), i), load(pointer(b), i), load(pointer(c), i)
        store(pointer(out[0]), i, add(x, y))
        store(pointer(out[1]), i, subtract(x, y))
        store(pointer(out[2]), i, multiply(x, y))
        store(pointer(out[3]), i, divide(x, y))
        store(pointer(out[4]), i, maximum(x, y))
        store(pointer(out[5]), i, select(greater(x, y), z, x))
        store(pointer(out[6]), i, select(equal(x, y), z, x))
        store(pointer(out[7]), i, fma(x, y, z))


@njit()
def memory(source, numbers, out, found):
    """Move elements in every way there is, each into a row of its own."""
    p = pointer(source)
    width = lanes(p)
    store(pointer(out[0]), 0, load(p, width))
    store(pointer(out[1]), width, load(advance(p, 2 * width), 0))
    store(pointer(out[2]), 0, splat(p, 0.1))
    store(pointer(out[3]), 0, splat(p, 7))
    advance(pointer(out[4]), 3)[2] = p[9]
    three = record(Three, advance(pointer(numbers), 1))
    found[:] = (width, three.first, three.second, three.third)


@njit()
def totals(source, out):
    for i in range(len(out)):
        out[i] = total(load(pointer(source[i]), 0))


@njit()
def exponentials(x, out):
    for i in range(0, x.size, lanes(pointer(x))):
        store(pointer(out), i, exp(load(pointer(x), i)))


@njit()
def logarithms(x, out):
    for i in range(0, x.size, lanes(pointer(x))):
        store(pointer(out), i, log(load(pointer(x), i)))


def filled(numbers, dtype):
    """Return the numbers in aligned memory, filled up with ones to whole vectors."""
    numbers = np.asarray(numbers).ravel()
    memory = aligned(-(-numbers.size // 16) * 16, dtype)
    memory[:] = 1
    memory[: numbers.size] = numbers
    return memory


def applied(kernel, numbers, dtype):
    x = filled(numbers, dtype)
    out = aligned(x.size, dtype)
    kernel(x, out)
    return out[: np.size(numbers)]


def same(found, expected):
    """Require the same numbers, NaN in the same places, and zeros of the same sign."""
    np.testing.assert_array_equal(found, expected)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(expected)[known])


def special(dtype):
    limits = np.finfo(dtype)
    numbers = [0, 1, 1.5, 3, limits.tiny, limits.smallest_subnormal, limits.max, limits.eps, np.inf]
    return np.array([*numbers, *np.negative(numbers), np.nan], dtype)


def drawn(random, shape):
    """Return numbers of both signs and many sizes."""
    return (random.rand(*shape) - 0.5) * 2.0 ** random.randint(-30, 30, shape)


def operands(dtype):
    """Return three arrays: all pairs of special numbers, then random ones."""
    numbers = special(dtype)
    a, b = (grid.ravel() for grid in np.meshgrid(numbers, numbers))
    c = numbers[(7 * np.arange(a.size) + np.arange(a.size) // numbers.size) % numbers.size]
    random = drawn(np.random.RandomState(2), (3, 512))
    return [
        filled(np.concatenate([x, y.astype(dtype)]), dtype)
        for x, y in zip((a, b, c), random, strict=True)
    ]


def fused(a, b, c, dtype):
    """Return a * b + c as IEEE 754 defines it: exact, and then rounded once."""
    arrays = np.broadcast_arrays(a, b, c)
    numbers = [_fused(*map(float, row), dtype) for row in zip(*map(np.ravel, arrays), strict=True)]
    return np.array(numbers, dtype).reshape(arrays[0].shape)


def _fused(a, b, c, dtype):
    if not np.isfinite([a, b, c]).all():
        if np.isfinite([a, b]).all():
            return c
        with np.errstate(all="ignore"):
            return np.float64(a) * b + c
    product = Fraction(a) * Fraction(b)
    exact = product + Fraction(c)
    if exact:
        return np.copysign(rounded(exact, dtype), 1 if exact > 0 else -1)
    if product or c:  # they cancel
        return 0.0
    return np.copysign(0.0, a) * np.copysign(1.0, b) + c


def rounded(exact, dtype):
    """Return the number of this type nearest to a fraction, the even one of two."""
    limits = np.finfo(dtype)
    # The exponent of the last bit: of the leading bit minus the bits of the mantissa.
    size = abs(exact)
    leading = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** leading:
        leading -= 1
    last = max(leading - limits.nmant, limits.minexp - limits.nmant)
    whole = round(exact / Fraction(2) ** last)
    if abs(whole) * Fraction(2) ** last > Fraction(float(limits.max)):
        return np.inf
    return float(whole * Fraction(2) ** last)


def folded(vectors):
    """Return the sum of each vector's lanes: the upper half is added to the lower, and so on."""
    while vectors.shape[-1] > 1:
        half = vectors.shape[-1] // 2
        vectors = vectors[..., :half] + vectors[..., half:]
    return vectors[..., 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic(dtype):
    a, b, c = operands(dtype)
    out = aligned((8, a.size), dtype)
    lanewise(a, b, c, out)
    with np.errstate(all="ignore"):
        expected = [a + b, a - b, a * b, a / b]
    for row, numbers in enumerate(expected):
        same(out[row], numbers)
    # Of NaN and a number, and of zeros of both signs, the second one.
    same(out[4], np.where(a > b, a, b))
    same(out[5], np.where(a > b, c, a))
    same(out[6], np.where(a == b, c, a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_rounds_once(dtype):
    a, b, c = operands(dtype)
    # Products that cancel against the third number up to their last bits.
    with np.errstate(all="ignore"):
        c[-256:] = -(a[-256:] * b[-256:])
    out = aligned((8, a.size), dtype)
    lanewise(a, b, c, out)
    same(out[7], fused(a, b, c, dtype))
    with np.errstate(all="ignore"):
        assert (out[7] != a * b + c).sum() > 150


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory(dtype):
    source = aligned(64, dtype)
    source[:] = np.random.RandomState(0).rand(64)
    out, found = aligned((5, 64), dtype), np.zeros(4, np.int64)
    out[:] = -1
    memory(source, np.arange(10, 70, 10), out, found)
    width = LANES[dtype]
    assert found.tolist() == [width, 20, 30, 40]
    assert width * source.itemsize == ALIGNMENT
    expected = np.full((5, 64), -1, dtype)
    expected[0, :width] = source[width : 2 * width]
    expected[1, width : 2 * width] = source[2 * width : 3 * width]
    expected[2, :width] = 0.1
    expected[3, :width] = 7
    expected[4, 5] = source[9]
    same(out, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_order_of_a_total(dtype):
    source = aligned((300, LANES[dtype]), dtype)
    source[:] = drawn(np.random.RandomState(3), source.shape)
    source[200:] = np.random.RandomState(4).choice(special(dtype), source[200:].shape)
    found = np.zeros(len(source), dtype)
    totals(source, found)
    with np.errstate(all="ignore"):
        same(found, folded(source))
        neighbours = source.reshape(300, -1, 2).sum(axis=2)
        others = source.sum(axis=1), folded(neighbours), folded(source[:, ::-1])
    # Only this order gives these bits; that of the two halves cannot show.
    assert [np.any((found != other)[:200]) for other in others] == [True, True, False]


# --- exp and log ---------------------------------------------------------------------------------


def ulps(found, exact, dtype):
    """Return the largest error, in units of the last place of the exact result."""
    limits = np.finfo(dtype)
    exponent = np.floor(np.log2(np.abs(exact)))
    last = np.maximum(exponent, limits.minexp) - limits.nmant
    return float((np.abs(found.astype(exact.dtype) - exact) / np.exp2(last)).max())


def exp_inputs(dtype):
    """Return numbers over all of exp's range and near 0, made without a library function."""
    least, most = (-87.5, 88.25) if dtype == np.float32 else (-708.5, 709.25)
    steps = np.arange(64 * least, 64 * most + 1)
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
    limits = np.finfo(dtype)
    assert found.min() < 4 * limits.tiny
    assert found.max() > limits.max / 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_at_the_ends(dtype):
    x = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30]
    found = applied(exponentials, np.array(x, dtype), dtype)
    np.testing.assert_array_equal(found, [1, 1, np.inf, 0, np.nan, np.inf, 0])
    # Beyond the last normal power of two: where its exponent is half a step further.
    limits = np.finfo(dtype)
    smallest, largest = (limits.minexp - 0.5) * np.log(2), (limits.maxexp - 0.5) * np.log(2)
    x = [smallest + 1e-4, smallest - 1e-4, largest - 1e-4, largest + 1e-4, np.finfo(dtype).max]
    found = applied(exponentials, np.array([*x, -x[-1]], dtype), dtype)
    assert limits.tiny / 2 < found[0] < limits.tiny
    assert limits.max / 2 < found[2] < np.inf
    np.testing.assert_array_equal(found[[1, 3, 4, 5]], [0, np.inf, np.inf, 0])


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


GOLDEN = [3533079517, 1353036569, 1636366224, 312508887]


def test_exp_and_log_have_their_bits():
    assert checksums() == GOLDEN


@pytest.mark.parametrize("processor", ["nehalem", "haswell"])
def test_exp_and_log_have_the_same_bits_on_older_processors(processor, output_of):
    """Nehalem has vectors of 4 float32 and no fma, haswell vectors of 8."""
    # Without the empty list of features Numba adds all that this processor has.
    lines = output_of(
        "import test_simd; print(test_simd.checksums())",
        environment={"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""},
    )
    assert lines == [str(GOLDEN)]
