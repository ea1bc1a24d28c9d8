"""The matrix unit of a processor inside Numba functions: tiles of bytes, multiplied all at once.

A *tile* is 1 KB: 16 rows of 64 bytes. Its product of a *left* tile, 16 rows of 64 bytes each, and a
*right* one, 16 rows of 16 groups of four bytes, is 16 x 16 whole numbers of 32 bits:

    product[m, n] = sum over k of left[m, k] * right[k // 4, 4 n + k % 4]

so the right tile has, column by column, four bytes side by side. One of the two holds numbers from
0 to 255, the other from -128 to 127. The sums are exact, and so they are the same in every order.
Intel calls the unit AMX (Advanced Matrix Extensions; Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 1, chapter 18). Without it, the same products are made of vectors, bit
for bit but slowly: training and prediction have other ways then, and this one tests theirs.

Four products are added up at a time, of two tiles on either side, so that each tile that is loaded
is used twice, and four sums wait for no other.
"""

from typing import Any

from llvmlite import ir
from numba import types

from fastdigit.jit import matrix_unit, njit
from fastdigit.kernels.dots import add_dots, load_sums, store_sums
from fastdigit.kernels.simd import advance, operation, read, shuffled, write

Pointer = Any
"""To elements of one type, in compiled code."""

TILE = 1024
"""Bytes of a tile."""
ROWS = 16
"""Rows of a tile; and columns of a product."""
DEPTH = 64
"""Products that each number of a product of tiles is a sum of."""
SUMS = 4
"""Products of tiles that are added up at a time."""
WORKSPACE = SUMS * TILE // 4
"""Whole numbers of 32 bits that a thread needs where there is no matrix unit."""
MOST_PRODUCTS = 2**31 // (255 * 128)
"""Products that fit a sum, whatever the bytes are."""

LEFT, RIGHT = (4, 5), (6, 7)
"""Of the unit's eight tiles, four are sums."""

_BYTE_POINTER = ir.IntType(8).as_pointer()


def _instruction(builder: Any, name: str, *arguments: Any) -> None:
    """Call one of LLVM's names for an instruction of the matrix unit."""
    function = builder.module.globals.get(f"llvm.x86.{name}")
    if function is None:
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        function = ir.Function(builder.module, kind, f"llvm.x86.{name}")
    builder.call(function, arguments)


def _tile(number: int) -> Any:
    return ir.Constant(ir.IntType(8), number)


def _place(builder: Any, start: Any, bytes_on: int = 0) -> Any:
    start = builder.bitcast(start, _BYTE_POINTER)
    return builder.gep(start, [ir.IntType(64)(bytes_on)])


# Palette 1, then at offset 16 the bytes of a row, and at offset 48 the rows, of each of the tiles.
_SHAPES = bytes([1] + [0] * 15) + bytes([64, 0] * 8 + [0] * 16) + bytes([16] * 8 + [0] * 8)


