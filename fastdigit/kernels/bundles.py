"""Bundles: ten vectors that stay in registers together, as the sums of ten units do.

Like `simd`, these are operations for compiled code; their order and rounding are fixed.
"""

from typing import Any

from llvmlite import ir
from numba import types

from fastdigit.kernels.simd import (
    ALIGNMENT,
    Vector,
    at_vector,
    constant,
    fma_of,
    index,
    operation,
    read,
    shuffled,
    splatted,
    write,
)

UNITS = 10
"""Vectors in a bundle: enough to keep both multipliers of a processor busy while each addition
takes four cycles, and few enough for two bundles in the registers of AVX-512. The classic network
has ten units a layer, so nothing is left over."""


def _bundle(element: Any) -> Any:
    return types.UniTuple(Vector(element), UNITS)


def _rows(builder: Any, start: Any, vector: Any) -> list[Any]:
    """Return pointers to UNITS vectors, one after the other."""
    return [at_vector(builder, start, index(unit), vector) for unit in range(UNITS)]


def _scalars(builder: Any, start: Any, lanes: int) -> list[Any]:
    """Return UNITS vectors with one element each, one after the other in memory, in every lane."""
    places = [builder.gep(start, [index(unit)]) for unit in range(UNITS)]
    return [splatted(builder, builder.load(place), lanes) for place in places]


def _made(context: Any, builder: Any, kind: Any, vectors: list[Any]) -> Any:
    return context.make_tuple(builder, kind, vectors)


def _unpacked(builder: Any, bundle: Any) -> list[Any]:
    return [builder.extract_value(bundle, unit) for unit in range(UNITS)]


@operation
def zeros(typing: Any, start: Any) -> Any:
    """Return a bundle of zeros of the pointer's element type."""
    kind = _bundle(start.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(kind), None)

    return kind(start), generate


@operation
def store_each(typing: Any, start: Any, bundle: Any) -> Any:
    """Write the vectors of a bundle one after the other; the address is aligned."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = _unpacked(builder, arguments[1])
        for value, place in zip(values, _rows(builder, arguments[0], values[0].type), strict=True):
            builder.store(value, place, align=ALIGNMENT)
        return context.get_dummy_value()

    return types.none(start, bundle), generate


@operation
def add_each(typing: Any, start: Any, bundle: Any) -> Any:
    """Return a bundle plus the vectors that lie one after the other at a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = _unpacked(builder, arguments[1])
        rows = _rows(builder, arguments[0], values[0].type)
        sums = [
            builder.fadd(value, builder.load(row, align=ALIGNMENT))
            for value, row in zip(values, rows, strict=True)
        ]
        return _made(context, builder, bundle, sums)

    return bundle(start, bundle), generate


@operation
def farthest_each(typing: Any, start: Any, bundle: Any) -> Any:
    """Return a bundle, with the absolute values of vectors at a pointer where these are larger."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = _unpacked(builder, arguments[1])
        vector = values[0].type
        name = f"llvm.fabs.v{vector.count}f{bundle.dtype.element.bitwidth}"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(vector, [vector]), name)
        kept = []
        for value, row in zip(values, _rows(builder, arguments[0], vector), strict=True):
            size = builder.call(function, [builder.load(row, align=ALIGNMENT)])
            kept.append(builder.select(builder.fcmp_ordered(">", size, value), size, value))
        return _made(context, builder, bundle, kept)

    return bundle(start, bundle), generate


@operation
def fma_each(typing: Any, x: Any, start: Any, bundle: Any) -> Any:
    """Return a bundle plus x times the vectors that lie one after the other at a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, first, sums = arguments
        rows = [builder.load(row, align=ALIGNMENT) for row in _rows(builder, first, x.type)]
        sums = [
            fma_of(builder, x, row, value)
            for row, value in zip(rows, _unpacked(builder, sums), strict=True)
        ]
        return _made(context, builder, bundle, sums)

    return bundle(x, start, bundle), generate


@operation
def fma_scalars(typing: Any, x: Any, start: Any, bundle: Any) -> Any:
    """Return a bundle plus x times UNITS numbers, one for each vector, at a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, first, sums = arguments
        sums = [
            fma_of(builder, x, number, value)
            for number, value in zip(
                _scalars(builder, first, x.type.count), _unpacked(builder, sums), strict=True
            )
        ]
        return _made(context, builder, bundle, sums)

    return bundle(x, start, bundle), generate


@operation
def affine(typing: Any, bundle: Any, factor: Any, start: Any, floor: Any) -> Any:
    """Return max(floor, bundle * factor + number), with one number for each vector at a pointer.

    NaN stays NaN.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, factor, first, floor = arguments
        numbers = _scalars(builder, first, factor.type.count)
        values = []
        for value, number in zip(_unpacked(builder, sums), numbers, strict=True):
            z = fma_of(builder, value, factor, number)
            values.append(builder.select(builder.fcmp_ordered(">", floor, z), floor, z))
        return _made(context, builder, bundle, values)

    return bundle(bundle, factor, start, factor), generate


@operation
def where_positive(typing: Any, start: Any, bundle: Any) -> Any:
    """Return a bundle with 0 where the vectors at a pointer, one after the other, are at most 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = _unpacked(builder, arguments[1])
        zero = constant(values[0].type, 0.0)
        rows = _rows(builder, arguments[0], values[0].type)
        kept = [
            builder.select(
                builder.fcmp_ordered(">", builder.load(row, align=ALIGNMENT), zero), value, zero
            )
            for row, value in zip(rows, values, strict=True)
        ]
        return _made(context, builder, bundle, kept)

    return bundle(start, bundle), generate


@operation
def add_totals(typing: Any, start: Any, bundle: Any) -> Any:
    """Add the sum of the lanes of each vector to one of UNITS numbers at a pointer.

    Two vectors at a time are folded into one, which holds the halves of both: so all sums take
    about three instructions for each vector.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rest = _unpacked(builder, arguments[1])
        count = rest[0].type.count
        width = count
        while width > 1:
            if len(rest) % 2:
                rest.append(constant(rest[0].type, 0.0))
            half = width // 2
            places = range(0, 2 * count, width)
            low, high = (
                [place + i for place in places for i in range(begin, begin + half)]
                for begin in (0, half)
            )
            # Where both vectors hold several sums, those of the first stay in front.
            rest = [
                builder.fadd(shuffled(builder, a, b, low), shuffled(builder, a, b, high))
                for a, b in zip(rest[::2], rest[1::2], strict=True)
            ]
            width = half
        row = ir.VectorType(rest[0].type.element, UNITS)
        second = rest[1] if len(rest) > 1 else rest[0]
        sums = shuffled(builder, rest[0], second, list(range(UNITS)))
        size = start.dtype.bitwidth // 8
        old = read(builder, arguments[0], row, align=size)
        write(builder, builder.fadd(old, sums), arguments[0], align=size)
        return context.get_dummy_value()

    return types.none(start, bundle), generate
