"""Pixels as the first layer reads them: pairs of columns of a group of images, side by side.

A *group* is as many images as a vector has lanes, and a *block* holds two neighbouring columns of
its pixels, bytes or floats, one image a lane. To get there, the rows of a group are *transposed*:
floats one column a vector; bytes four columns at a time, as words of four pixels of an image.
"""

from typing import Any

from llvmlite import ir
from numba import types

from fastdigit.kernels.simd import (
    ALIGNMENT,
    Vector,
    at_vector,
    constant,
    fetched,
    operation,
    read,
    transposed,
    write,
)

BYTE = 1 / 255
"""What a byte of a pixel is multiplied by."""

COLUMNS = 2
"""Columns of pixels in a block: two share the loads of deltas on the way back."""

PACKED = 4
"""Pixels of an image that lie side by side in a word of a transposed group of bytes."""


PAIRS = PACKED // COLUMNS
"""Pairs of columns in a word."""


def _words(lanes: int) -> Any:
    return ir.VectorType(ir.IntType(32), lanes)


def _bytes(lanes: int) -> Any:
    return ir.VectorType(ir.IntType(8), lanes)


def _word(number: int, lanes: int) -> Any:
    return ir.Constant(_words(lanes), [ir.Constant(ir.IntType(32), number)] * lanes)


def _columns(builder: Any, start: Any, block: Any, vector: Any) -> list[Any]:
    """Return the addresses of the columns of a block."""
    numbers = (
        builder.add(builder.mul(block, block.type(COLUMNS)), block.type(column))
        for column in range(COLUMNS)
    )
    return [at_vector(builder, start, number, vector) for number in numbers]


def _half(builder: Any, group: Any, pair: Any, lanes: int) -> Any:
    """Return words with the two bytes of a pair of columns in their lower halves."""
    halves = pair.type(PAIRS)
    place = at_vector(builder, group, builder.udiv(pair, halves), _words(lanes))
    word = builder.load(place, align=4 * lanes)
    upper = builder.icmp_unsigned("!=", builder.urem(pair, halves), pair.type(0))
    shift = builder.select(upper, _word(16, lanes), _word(0, lanes))
    return builder.and_(builder.lshr(word, shift), _word(0xFFFF, lanes))


def _floats(builder: Any, words: list[Any], vector: Any) -> list[Any]:
    # Every byte fits an int32, and to convert a signed number is a single instruction.
    return [builder.sitofp(word, vector) for word in words]


@operation
def pair(typing: Any, blocks: Any, block: Any, like: Any) -> Any:
    """Return both columns of a block as vectors of the element type that `like` points to.

    `blocks` may also be a transposed group, where a pair of columns is a block.
    """
    vector = Vector(like.dtype)
    columns = types.UniTuple(vector, COLUMNS)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, block, _ = arguments
        floats = context.get_value_type(vector)
        if blocks.dtype == like.dtype:
            places = _columns(builder, start, block, floats)
            values = [builder.load(place, align=ALIGNMENT) for place in places]
        elif blocks.dtype == types.uint32:
            half = _half(builder, start, block, vector.lanes)
            low = builder.and_(half, _word(0xFF, vector.lanes))
            values = _floats(builder, [low, builder.lshr(half, _word(8, vector.lanes))], floats)
        else:
            places = _columns(builder, start, block, _bytes(vector.lanes))
            narrow = [builder.load(place, align=vector.lanes) for place in places]
            wide = [builder.zext(value, _words(vector.lanes)) for value in narrow]
            values = _floats(builder, wide, floats)
        return context.make_tuple(builder, columns, values)

    if blocks.dtype in (types.uint8, types.uint32, like.dtype):
        return columns(blocks, types.int64, like), generate
    return None


