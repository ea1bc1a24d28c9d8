"""Numbers as digits, against Python's whole numbers and fractions."""

from fractions import Fraction

import numpy as np
import pytest
from test_simd import DTYPES, LANES, drawn, rounded

from fastdigit.jit import njit
from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.digits import (
    BASE,
    DIGITS,
    FULL,
    bits_of_digits,
    joined,
    largest_exponent,
    scale_of,
    store_pairs,
    sums_of_pairs,
    turn_pairs,
    write_digits,
)
from fastdigit.kernels.dots import load_sums
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.matrix import DEPTH, ROWS
from fastdigit.kernels.simd import advance, lanes, load, pointer, splat, store

BITS = {np.float32: 23, np.float64: 47}
"""The power of two that all digits together are below."""
MOST = {np.float32: 2.0**126, np.float64: 2.0**1022}
"""The largest factor: it can still be inverted."""

dtypes = pytest.mark.parametrize("dtype", DTYPES)


@njit()
def scales(numbers, count, room, out):
    out[:] = scale_of(pointer(numbers), count, pointer(room))


@njit()
def limits(like, out):
    out[:] = (bits_of_digits(pointer(like)), largest_exponent(pointer(like)))


@njit()
def write_all(numbers, factor, out):
    """Write the digits of each vector to a row of its own."""
    p = pointer(numbers)
    for k in range(len(out)):
        write_digits(pointer(out[k]), load(p, k * lanes(p)), splat(p, factor))


@njit()
def join_all(sums, out):
    """Join each row of sums to a vector."""
    p = pointer(out)
    for k in range(len(sums)):
        store(p, k * lanes(p), joined(pointer(sums[k]), p))


@njit()
def join_pairs(words, both, pairs, apart, own, out):
    """Join words (16, lefts, 16), two of them stored at a time, to numbers (10, 16)."""
    p, sums = pointer(out), sums_of_pairs(pointer(own))
    lefts = words.shape[1]
    for pair in range(0, lefts, 2):
        for word in range(0, ROWS, 2):
            both[:] = words[word : word + 2, pair : pair + 2]
            target = advance(pointer(pairs), word * apart)
            store_pairs(target, apart, load_sums(pointer(both), 4), sums)
        turn_pairs(pointer(pairs), apart, advance(sums, pair * ROWS * ROWS))
    for k in range(0, UNITS * ROWS, lanes(p)):
        store(p, k, joined(advance(sums, k), p))


