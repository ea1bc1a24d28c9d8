"""Floats as the first layer reads them: pairs of columns of a group of images, side by side.

A *group* is as many images as a vector has lanes, and a *block* holds two neighbouring columns of
its pixels, one image a lane. To get there, the rows of a group are *transposed*: one column a
vector. Images of bytes are stored otherwise; see `chunks`.
"""

from typing import Any

from llvmlite import ir
from numba import types

from fastdigit.jit import njit
from fastdigit.kernels.simd import (
    Vector,
    advance,
    constant,
    lanes,
    load,
    operation,
    prefetch,
    read,
    store,
    transposed,
    write,
)

Pointer = Any
"""To elements of one type, in compiled code."""

BYTE = 1 / 255
"""What a byte of a pixel is multiplied by."""

COLUMNS = 2
"""Columns of pixels in a block: two share the loads of deltas on the way back."""


@njit(inner=True)
def pair(blocks: Pointer, block: Any) -> Any:
    """Return both columns of a block as vectors.

    `blocks` may also be a transposed group, where a pair of columns is a block.
    """
    first = block * COLUMNS * lanes(blocks)
    return load(blocks, first), load(blocks, first + lanes(blocks))


@njit(inner=True)
def fetch_early(blocks: Pointer, block: Any) -> None:
    """Have the processor bring a block into its cache before it is read; it need not exist."""
    prefetch(advance(blocks, block * COLUMNS * lanes(blocks)))


@operation
def transpose(typing: Any, images: Any, order: Any, features: Any, first: Any, group: Any) -> Any:
    """Lay pixels of a group of images side by side: as many columns as a vector has lanes.

    The images are rows of so many features; `order` points to the numbers of those of the group.
    From feature `first` on, they are written to `group` one column a vector.
    """
    vector = Vector(group.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, order, features, first, target = arguments
        kind = context.get_value_type(vector)
        rows = []
        for lane in range(vector.lanes):
            image = builder.load(builder.gep(order, [ir.IntType(64)(lane)]))
            place = builder.add(builder.mul(image, features), first)
            rows.append(read(builder, builder.gep(start, [place]), kind, align=1))
        for lane, row in enumerate(transposed(builder, rows)):
            write(builder, row, builder.gep(target, [ir.IntType(64)(lane * vector.lanes)]))
        return context.get_dummy_value()

    number = types.int64
    return types.none(group, types.CPointer(number), number, number, group), generate


@operation
def restore(typing: Any, columns: Any, rows: Any, pitch: Any) -> Any:
    """Write as many columns of floats as a vector has lanes as rows that lie `pitch` apart."""
    vector = Vector(columns.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, target, pitch = arguments
        kind = context.get_value_type(vector)
        places = [ir.IntType(64)(column * vector.lanes) for column in range(vector.lanes)]
        values = [read(builder, builder.gep(start, [place]), kind) for place in places]
        for row in transposed(builder, values):
            write(builder, row, target, align=1)
            target = builder.gep(target, [pitch])
        return context.get_dummy_value()

    return types.none(columns, columns, types.int64), generate


@operation
def _any_lit(typing: Any, a: Any, b: Any) -> Any:
    """Return 1 if any lane of two vectors is not 0, otherwise 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = constant(arguments[0].type, 0.0)
        # NaN is not 0.
        found = [builder.fcmp_unordered("!=", value, zero) for value in arguments]
        bits = builder.bitcast(builder.or_(*found), ir.IntType(a.lanes))
        return builder.zext(builder.icmp_unsigned("!=", bits, bits.type(0)), ir.IntType(64))

    return types.int64(a, a), generate


@njit(inner=True)
def lit(group: Pointer, number: Any) -> Any:
    """Return 1 if a pair of columns of a transposed group has pixels, otherwise 0."""
    left, right = pair(group, number)
    return _any_lit(left, right)


@njit(inner=True)
def encode(group: Pointer, number: Any, blocks: Pointer, block: Any) -> None:
    """Write a pair of columns of a transposed group as a block."""
    left, right = pair(group, number)
    first = block * COLUMNS * lanes(blocks)
    store(blocks, first, left)
    store(blocks, first + lanes(blocks), right)
