"""Vectors of 16 lanes inside Numba functions: the arithmetic that the fused kernels are made of.

A vector lives in registers: LLVM splits its 16 lanes into whatever the processor has (one AVX-512
register, two of AVX2, four of SSE for float32). Every operation rounds each lane once, as IEEE 754
says, and no operation reorders another, so a kernel made of these gives the same bits on every
processor. `elementary` adds exp and log, built from the same operations.

All functions here are called from compiled code only. Memory is reached through pointers, whose
elements are also read and written as `p[i]`; nothing checks that an offset lies inside, and the
array must outlive the pointer. Pointers, unlike arrays, are not counted, which keeps the code that
Numba makes small and its compilation short. A *vector* is a value of type `Vector(float32)` or
`Vector(float64)`, a *mask* the 16 booleans of a comparison.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

LANES = 16
ALIGNMENT = 64
"""Bytes that rows of 16 lanes are aligned to; a vector then never crosses a cache line."""


class Vector(types.Type):
    """The Numba type of 16 lanes of one element type."""

    def __init__(self, element: types.Type) -> None:
        self.element = element
        super().__init__(name=f"Vector({element})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is a first-class LLVM value."""

    def __init__(self, manager: Any, vector: Vector) -> None:
        element = manager.lookup(vector.element).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, LANES))


def operation(function: Callable[..., Any]) -> Any:
    """Make a function of compiled code out of one that types and generates it.

    Numba calls it without its first parameter, which type checkers cannot know.
    """
    return intrinsic(function)


# --- LLVM building blocks ------------------------------------------------------------------------


def _at(arguments: Any) -> tuple[Any, list[Any]]:
    start, offset, *_ = arguments
    return start, [offset]


def _index(lane: int) -> Any:
    return ir.Constant(ir.IntType(32), lane)