def vectors(numbers, dtype, lane=0):
    """Return the numbers in aligned memory, from a lane on, and zeros up to whole vectors."""
    memory = aligned(-(-(len(numbers) + lane) // LANES[dtype]) * LANES[dtype], dtype)
    memory[lane : lane + len(numbers)] = numbers
    return memory


def scale(numbers):
    """Return the factor and its inverse."""
    dtype = numbers.dtype.type
    width, out = LANES[dtype], np.zeros(2)
    scales(numbers, numbers.size // width, aligned(width, dtype), out)
    return out.tolist()


def digits(numbers, factor):
    """Return the digits (digits, numbers) of whole vectors, as numbers that can be added up."""
    width, count = LANES[numbers.dtype.type], DIGITS[numbers.dtype.name]
    out = aligned((numbers.size // width, count, UNITS, DEPTH), np.int8)
    out[:] = 99
    write_all(numbers, factor, out.reshape(len(out), -1))
    # Nothing else is written.
    assert (out[:, :, 1:] == 99).all()
    assert (out[:, :, 0, width:] == 99).all()
    return out[:, :, 0, :width].swapaxes(0, 1).reshape(count, -1).astype(np.int64)


def whole(found):
    """Return the whole numbers that digits stand for."""
    return (found * BASE ** np.arange(len(found))[:, None]).sum(axis=0)


def together(sums, dtype):
    """Return what sums (digits, numbers) of digits are joined to."""
    width, (count, size) = LANES[dtype], np.shape(sums)
    rows = np.zeros((count, -(-size // width) * width), np.int64)
    rows[:, :size] = sums
    memory = aligned((rows.shape[1] // width, count, UNITS, ROWS), np.int32)
    memory[:] = 99
    memory[:, :, 0, :width] = rows.reshape(count, -1, width).swapaxes(0, 1)
    assert (np.abs(rows) < 2**31).all()
    out = aligned(rows.shape[1], dtype)
    join_all(memory.reshape(len(memory), -1), out)
    return out[:size]


def sizes(dtype):
    """Return numbers of every size, and those around a change of the factor."""
    info = np.finfo(dtype)
    powers = np.ldexp(dtype(1), np.arange(info.minexp - info.nmant, info.maxexp))
    change = dtype(2 / FULL)
    near = [np.nextafter(change, 0), change, np.nextafter(change, dtype(2)), 2 - info.eps, 1.5]
    return [*powers, *np.array(near, dtype), info.max]


@dtypes
def test_limits(dtype):
    found = np.zeros(2, np.int64)
    limits(np.zeros(1, dtype), found)
    assert found.tolist() == [BITS[dtype], np.log2(MOST[dtype])]
    assert DIGITS[np.dtype(dtype).name] * 8 - 1 == BITS[dtype]
    assert MOST[dtype] ** -1.0 >= np.finfo(dtype).tiny


@dtypes
def test_the_largest_number_fills_the_digits_but_for_two_bits(dtype):
    """Unless that takes too large a factor; and what it is multiplied by can be inverted."""
    for largest in sizes(dtype):
        for number in (largest, -largest):
            factor, inverse = scale(vectors([number, number / 2], dtype))
            assert np.frexp(factor)[0] == 0.5
            assert dtype(factor) * dtype(inverse) == factor * inverse == 1
            filling = Fraction(float(largest)) * Fraction(factor)
            assert filling <= Fraction(2 ** BITS[dtype]) / Fraction(FULL)
            assert filling >= 2 ** (BITS[dtype] - 2) or factor == MOST[dtype]


@dtypes
def test_any_number_may_be_the_largest(dtype):
    width = LANES[dtype]
    for place in range(3 * width):
        for number in (5e6, -5e6):
            numbers = vectors(np.full(3 * width, -0.25), dtype)
            numbers[place] = number
            assert scale(numbers) == scale(vectors([number], dtype))


@dtypes
def test_zeros_have_a_scale_and_no_digits(dtype):
    for zero in (0.0, -0.0):
        numbers = vectors([zero] * 40, dtype)
        factor, inverse = scale(numbers)
        assert (factor, inverse) == (MOST[dtype], 1 / MOST[dtype])
        assert not digits(numbers, factor).any()
    assert np.isfinite(scale(aligned(0, dtype))).all()


@dtypes
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite_have_no_inverse(number, dtype):
    for others in (0, 1, np.finfo(dtype).max):
        for place in range(2 * LANES[dtype]):
            numbers = vectors([others] * 40, dtype)
            numbers[place] = number
            factor, inverse = scale(numbers)
            assert np.isfinite(factor)
            assert np.isnan(inverse)
            assert digits(numbers, factor)[:, place].tolist() == [0] * DIGITS[numbers.dtype.name]


@dtypes
def test_digits_are_those_of_the_rounded_number(dtype):
    """Of numbers of many sizes, below a largest one of any size, subnormal ones included."""
    info = np.finfo(dtype)
    random = np.random.RandomState(0)
    for exponent in range(info.minexp - info.nmant, info.maxexp, 19):
        numbers = vectors(np.ldexp(drawn(random, (400,)), exponent - 30), dtype)
        factor, _ = scale(numbers)
        expected = np.rint(numbers * dtype(factor)).astype(np.int64)
        found = digits(numbers, factor)
        np.testing.assert_array_equal(whole(found), expected)
        assert expected.any() or factor == MOST[dtype]


@dtypes
def test_whole_numbers_and_halves(dtype):
    """Halves are rounded to even numbers."""
    most = int(2 ** BITS[dtype] / FULL)
    numbers = [most, most - 1, *(2**k + d for k in range(1, BITS[dtype] - 1) for d in (-1, 0, 1))]
    numbers = vectors([*numbers, *np.negative(numbers), *np.arange(-4.5, 5)], dtype)
    found = digits(numbers, 1.0)
    np.testing.assert_array_equal(whole(found), np.rint(numbers))
    assert (found.min(), found.max()) == (-128, 127)


@dtypes
def test_what_is_too_large_has_no_digits(dtype):
    limit = 2.0 ** BITS[dtype]
    numbers = vectors([limit, -limit, 1.5 * limit, np.finfo(dtype).max, -np.inf, 1], dtype)
    found = digits(numbers, 1.0)
    assert whole(found)[:6].tolist() == [0, 0, 0, 0, 0, 1]


def spelled(number, count):
    """Return sums of digits that stand for a number; the last one has all that is left."""
    found = []
    for _ in range(count - 1):
        found.append(number % BASE)
        number //= BASE
    return [*found, number]


def horner(row, dtype):
    """Return what sums of digits stand for, each step rounded once."""
    value, *lower = (rounded(Fraction(int(s)), dtype) for s in reversed(row))
    for digit in lower:
        value = rounded(Fraction(value) * BASE + Fraction(digit), dtype)
    return value


@dtypes
def test_sums_are_joined_with_a_rounding_for_each_digit(dtype):
    """Of numbers of both signs, up to the largest sums, and of ties and what is next to them."""
    count, bits = DIGITS[np.dtype(dtype).name], np.finfo(dtype).nmant + 1
    random = np.random.RandomState(1)
    sums = [(random.randint(0, 2**32, count) - 2**31) >> random.randint(1, 32) for _ in range(2000)]
    sums += [[sign * (2**31 - 1)] * count for sign in (1, -1)]
    top = 8 * (count - 1) + 30
    ties = [(2**bits + 2 * k + 1) << shift for k in range(4) for shift in range(top - bits)]
    for tie in ties:
        for near in (tie - 1, tie, tie + 1):
            sums += [spelled(sign * near, count) for sign in (1, -1)]
    expected = [horner(row, dtype) for row in sums]
    np.testing.assert_array_equal(together(np.transpose(sums), dtype), np.array(expected, dtype))


@dtypes
@pytest.mark.parametrize("apart", [2 * ROWS, 3 * ROWS])
def test_sums_of_words_are_joined_to_the_same_numbers(dtype, apart):
    """Whether before they are turned, as in float32, or after it."""
    count = DIGITS[np.dtype(dtype).name]
    lefts = 2 * -(-count * UNITS // (2 * ROWS))
    random = np.random.RandomState(3)
    words = aligned((ROWS, lefts, ROWS), np.int32)
    words[:] = random.randint(-(2**31), 2**31, words.shape)
    out = aligned((UNITS, ROWS), dtype)
    own = aligned(lefts * ROWS * ROWS, dtype)
    both, pairs = aligned((2, 2, ROWS), np.int32), aligned(ROWS * apart, np.int32)
    join_pairs(words, both, pairs, apart, own, out)
    sums = words.reshape(ROWS, -1)[:, : count * UNITS].T.reshape(count, -1)
    np.testing.assert_array_equal(out.ravel(), together(sums, dtype))


@dtypes
def test_products_with_bytes_are_as_exact_as_is_promised(dtype):
    """Half a step of the digits for each pixel, however the numbers cancel, and one rounding."""
    random = np.random.RandomState(2)
    pixels = random.randint(0, 256, 784)
    for largest in (0.0078, 1, 1.98, 1.99, 3e20):
        numbers = vectors(random.uniform(-largest, largest, 784), dtype)
        numbers[7] = largest
        factor, inverse = scale(numbers)
        found = digits(numbers, factor)
        steps = Fraction(FULL) * Fraction(float(numbers[7])) / 2 ** BITS[dtype]
        exact = [Fraction(x) for x in numbers.tolist()]
        apart = [
            abs(int(w) * Fraction(inverse) - x) for w, x in zip(whole(found), exact, strict=True)
        ]
        assert steps / 8 < max(apart) <= steps
        product = Fraction(float(together((found * pixels).sum(axis=1)[:, None], dtype)[0]))
        product *= Fraction(inverse)
        truth = sum(x * int(pixel) for x, pixel in zip(exact, pixels, strict=True))
        rounding = abs(product) * Fraction(float(np.finfo(dtype).eps))
        assert abs(product - truth) <= steps * int(pixels.sum()) + rounding
