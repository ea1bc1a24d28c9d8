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
from fastdigit.kernels.simd import (
    ALIGNMENT,
    Vector,
    operation,
    read,
    shuffled,
    splatted,
    write,
)

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


def _intrinsic(builder: Any, name: str, result: Any, parameters: list[Any]) -> Any:
    """Return one of LLVM's own functions."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, parameters), name)
    return function


def _dot(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    """Return sums plus a dot, by the instruction for it."""
    parameters = [_WORDS, _BYTES, _BYTES]
    function = _intrinsic(builder, "llvm.x86.avx512.vpdpbusd.512", _WORDS, parameters)
    sides = (builder.bitcast(side, _BYTES) for side in (unsigned, signed))
    return builder.call(function, [sums, *sides])


def _added(builder: Any, total: Any, unsigned: Any, signed: Any) -> Any:
    """Return sums plus a dot."""
    if has_dots():
        return _dot(builder, total, unsigned, signed)
    sides = _halves(builder, unsigned, False), _halves(builder, signed, True)
    for one, other in zip(*sides, strict=True):
        total = builder.add(total, _products(builder, one, other))
    return total


def _counted(function: Callable[..., Any]) -> Any:
    """Make an operation that is given a constant, for as many vectors."""
    return intrinsic(prefer_literal=True)(function)


def _tuple(count: Any) -> Any:
    return types.UniTuple(Vector(types.int32), count.literal_value)


def _word(builder: Any, place: Any) -> Any:
    """Return a row with the word at any address in each of its words."""
    word = builder.load(builder.bitcast(place, _WORDS.element.as_pointer()), align=1)
    return splatted(builder, word, WORDS)


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
        totals = []
        for number in range(sums.count):
            total = builder.extract_value(given, number)
            word = _word(builder, place)
            place = builder.gep(place, [pitch])
            totals.append(_added(builder, total, *((whole, word) if signed else (word, whole))))
        return context.make_tuple(builder, sums, totals)

    return sums(sums, words, types.int64, row), generate


@_counted
def add_dots_of_words(typing: Any, sums: Any, words: Any, count: Any, rows: Any, pitch: Any) -> Any:
    """Return vectors of sums plus the dots of each of some words with each of some rows.

    There are `count` words, a constant, and as many rows as there are sums for each word. The words
    lie one after the other, at any address, the rows `pitch` bytes apart, at aligned ones.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given, place, _, start, pitch = arguments
        others = []
        for _ in range(sums.count // count.literal_value):
            others.append(read(builder, start, _WORDS))
            start = builder.gep(start, [pitch])
        totals: list[Any] = []
        for number in range(count.literal_value):
            one = _word(builder, builder.gep(place, [ir.IntType(64)(4 * number)]))
            for other in others:
                total = builder.extract_value(given, len(totals))
                sides = (one, other) if rows.dtype == types.int8 else (other, one)
                totals.append(_added(builder, total, *sides))
        return context.make_tuple(builder, sums, totals)

    return sums(sums, words, count, rows, types.int64), generate


@operation
def add_sums(typing: Any, sums: Any, others: Any) -> Any:
    """Return vectors of sums plus as many others."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        totals = [
            builder.add(*(builder.extract_value(side, number) for side in arguments))
            for number in range(sums.count)
        ]
        return context.make_tuple(builder, sums, totals)

    return sums(sums, others), generate


@operation
def list_words(typing: Any, row: Any, number: Any, numbers: Any) -> Any:
    """Write the numbers of those words of a row that are not 0, and return how many they are.

    The first word of the row, which lies at any address, has the number that is given. Sixteen
    places of the numbers, of 16 bits, are overwritten, however many words there are.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, number, target = arguments
        whole = read(builder, start, _WORDS, align=1)
        lit = builder.icmp_unsigned("!=", whole, ir.Constant(_WORDS, None))
        kind = ir.VectorType(ir.IntType(16), WORDS)
        own = ir.Constant(kind, list(range(WORDS)))
        first = splatted(builder, builder.trunc(number, kind.element), WORDS)
        name = f"llvm.experimental.vector.compress.v{WORDS}i16"
        compress = _intrinsic(builder, name, kind, [kind, lit.type, kind])
        nothing = ir.Constant(kind, ir.Undefined)
        listed = builder.call(compress, [builder.add(own, first), lit, nothing])
        write(builder, listed, target, align=2)
        mask = builder.bitcast(lit, ir.IntType(WORDS))
        ones = _intrinsic(builder, f"llvm.ctpop.i{WORDS}", mask.type, [mask.type])
        return builder.zext(builder.call(ones, [mask]), ir.IntType(64))

    return types.int64(row, types.int64, numbers), generate