@operation
def fetch_early(typing: Any, blocks: Any, block: Any, like: Any) -> Any:
    """Have the processor bring a block into its cache before it is read; it need not exist."""
    vector = Vector(like.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, block, _ = arguments
        row = ir.VectorType(context.get_value_type(blocks.dtype), vector.lanes)
        first, _ = _columns(builder, start, block, row)
        fetched(builder, first)
        return context.get_dummy_value()

    return types.none(blocks, types.int64, like), generate


@operation
def packed(typing: Any, group: Any) -> Any:
    """Return how many columns a row of a transposed group holds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.IntType(64)(PACKED if group.dtype == types.uint32 else 1)

    return types.int64(group), generate


@operation
def elements(typing: Any, group: Any) -> Any:
    """Return a pointer to the single pixels of a transposed group."""
    pixels = types.CPointer(types.uint8) if group.dtype == types.uint32 else group

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(pixels))

    return pixels(group), generate


@operation
def transpose(
    typing: Any, images: Any, order: Any, features: Any, first: Any, group: Any, like: Any
) -> Any:
    """Lay pixels of a group of images side by side: as many vectors as a vector has lanes.

    The images are rows of so many features; `order` points to the numbers of those of the group.
    From feature `first` on, floats are written to `group` one column a vector, bytes PACKED
    columns a vector, one word an image.
    """
    lanes = Vector(like.dtype).lanes

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, order, features, first, target, _ = arguments
        kind = ir.VectorType(context.get_value_type(group.dtype), lanes)
        rows = []
        for lane in range(lanes):
            image = builder.load(builder.gep(order, [ir.IntType(64)(lane)]))
            place = builder.add(builder.mul(image, features), first)
            rows.append(read(builder, builder.gep(start, [place]), kind, align=1))
        for lane, row in enumerate(transposed(builder, rows)):
            place = at_vector(builder, target, ir.IntType(64)(lane), kind)
            builder.store(row, place, align=4 * lanes)
        return context.get_dummy_value()

    number = types.int64
    return types.none(images, types.CPointer(number), number, number, group, like), generate


@operation
def restore(typing: Any, columns: Any, rows: Any, pitch: Any) -> Any:
    """Write as many columns of floats as a vector has lanes as rows that lie `pitch` apart."""
    vector = Vector(columns.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, target, pitch = arguments
        kind = context.get_value_type(vector)
        places = [
            at_vector(builder, start, ir.IntType(64)(column), kind)
            for column in range(vector.lanes)
        ]
        values = [builder.load(place, align=ALIGNMENT) for place in places]
        for row in transposed(builder, values):
            write(builder, row, target, align=1)
            target = builder.gep(target, [pitch])
        return context.get_dummy_value()

    return types.none(columns, columns, types.int64), generate


@operation
def lit(typing: Any, group: Any, word: Any, like: Any) -> Any:
    """Return which pairs of a word of four columns of a transposed group have pixels, as bits."""
    lanes = Vector(like.dtype).lanes

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, word, _ = arguments
        masks = []
        if group.dtype == types.uint32:
            place = at_vector(builder, start, word, _words(lanes))
            value = builder.load(place, align=4 * lanes)
            for half in (0xFFFF, 0xFFFF0000):
                part = builder.and_(value, _word(half, lanes))
                masks.append(builder.icmp_unsigned("!=", part, _word(0, lanes)))
        else:
            vector = ir.VectorType(context.get_value_type(group.dtype), lanes)
            zero = constant(vector, 0.0)
            for number in range(PAIRS):
                pair = builder.add(builder.mul(word, word.type(PAIRS)), word.type(number))
                values = [
                    builder.load(place, align=ALIGNMENT)
                    for place in _columns(builder, start, pair, vector)
                ]
                # NaN is not 0.
                different = [builder.fcmp_unordered("!=", value, zero) for value in values]
                masks.append(builder.or_(*different))
        found = word.type(0)
        for number, mask in enumerate(masks):
            bits = builder.bitcast(mask, ir.IntType(lanes))
            bit = builder.zext(builder.icmp_unsigned("!=", bits, bits.type(0)), word.type)
            found = builder.or_(found, builder.shl(bit, word.type(number)))
        return found

    return types.int64(group, types.int64, like), generate


@operation
def encode(typing: Any, group: Any, pair: Any, blocks: Any, block: Any, like: Any) -> Any:
    """Write a pair of columns of a transposed group as a block."""
    lanes = Vector(like.dtype).lanes

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, pair, target, block, _ = arguments
        if group.dtype == types.uint32:
            half = _half(builder, start, pair, lanes)
            columns = (half, builder.lshr(half, _word(8, lanes)))
            values = [builder.trunc(column, _bytes(lanes)) for column in columns]
        else:
            vector = ir.VectorType(context.get_value_type(group.dtype), lanes)
            sources = _columns(builder, start, pair, vector)
            values = [builder.load(source, align=ALIGNMENT) for source in sources]
        places = _columns(builder, target, block, values[0].type)
        for value, place in zip(values, places, strict=True):
            write(builder, value, place, align=lanes)
        return context.get_dummy_value()

    if blocks.dtype in (types.uint8, group.dtype):
        return types.none(group, types.int64, blocks, types.int64, like), generate
    return None
