"""Strips and tiles: what mini-batch kernels keep in registers.

A *strip* is four vectors of neighbouring units: 64 in float32, 32 in float64. One image's outputs
of these units lie side by side, unlike in `bundles`, whose lanes are images: so a pixel that is 0
in one image costs nothing, whatever its neighbours in the batch are. A *quad* is four strips, for
four pixels; a *tile* is a strip of four rows, or, where a layer has few outputs, a vector of eight.
Like `simd`, these are operations for compiled code; their order and rounding are fixed.
"""

from typing import Any

from llvmlite import ir
from numba import types

from fastdigit.kernels.simd import (
    Vector,
    at_vector,
    fma_of,
    index,
    operation,
    read,
    splatted,
    write,
)

STRIP = 4
"""Vectors in a strip. A tile then has 16 sums, enough to keep both multipliers of a processor busy
while each addition takes four cycles."""
QUAD = 4
"""Strips in a quad. Each more of them saves loading and storing a strip of outputs; these four, and
one of outputs, still fit the registers of AVX-512."""
WIDE_ROWS = 4
NARROW_ROWS = 8


def _kind(start: Any, count: int) -> Any:
    return types.UniTuple(Vector(start.dtype), count)


def _shape(count: int) -> tuple[int, int]:
    """Return the rows and the vectors in a row of a tile of so many vectors."""
    return (WIDE_ROWS, STRIP) if count == WIDE_ROWS * STRIP else (count, 1)


def _values(builder: Any, bundle: Any) -> list[Any]:
    return [builder.extract_value(bundle, i) for i in range(bundle.type.count)]


def _vectors(builder: Any, start: Any, vector: Any, count: int) -> list[Any]:
    """Return so many vectors that lie one after the other."""
    places = [at_vector(builder, start, index(i), vector) for i in range(count)]
    return [read(builder, place, vector) for place in places]


def _store(builder: Any, start: Any, values: list[Any]) -> None:
    for i, value in enumerate(values):
        write(builder, value, at_vector(builder, start, index(i), value.type))


def _loading(rows: int, vectors: int) -> Any:
    """Return the intrinsic that loads a tile whose rows lie `pitch` elements apart."""

    def typed(typing: Any, start: Any, pitch: Any) -> Any:
        kind = _kind(start, rows * vectors)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = context.get_value_type(kind.dtype)
            found = []
            for row in range(rows):
                offset = builder.mul(arguments[1], ir.Constant(ir.IntType(64), row))
                found += _vectors(builder, builder.gep(arguments[0], [offset]), vector, vectors)
            return context.make_tuple(builder, kind, found)

        return kind(start, types.int64), generate

    return operation(typed)


load_wide = _loading(WIDE_ROWS, STRIP)
load_narrow = _loading(NARROW_ROWS, 1)


@operation
def store_tile(typing: Any, start: Any, pitch: Any, tile: Any) -> Any:
    """Write the rows of a tile `pitch` elements apart."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = _values(builder, arguments[2])
        rows, vectors = _shape(len(values))
        for row in range(rows):
            offset = builder.mul(arguments[1], ir.Constant(ir.IntType(64), row))
            first = builder.gep(arguments[0], [offset])
            _store(builder, first, values[row * vectors : (row + 1) * vectors])
        return context.get_dummy_value()

    return types.none(start, types.int64, tile), generate


@operation
def fma_tile(typing: Any, a: Any, pitch: Any, b: Any, tile: Any) -> Any:
    """Return a tile plus a column times a row: `a[row * pitch]` times the vectors at b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, pitch, b, sums = arguments
        values = _values(builder, sums)
        rows, vectors = _shape(len(values))
        factors = _vectors(builder, b, values[0].type, vectors)
        for row in range(rows):
            offset = builder.mul(pitch, ir.Constant(ir.IntType(64), row))
            scalar = builder.load(builder.gep(a, [offset]))
            x = splatted(builder, scalar, values[0].type.count)
            for i, factor in enumerate(factors):
                at = row * vectors + i
                values[at] = fma_of(builder, x, factor, values[at])
        return context.make_tuple(builder, tile, values)

    return tile(a, types.int64, b, tile), generate


def _pixels(builder: Any, table: Any, entry: Any, vector: Any) -> list[Any]:
    """Return the four bytes in the lower half of an entry, each in all lanes of a vector."""
    found = []
    for number in range(QUAD):
        shifted = builder.lshr(entry, entry.type(8 * number))
        place = builder.gep(table, [builder.and_(shifted, entry.type(0xFF))])
        found.append(splatted(builder, builder.load(place), vector.count))
    return found


@operation
def load_quad(typing: Any, start: Any) -> Any:
    """Return four strips, one after the other."""
    kind = _kind(start, QUAD * STRIP)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = context.get_value_type(kind.dtype)
        found = _vectors(builder, arguments[0], vector, QUAD * STRIP)
        return context.make_tuple(builder, kind, found)

    return kind(start), generate


@operation
def store_quad(typing: Any, start: Any, quad: Any) -> Any:
    """Write four strips, one after the other."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(builder, arguments[0], _values(builder, arguments[1]))
        return context.get_dummy_value()

    return types.none(start, quad), generate


@operation
def add_pixels(typing: Any, outputs: Any, pixels: Any, entry: Any, weights: Any) -> Any:
    """Add the four pixels of an entry times their strips of weights to a strip in memory.

    `pixels` leads to the floats of all bytes.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, table, entry, weights = arguments
        weights = _values(builder, weights)
        vector = weights[0].type
        sums = _vectors(builder, start, vector, STRIP)
        for number, x in enumerate(_pixels(builder, table, entry, vector)):
            strip = weights[number * STRIP : (number + 1) * STRIP]
            sums = [fma_of(builder, x, w, z) for w, z in zip(strip, sums, strict=True)]
        _store(builder, start, sums)
        return context.get_dummy_value()

    return types.none(outputs, pixels, types.int64, weights), generate


@operation
def add_deltas(typing: Any, deltas: Any, pixels: Any, entry: Any, gradient: Any) -> Any:
    """Return four strips of a gradient plus a strip of deltas in memory times the four pixels."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, table, entry, gradient = arguments
        sums = _values(builder, gradient)
        vector = sums[0].type
        strip = _vectors(builder, start, vector, STRIP)
        for number, x in enumerate(_pixels(builder, table, entry, vector)):
            for i, d in enumerate(strip):
                at = number * STRIP + i
                sums[at] = fma_of(builder, x, d, sums[at])
        return context.make_tuple(builder, signature.args[3], sums)

    return gradient(deltas, pixels, types.int64, gradient), generate
