"""Numbers as digits to the base 256, so that sums of their products with bytes are exact.

A float is multiplied by a power of two, rounded to a whole number and written with digits from -128
to 127: three for float32, six for float64. All numbers that are added up together have the same
power, chosen by the largest of them, so that its whole number fills the digits. Digits times bytes
are added up as whole numbers, and only the sums are rounded to floats again: what an order of sums
could change is gone, and the whole error is that of the rounding at the beginning, less than 2^-22
or 2^-46 of the largest number for each product, and a quarter of that on average. Sums of floats
round each time, relative to a sum, which comes to about as much. They are nearer to the truth where
the largest number is far above the others and meets no pixel, and where all numbers are so small
that no power of two fills their digits: below 2^-103 or 2^-975.

Splitting numbers for exact products on integer hardware is the Ozaki scheme (Ozaki, Ogita, Oishi
and Rump, "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications", 2012; with integers, Ootomo, Ozaki and Yokota, "DGEMM on
integer matrix multiplication unit", 2024). Here one side is bytes already.
"""

from functools import reduce
from typing import Any

from llvmlite import ir
from numba import types

from fastdigit.jit import njit
from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.matrix import DEPTH, ROWS, write_transposed
from fastdigit.kernels.simd import (
    ALIGNMENT,
    Vector,
    constant,
    fma,
    fma_of,
    lanes,
    load,
    maximum,
    operation,
    read,
    shuffled,
    splat,
    store,
    subtract,
    total,
    write,
)

Pointer = Any
"""To elements of one type, in compiled code."""

BASE = 256
DIGITS = {"float32": 3, "float64": 6}
FULL = 1 + 2**-7
"""What the largest number may be multiplied by and still be below a power of two: its digits are
then no more than 127."""


def _digits(element: Any) -> int:
    return DIGITS[element.name]


@operation
def bits_of_digits(typing: Any, like: Any) -> Any:
    """Return the power of two that whole numbers are below which the digits can write."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.IntType(64)(8 * _digits(like.dtype) - 1)

    return types.int64(like), generate


@operation
def largest_exponent(typing: Any, like: Any) -> Any:
    """Return an exponent of two that can be inverted in the pointer's element type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.IntType(64)(126 if like.dtype == types.float32 else 1022)

    return types.int64(like), generate


@operation
def exponent_above(typing: Any, number: Any) -> Any:
    """Return e with |number| < 2^e, the smallest unless the number is subnormal."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.IntType(64)
        bits = builder.bitcast(arguments[0], whole)
        field = builder.and_(builder.lshr(bits, whole(52)), whole(2047))
        return builder.sub(field, whole(1022))

    return types.int64(types.float64), generate


@operation
def power_of_two(typing: Any, exponent: Any) -> Any:
    """Return 2^exponent, for exponents from -1022 to 1023."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.IntType(64)
        bits = builder.shl(builder.add(arguments[0], whole(1023)), whole(52))
        return builder.bitcast(bits, ir.DoubleType())

    return types.float64(types.int64), generate


@njit(inner=True)
def power_for(largest: Pointer) -> tuple[float, float]:
    """Return what to multiply numbers by before they are rounded, and its inverse.

    None of them is larger than the largest lane of a vector at a pointer, which is not negative.
    """
    bound = 0.0
    for lane in range(lanes(largest)):
        bound = max(bound, largest[lane])
    exponent = bits_of_digits(largest) - exponent_above(bound * FULL)
    exponent = min(max(exponent, -1022), largest_exponent(largest))
    return power_of_two(exponent), power_of_two(-exponent)


@njit(inner=True)
def scale_of(start: Pointer, count: int, room: Pointer) -> tuple[float, float]:
    """Return `power_for` so many vectors of numbers; the room is for one.

    The inverse is NaN where one of the numbers is not finite.
    """
    zero = splat(start, 0.0)
    largest = not_finite = zero
    for k in range(count):
        x = load(start, k * lanes(start))
        largest = maximum(largest, maximum(x, subtract(zero, x)))
        not_finite = fma(x, zero, not_finite)
    store(room, 0, largest)
    factor, inverse = power_for(room)
    return factor, inverse + total(not_finite)


