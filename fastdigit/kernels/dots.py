"""Sums of whole numbers that stay in registers while products of bytes are added to them.

A *word* is four bytes, and a *row* sixteen words side by side, 64 bytes. The dot of a word with a
row is sixteen numbers of 32 bits: the sum of the products of the word's four bytes and the row's,
in each of its words. One side holds numbers from 0 to 255, the other from -128 to 127. There is an
instruction for it (VNNI, Vector Neural Network Instructions) in most processors since 2019; without
it, two numbers of 16 bits are multiplied at a time. Sums are exact, so both give the same bits.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastdigit.jit import compiled_features
from fastdigit.kernels.simd import ALIGNMENT, Vector, operation, read, shuffled, splatted

WORDS = 16
"""Words of a row, and numbers of a dot."""

_WORDS = ir.VectorType(ir.IntType(32), WORDS)
_HALVES = ir.VectorType(ir.IntType(16), 2 * WORDS)
_BYTES = ir.VectorType(ir.IntType(8), 4 * WORDS)


def _halves(builder: Any, word: Any, signed: bool) -> list[Any]:
    """Return every other byte of a vector from the first on, as 16-bit numbers, and the others."""
    eight = ir.Constant(_HALVES, [ir.Constant(_HALVES.element, 8)] * _HALVES.count)
    whole = builder.bitcast(word, _HALVES)
    shift = builder.ashr if signed else builder.lshr
    return [shift(builder.shl(whole, eight), eight), shift(whole, eight)]


def _products(builder: Any, a: Any, b: Any) -> Any:
    """Return the sums of each two products of 16-bit numbers that lie side by side.

    LLVM knows the single instruction for it that x86 has had since MMX.
    """
    wide = ir.VectorType(ir.IntType(32), _HALVES.count)
    product = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
    even, odd = (
        shuffled(builder, product, product, list(range(first, _HALVES.count, 2)))
        for first in (0, 1)
    )
    return builder.add(even, odd)


def has_dots() -> bool:
    """Return whether there is an instruction for dots in vectors of 64 bytes."""
    return "avx512vnni" in compiled_features()


def _dot(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    """Return sums plus a dot, by the instruction for it."""
    name = "llvm.x86.avx512.vpdpbusd.512"
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(_WORDS, [_WORDS, _BYTES, _BYTES])
        function = ir.Function(builder.module, kind, name)
    sides = (builder.bitcast(side, _BYTES) for side in (unsigned, signed))
    return builder.call(function, [sums, *sides])


def _counted(function: Callable[..., Any]) -> Any:
    """Make an operation that is given a constant, for as many vectors."""
    return intrinsic(prefer_literal=True)(function)


def _tuple(count: Any) -> Any:
    return types.UniTuple(Vector(types.int32), count.literal_value)


def _rows(builder: Any, start: Any, count: int) -> list[Any]:
    start = builder.bitcast(start, _WORDS.as_pointer())
    return [builder.gep(start, [ir.IntType(64)(row)]) for row in range(count)]


@_counted
def no_sums(typing: Any, count: Any) -> Any:
    """Return so many vectors of sums that are 0; the count is a constant."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(_tuple(count)), None)

    return _tuple(count)(count), generate


@_counted
def load_sums(typing: Any, start: Any, count: Any) -> Any:
    """Return so many vectors of sums that lie one after the other; the count is a constant."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = _rows(builder, arguments[0], count.literal_value)
        rows = [builder.load(place, align=ALIGNMENT) for place in places]
        return context.make_tuple(builder, _tuple(count), rows)

    return _tuple(count)(start, count), generate


@operation
def store_sums(typing: Any, start: Any, sums: Any) -> Any:
    """Write vectors of sums one after the other."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for number, row in enumerate(_rows(builder, arguments[0], sums.count)):
            builder.store(builder.extract_value(arguments[1], number), row, align=ALIGNMENT)
        return context.get_dummy_value()

    return types.none(start, sums), generate


@operation
def add_dots(typing: Any, sums: Any, words: Any, pitch: Any, row: Any) -> Any:
    """Return vectors of sums plus the dots of a row, one with each of as many words.

    The words lie `pitch` bytes apart, at any address; the address of the row is aligned.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given, place, pitch, start = arguments
        signed = words.dtype == types.int8
        whole = read(builder, start, _WORDS)
        halves = [] if has_dots() else _halves(builder, whole, row.dtype == types.int8)
        totals = []
        for number in range(sums.count):
            total = builder.extract_value(given, number)
            word = builder.load(builder.bitcast(place, _WORDS.element.as_pointer()), align=1)
            place = builder.gep(place, [pitch])
            word = splatted(builder, word, WORDS)
            if has_dots():
                total = _dot(builder, total, *((whole, word) if signed else (word, whole)))
            else:
                for one, other in zip(_halves(builder, word, signed), halves, strict=True):
                    total = builder.add(total, _products(builder, one, other))
            totals.append(total)
        return context.make_tuple(builder, sums, totals)

    return sums(sums, words, types.int64, row), generate
