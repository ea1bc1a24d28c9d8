"""Loops that keep one part of the processor busy and do nothing else, to measure what it can do.

Each does a number of operations known beforehand, and nothing that the compiler may leave out. The
machine code was read: no loop touches memory but to do what it is for.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from fastdigit.jit import njit
from fastdigit.kernels.simd import (
    ALIGNMENT,
    Vector,
    fma,
    fma_of,
    lanes,
    load,
    operation,
    pointer,
    splat,
    store,
    total,
)

Singles = npt.NDArray[np.float32]
Floats = npt.NDArray[Any]

ADDITIONS = 64
"""Additions in a round of `add_integers`: so many that the loop around them costs nothing."""

STREAMS = (0,) * 4
"""As many rows of `read` are combined side by side."""


@njit()
def add_integers(addend: int, rounds: int) -> int:
    """Make 64 additions a round, each of which waits for the one before: one takes one cycle."""
    result = 0
    for _ in range(rounds):
        result = _add_chain(result, addend)
    return result


@njit()
def multiply_add(numbers: Floats, chains: tuple[int, ...], rounds: int) -> float:
    """Make one multiply-add of a vector in each chain, in every round.

    Parameters
    ----------
    numbers
        A vector for each chain, aligned; their type is that of the lanes.
    chains
        A tuple as long as there are to be chains. A multiply-add takes about 4 cycles and the
        processor starts two in every cycle, so 8 or more registers have to be in work, and all of
        them have to fit in: 12 vectors of AVX-512, or 6 of float32 or 3 of float64 in AVX2.
    rounds
        How often.
    """
    value = load(pointer(numbers), 0)
    sums = _load_each(pointer(numbers), chains)
    for _ in range(rounds):
        sums = _multiply_add_each(value, sums)
    return total(_sum(sums))


@njit()
def read(numbers: Singles, rounds: int) -> float:
    """Read an aligned array, a multiple of 64 elements long, from its beginning to its end.

    Rows of 64 bytes are combined by exclusive or, which takes one cycle where an addition takes
    four.
    """
    start = pointer(numbers)
    found = _load_each(start, STREAMS)
    for _ in range(rounds):
        for first in range(0, numbers.size, lanes(start) * len(STREAMS)):
            found = _exclusive_or_each(start, first, found)
    return total(_sum(found))


@njit()
def update(numbers: Singles, rounds: int) -> None:
    """Load each row of 64 bytes of an aligned array, add a product to it and store it again."""
    start = pointer(numbers)
    factor = splat(start, 0.001)
    for _ in range(rounds):
        for first in range(0, numbers.size, lanes(start)):
            store(start, first, fma(factor, factor, load(start, first)))


# --- what they are made of -----------------------------------------------------------------------


@operation
def _add_chain(typing: Any, number: Any, addend: Any) -> Any:
    """Return a number plus 64 times another, by 64 additions of one register to another.

    Between two of them stands an empty piece of assembly through which the sum passes: LLVM, which
    would make one multiplication of them, cannot know what it does. The addend is a variable,
    because recent Intel processors add constants without spending a cycle.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, addend = arguments
        form = ir.FunctionType(number.type, [number.type])
        for _ in range(ADDITIONS):
            number = builder.asm(form, "", "=r,0", [builder.add(number, addend)], True)
        return number

    return types.int64(types.int64, types.int64), generate


@operation
def _load_each(typing: Any, start: Any, chains: Any) -> Any:
    """Return as many rows of lanes, from a pointer on, as a tuple has elements.

    Rows that LLVM knew to be equal, it might work on only once.
    """
    vector = Vector(start.dtype)
    rows = types.UniTuple(vector, len(chains))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = builder.bitcast(arguments[0], context.get_value_type(vector).as_pointer())
        addresses = [builder.gep(first, [_index(number)]) for number in range(len(chains))]
        loaded = [builder.load(address, align=ALIGNMENT) for address in addresses]
        return context.make_tuple(builder, rows, loaded)

    return rows(start, chains), generate


@operation
def _multiply_add_each(typing: Any, value: Any, sums: Any) -> Any:
    """Return each vector of a tuple plus the square of another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, before = arguments
        after = [fma_of(builder, value, value, sum_) for sum_ in _elements(builder, before)]
        return context.make_tuple(builder, sums, after)

    return sums(value, sums), generate


@operation
def _exclusive_or_each(typing: Any, start: Any, offset: Any, found: Any) -> Any:
    """Return each vector of a tuple combined with one of the rows from `offset` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, offset, before = arguments
        bits = ir.VectorType(ir.IntType(found.dtype.element.bitwidth), found.dtype.lanes)
        row = builder.bitcast(builder.gep(start, [offset]), bits.as_pointer())
        after = []
        for number, value in enumerate(_elements(builder, before)):
            loaded = builder.load(builder.gep(row, [_index(number)]), align=ALIGNMENT)
            combined = builder.xor(builder.bitcast(value, bits), loaded)
            after.append(builder.bitcast(combined, value.type))
        return context.make_tuple(builder, found, after)

    return found(start, types.int64, found), generate


@operation
def _sum(typing: Any, vectors: Any) -> Any:
    """Return the sum of a tuple's vectors, for which none of them can be left out."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result, *others = _elements(builder, arguments[0])
        for other in others:
            result = builder.fadd(result, other)
        return result

    return Vector(vectors.dtype.element)(vectors), generate


def _index(number: int) -> Any:
    return ir.Constant(ir.IntType(32), number)


def _elements(builder: Any, tuple_: Any) -> list[Any]:
    return [builder.extract_value(tuple_, i) for i in range(tuple_.type.count)]