@operation
def write_digits(typing: Any, target: Any, x: Any, factor: Any) -> Any:
    """Write the digits of a vector times a factor, rounded, as one byte a lane.

    They are rows of 64 bytes that are UNITS rows apart, lowest digits first.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, x, factor = arguments
        vector = x.type
        bits = 32 if x.type.count == ROWS else 64
        digits = 3 if bits == 32 else 6
        whole = ir.VectorType(ir.IntType(bits), vector.count)

        def number(value: int) -> Any:
            return ir.Constant(whole, [ir.Constant(whole.element, value)] * vector.count)

        x = builder.fmul(x, factor)
        limit = constant(vector, 2.0 ** (8 * digits - 1))
        small = builder.and_(
            builder.fcmp_ordered("<", x, limit), builder.fcmp_ordered(">", x, builder.fneg(limit))
        )
        # What is too large, or NaN, has no digits; its scale has said so.
        x = builder.select(small, x, constant(vector, 0.0))
        name = f"llvm.nearbyint.v{vector.count}f{bits}"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(vector, [vector]), name)
        # With 128 added to each digit, they are the bytes of a number; the lowest digits of all
        # lanes come first then, and so on.
        size = bits // 8
        biased = builder.add(
            builder.fptosi(builder.call(function, [x]), whole),
            number(sum(128 * BASE**digit for digit in range(digits))),
        )
        places = [lane * size + digit for digit in range(size) for lane in range(vector.count)]
        narrow = ir.VectorType(ir.IntType(8), DEPTH)
        given = builder.bitcast(biased, narrow)
        given = builder.xor(given, ir.Constant(narrow, [ir.Constant(narrow.element, 128)] * DEPTH))
        given = shuffled(builder, given, given, places)
        for digit in range(digits):
            place = builder.gep(target, [ir.IntType(64)(digit * UNITS * DEPTH)])
            lanes = list(range(digit * vector.count, (digit + 1) * vector.count))
            write(builder, shuffled(builder, given, given, lanes), place, align=vector.count)
        return context.get_dummy_value()

    return types.none(target, x, x), generate


def _horner(builder: Any, digits: list[Any]) -> Any:
    """Return what vectors of digits stand for, the lowest ones first; rounds once for each."""
    base = constant(digits[0].type, BASE)
    return reduce(lambda high, low: fma_of(builder, high, base, low), reversed(digits))


@operation
def joined(typing: Any, sums: Any, like: Any) -> Any:
    """Return the numbers that sums of digits stand for, as a vector of the type of `like`.

    The sums are rows of 16 whole numbers that are UNITS rows apart, those of the lowest digits
    first. Where floats are given instead, they are these numbers already.
    """
    vector = Vector(like.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        floats = context.get_value_type(vector)
        if sums.dtype == like.dtype:
            return read(builder, arguments[0], floats)
        row = ir.VectorType(ir.IntType(32), vector.lanes)
        values = []
        for digit in range(_digits(like.dtype)):
            place = builder.gep(arguments[0], [ir.IntType(64)(digit * UNITS * ROWS)])
            whole = read(builder, place, row, align=min(ALIGNMENT, 4 * vector.lanes))
            values.append(builder.sitofp(whole, floats))
        return _horner(builder, values)

    return vector(sums, like), generate


def _fit_a_pair(element: Any) -> bool:
    """Return whether all digits of ten units, side by side, fit a pair of vectors."""
    return _digits(element) * UNITS <= 2 * ROWS


@operation
def sums_of_pairs(typing: Any, own: Any) -> Any:
    """Return a pointer to floats as one to what `store_pairs` writes: floats, or whole numbers."""
    kind = own if _fit_a_pair(own.dtype) else types.CPointer(types.int32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(kind))

    return kind(own), generate


@operation
def vectors_of_pair(typing: Any, like: Any) -> Any:
    """Return how many vectors `store_pairs` writes of each pair."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.IntType(64)(2 if like.dtype == types.int32 else 1)

    return types.int64(like), generate


@operation
def store_pairs(typing: Any, target: Any, apart: Any, sums: Any, like: Any) -> Any:
    """Write pairs of vectors of sums, which have the digits of ten units side by side.

    If `like` points to floats, what they stand for is written instead: a vector a pair, of ten
    numbers and six that mean nothing. Pairs are written so many elements of four bytes apart.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, apart, values, _ = arguments
        for first in range(0, sums.count, 2):
            pair = [builder.extract_value(values, first + k) for k in range(2)]
            if like.dtype != types.int32:
                floats = context.get_value_type(Vector(like.dtype))
                digits = []
                for digit in range(_digits(like.dtype)):
                    lanes = [(digit * UNITS + k) % (2 * ROWS) for k in range(ROWS)]
                    own = shuffled(builder, pair[0], pair[1], lanes)
                    digits.append(builder.sitofp(own, floats))
                pair = [_horner(builder, digits)]
            for k, vector in enumerate(pair):
                write(builder, vector, builder.gep(place, [ir.IntType(64)(k * ROWS)]))
            place = builder.gep(place, [apart])
        return context.get_dummy_value()

    return types.none(target, types.int64, sums, like), generate


@operation
def turn_pairs(typing: Any, pairs: Any, pitch: Any, sums: Any) -> Any:
    """Lay sixteen words side by side that `store_pairs` has written, so many elements apart.

    Row by row of the two vectors of sums, or of the ten numbers: see `sums_of_pairs`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, pitch, target = arguments
        target = builder.bitcast(target, source.type)
        whole = sums.dtype == types.int32
        for k in range(2 if whole else 1):
            place = builder.gep(source, [ir.IntType(64)(k * ROWS)])
            columns = ROWS if whole else -(-UNITS // 4) * 4
            write_transposed(builder, place, pitch, target, ir.IntType(64)(ROWS), columns)
            target = builder.gep(target, [ir.IntType(64)(ROWS * ROWS)])
        return context.get_dummy_value()

    return types.none(pairs, types.int64, sums), generate