@operation
def _prepare_unit(typing: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shapes = context.insert_const_bytes(builder.module, _SHAPES, "fastdigit_tile_shapes")
        _instruction(builder, "ldtilecfg", builder.bitcast(shapes, _BYTE_POINTER))
        return context.get_dummy_value()

    return types.none(), generate


@operation
def _release_unit(typing: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _instruction(builder, "tilerelease")
        return context.get_dummy_value()

    return types.none(), generate


@operation
def _clear_unit(typing: Any, space: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for number in range(SUMS):
            _instruction(builder, "tilezero", _tile(number))
        return context.get_dummy_value()

    return types.none(space), generate


@operation
def _multiply_in_unit(
    typing: Any, space: Any, left: Any, left_too: Any, pitch: Any, right: Any, right_too: Any
) -> Any:
    name = "tdpbsud" if left.dtype == types.int8 else "tdpbusd"

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, first, second, pitch, *rights = arguments
        row = ir.IntType(64)(DEPTH)
        places = zip(
            (*LEFT, *RIGHT), (first, second, *rights), (pitch, pitch, row, row), strict=True
        )
        for number, place, apart in places:
            _instruction(builder, "tileloadd64", _tile(number), _place(builder, place), apart)
        for number in range(SUMS):
            sides = _tile(LEFT[number % 2]), _tile(RIGHT[number // 2])
            _instruction(builder, name, _tile(number), *sides)
        return context.get_dummy_value()

    return types.none(space, left, left, types.int64, right, right), generate


@operation
def _take_from_unit(typing: Any, space: Any, target: Any, target_too: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, *targets = arguments
        for number in range(SUMS):
            place = _place(builder, targets[number // 2], number % 2 * TILE)
            row = ir.IntType(64)(DEPTH)
            _instruction(builder, "tilestored64", _tile(number), place, row)
        return context.get_dummy_value()

    return types.none(space, target, target), generate


def _joined(builder: Any, parts: list[Any]) -> Any:
    """Return vectors as one."""
    while len(parts) > 1:
        lanes = list(range(2 * parts[0].type.count))
        parts = [
            shuffled(builder, *pair, lanes) for pair in zip(parts[::2], parts[1::2], strict=True)
        ]
    return parts[0]


def _mixed(builder: Any, a: Any, b: Any, run: int) -> list[Any]:
    """Return two vectors: runs of lanes of a and b in turn, from half of each quarter of these."""
    lanes = a.type.count
    return [
        shuffled(
            builder,
            a,
            b,
            [
                quarter + half + i + k + side
                for quarter in range(0, lanes, 4)
                for i in range(0, 2, run)
                for side in (0, lanes)
                for k in range(run)
            ],
        )
        for half in (0, 2)
    ]


def write_transposed(
    builder: Any, source: Any, pitch: Any, target: Any, apart: Any, columns: int = ROWS
) -> None:
    """Write 16 rows of numbers of 32 bits, or so many columns of them, with both exchanged.

    The rows that are read lie `pitch` numbers apart, and those that are written `apart`. The
    columns are a multiple of four.
    """
    kind = ir.VectorType(ir.IntType(32), 4)
    rows = [source]
    for _ in range(1, ROWS):
        rows.append(builder.gep(rows[-1], [pitch]))
    # Four columns at a time: to put every fourth row into one vector takes loads alone, and what
    # remains changes places within quarters of vectors.
    for column in range(0, columns, 4):
        places = [builder.gep(row, [ir.IntType(64)(column)]) for row in rows]
        parts = [read(builder, place, kind, align=16) for place in places]
        a, b, c, d = (_joined(builder, parts[row::4]) for row in range(4))
        upper, lower = _mixed(builder, a, b, 1), _mixed(builder, c, d, 1)
        for pair in zip(upper, lower, strict=True):
            for value in _mixed(builder, *pair, 2):
                write(builder, value, target)
                target = builder.gep(target, [apart])


@operation
def transpose_product(typing: Any, source: Any, pitch: Any, target: Any, apart: Any) -> Any:
    """Write the 16 x 16 numbers of a product with rows and columns exchanged.

    The rows that are read lie `pitch` numbers apart, and those that are written `apart`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        write_transposed(builder, *arguments)
        return context.get_dummy_value()

    return types.none(source, types.int64, target, types.int64), generate


# --- the same with vectors -----------------------------------------------------------------------


@njit(inner=True)
def _prepare_vectors() -> None:
    pass


@njit(inner=True)
def _clear_vectors(space: Pointer) -> None:
    for k in range(WORKSPACE):
        space[k] = 0


@njit(inner=True)
def _add_product(sums: Pointer, left: Pointer, pitch: int, right: Pointer) -> None:
    """Add the product of a left tile with a right one to sums."""
    for m in range(ROWS):
        totals = load_sums(advance(sums, m * ROWS), 1)
        for k in range(0, DEPTH, 4):
            word = advance(left, m * pitch + k)
            totals = add_dots(totals, word, pitch, advance(right, k * ROWS))
        store_sums(advance(sums, m * ROWS), totals)


@njit(inner=True)
def _multiply_vectors(
    space: Pointer, left: Pointer, left_too: Pointer, pitch: int, right: Pointer, right_too: Pointer
) -> None:
    _add_product(space, left, pitch, right)
    _add_product(advance(space, TILE // 4), left_too, pitch, right)
    _add_product(advance(space, 2 * TILE // 4), left, pitch, right_too)
    _add_product(advance(space, 3 * TILE // 4), left_too, pitch, right_too)


@njit(inner=True)
def _take_vectors(space: Pointer, target: Pointer, target_too: Pointer) -> None:
    half = WORKSPACE // 2
    for k in range(half):
        target[k] = space[k]
        target_too[k] = space[half + k]


# --- what kernels call ---------------------------------------------------------------------------

_UNIT = matrix_unit()

prepare = _prepare_unit if _UNIT else _prepare_vectors
"""Begin to multiply tiles, once in each call of a kernel: ``prepare()``."""

release = _release_unit if _UNIT else _prepare_vectors
"""End it, so that the system no longer saves the tiles of this thread: ``release()``."""

clear = _clear_unit if _UNIT else _clear_vectors
"""Set the four sums to 0: ``clear(space)``, with a workspace of the thread."""

multiply = _multiply_in_unit if _UNIT else _multiply_vectors
"""Add four products to the sums: ``multiply(space, left, left_too, pitch, right, right_too)``.

Rows of left tiles lie `pitch` bytes apart, those of right ones 64. Pointers to int8 lead to numbers
from -128 to 127, those to uint8 to such from 0 to 255: one side has these, the other those. The
first two sums are those of both left tiles with the first right one.
"""

take = _take_from_unit if _UNIT else _take_vectors
"""Write the first two sums, 2 KB, to one place and the others to another: ``take(space, a, b)``."""