def _splat(builder: Any, scalar: Any, lanes: int = LANES) -> Any:
    vector = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, _index(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def constant(vector: Any, number: float) -> Any:
    """Return LLVM's constant of a number in every lane."""
    return ir.Constant(vector, [ir.Constant(vector.element, number)] * LANES)


def fma_of(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return LLVM's a * b + c, rounded once."""
    # llvmlite's declare_intrinsic knows no vectors, so the name is put together here.
    name = f"llvm.fma.v{LANES}f{32 if isinstance(a.type.element, ir.FloatType) else 64}"
    function = builder.module.globals.get(name)
    if function is None:
        signature = ir.FunctionType(a.type, [a.type] * 3)
        function = ir.Function(builder.module, signature, name)
    return builder.call(function, [a, b, c])


def _halves(builder: Any, vector: Any) -> tuple[Any, Any]:
    half = vector.type.count // 2
    index = ir.VectorType(ir.IntType(32), half)
    nothing = ir.Constant(vector.type, ir.Undefined)
    low = ir.Constant(index, list(range(half)))
    high = ir.Constant(index, list(range(half, 2 * half)))
    return builder.shuffle_vector(vector, nothing, low), builder.shuffle_vector(
        vector, nothing, high
    )


def _reduce(builder: Any, vector: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Fold the upper half onto the lower half until one lane is left: a fixed tree."""
    while vector.type.count > 1:
        vector = combine(*_halves(builder, vector))
    return builder.extract_element(vector, _index(0))


def _lanewise(method: str) -> Any:
    """Return the intrinsic of a two-operand instruction that LLVM applies lane by lane."""

    def typed(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, method)(*arguments)

        if isinstance(a, Vector) and a == b:
            return a(a, b), generate
        return None

    return operation(typed)


# --- memory --------------------------------------------------------------------------------------


@operation
def pointer(typing: Any, array: Any) -> Any:
    """Return a pointer to the first element of a C-contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


@operation
def advance(typing: Any, start: Any, elements: Any) -> Any:
    """Return the pointer that lies so many elements further on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return start(start, types.int64), generate


@operation
def record(typing: Any, kind: Any, start: Any) -> Any:
    """Return a named tuple of the class `kind` with the values that begin at a pointer."""
    fields = types.NamedUniTuple(start.dtype, len(kind.instance_class._fields), kind.instance_class)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first = arguments[1]
        values = [builder.load(builder.gep(first, [_index(i)])) for i in range(len(fields))]
        return context.make_tuple(builder, fields, values)

    return fields(kind, start), generate


@operation
def load(typing: Any, start: Any, offset: Any) -> Any:
    """Return the 16 elements from `offset` on; the address is a multiple of one row of lanes."""
    vector = Vector(start.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = context.get_value_type(vector).as_pointer()
        return builder.load(builder.bitcast(builder.gep(*_at(arguments)), lanes), align=ALIGNMENT)

    return vector(start, types.int64), generate


@operation
def store(typing: Any, start: Any, offset: Any, value: Any) -> Any:
    """Write 16 lanes to `offset` and following; the address is a multiple of one row of lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = arguments[2].type.as_pointer()
        target = builder.bitcast(builder.gep(*_at(arguments)), lanes)
        builder.store(arguments[2], target, align=ALIGNMENT)
        return context.get_dummy_value()

    return types.none(start, types.int64, Vector(start.dtype)), generate


@operation
def broadcast(typing: Any, start: Any, offset: Any) -> Any:
    """Return the element at `offset` in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, builder.load(builder.gep(*_at(arguments))))

    return Vector(start.dtype)(start, types.int64), generate


@operation
def gather(typing: Any, start: Any, pitch: Any) -> Any:
    """Return 16 elements that lie `pitch` apart: a column of 16 rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, pitch = arguments
        element = context.get_value_type(start.dtype)
        column = ir.Constant(ir.VectorType(element, LANES), ir.Undefined)
        for lane in range(LANES):
            column = builder.insert_element(column, builder.load(address), _index(lane))
            address = builder.gep(address, [pitch])
        return column

    return Vector(start.dtype)(start, types.int64), generate


@operation
def scatter(typing: Any, start: Any, pitch: Any, column: Any) -> Any:
    """Write 16 lanes to elements that lie `pitch` apart: to a column of 16 rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, pitch, column = arguments
        for lane in range(LANES):
            builder.store(builder.extract_element(column, _index(lane)), address)
            address = builder.gep(address, [pitch])
        return context.get_dummy_value()

    return types.none(start, types.int64, Vector(start.dtype)), generate


@operation
def convert(typing: Any, source: Any, target: Any) -> Any:
    """Write the 16 bytes or floats at `source` to `target` as the target's floats.

    Neither address needs to be aligned.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        read, written = (
            ir.VectorType(context.get_value_type(kind.dtype), LANES) for kind in signature.args
        )
        first, value_to = arguments
        value = builder.load(builder.bitcast(first, read.as_pointer()), align=1)
        if isinstance(source.dtype, types.Integer):
            # Through int32, which every byte fits: signed conversion is a single instruction.
            value = builder.zext(value, ir.VectorType(ir.IntType(32), LANES))
            value = builder.sitofp(value, written)
        builder.store(value, builder.bitcast(value_to, written.as_pointer()), align=1)
        return context.get_dummy_value()

    if source.dtype in (types.uint8, target.dtype):
        return types.none(source, target), generate
    return None


@operation
def splat(typing: Any, start: Any, number: Any) -> Any:
    """Return a number in every lane, as the element type of the pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = signature.args[0].dtype
        return _splat(builder, context.cast(builder, arguments[1], types.float64, element))

    return Vector(start.dtype)(start, types.float64), generate


# --- arithmetic, lane by lane --------------------------------------------------------------------

add = _lanewise("fadd")
subtract = _lanewise("fsub")
multiply = _lanewise("fmul")
divide = _lanewise("fdiv")


@operation
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return fma_of(builder, *arguments)

    return a(a, b, c), generate


@operation
def greater(typing: Any, a: Any, b: Any) -> Any:
    """Return the mask of a > b; False where either is NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fcmp_ordered(">", *arguments)

    return Vector(types.boolean)(a, b), generate


@operation
def select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """Return a where the mask is set, otherwise b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return a(mask, a, b), generate


@operation
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """Return the larger of a and b; b where either is NaN, so pass what may be NaN as b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return a(a, b), generate


@operation
def total(typing: Any, vector: Any) -> Any:
    """Return the sum of the 16 lanes: lane i and lane i + 8, then i + 4, i + 2, i + 1."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _reduce(builder, arguments[0], builder.fadd)

    return vector.element(vector), generate
