"""Vectors inside Numba functions: the arithmetic that the fused kernels are made of.

A *vector* is 64 bytes, one cache line: 16 lanes of float32 or 8 of float64. It lives in registers:
LLVM splits it into whatever the processor has (one register of AVX-512, two of AVX2, four of SSE).
Every operation rounds each lane once, as IEEE 754 says, and no operation reorders another, so a
kernel made of these gives the same bits on every processor. `elementary` adds exp and log, built
from the same operations.

All functions here are called from compiled code only. Memory is reached through pointers, whose
elements are also read and written as `p[i]`; nothing checks that an offset lies inside, and the
array must outlive the pointer. Pointers, unlike arrays, are not counted, which keeps the code that
Numba makes small and its compilation short. A *mask* is the booleans of a comparison, one a lane.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_getattr_generic, register_model

ALIGNMENT = 64
"""Bytes of a vector, and what its address is a multiple of: it never crosses a cache line."""


class Vector(types.Type):
    """The Numba type of the lanes of one element type."""

    def __init__(self, element: types.Type, lanes: int | None = None) -> None:
        self.element = element
        self.lanes = lanes or ALIGNMENT * 8 // element.bitwidth
        super().__init__(name=f"Vector({element} x {self.lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is a first-class LLVM value."""

    def __init__(self, manager: Any, vector: Vector) -> None:
        element = manager.lookup(vector.element).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))


def operation(function: Callable[..., Any]) -> Any:
    """Make a function of compiled code out of one that types and generates it.

    Numba calls it without its first parameter, which type checkers cannot know.
    """
    return intrinsic(function)


# --- LLVM building blocks ------------------------------------------------------------------------


def index(number: int) -> Any:
    """Return LLVM's constant of a small whole number."""
    return ir.Constant(ir.IntType(32), number)


def constant(vector: Any, number: float) -> Any:
    """Return LLVM's constant of a number in every lane."""
    return ir.Constant(vector, [ir.Constant(vector.element, number)] * vector.count)


def shuffled(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    """Return the vector of these lanes; those of b are counted on from those of a."""
    chosen = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return builder.shuffle_vector(a, b, chosen)


def splatted(builder: Any, scalar: Any, lanes: int) -> Any:
    """Return the vector with a number in every lane."""
    nothing = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, scalar, index(0))
    return shuffled(builder, first, nothing, [0] * lanes)


def transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of a square, whose halves change places across the diagonal, and so on."""
    lanes = len(rows)
    rows = list(rows)
    width = lanes // 2
    while width:
        for top in (row for row in range(lanes) if not row & width):
            a, b = rows[top], rows[top + width]
            for target, shift in ((top, 0), (top + width, width)):
                chosen = [
                    i + shift if not i & width else lanes + i - width + shift for i in range(lanes)
                ]
                rows[target] = shuffled(builder, a, b, chosen)
        width //= 2
    return rows


def fma_of(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return LLVM's a * b + c, rounded once."""
    # llvmlite's declare_intrinsic knows no vectors, so the name is put together here.
    bits = 32 if isinstance(a.type.element, ir.FloatType) else 64
    name = f"llvm.fma.v{a.type.count}f{bits}"
    function = builder.module.globals.get(name)
    if function is None:
        signature = ir.FunctionType(a.type, [a.type] * 3)
        function = ir.Function(builder.module, signature, name)
    return builder.call(function, [a, b, c])


def read(builder: Any, start: Any, vector: Any, align: int = ALIGNMENT) -> Any:
    """Return LLVM's load of a vector from the address of an element."""
    return builder.load(builder.bitcast(start, vector.as_pointer()), align=align)


def write(builder: Any, value: Any, start: Any, align: int = ALIGNMENT) -> None:
    """Store a vector at the address of an element."""
    builder.store(value, builder.bitcast(start, value.type.as_pointer()), align=align)


def at_vector(builder: Any, start: Any, number: Any, vector: Any) -> Any:
    """Return the address of a vector, counted in whole ones from a pointer on."""
    return builder.gep(builder.bitcast(start, vector.as_pointer()), [number])


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
def view(typing: Any, start: Any, kind: Any) -> Any:
    """Return the pointer as one to elements of another type, such as ``np.uint8``."""
    other = types.CPointer(kind.instance_type)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(other))

    return other(start, kind), generate


class Record(types.Type):
    """The Numba type of what `record` returns: an address, whose elements have names."""

    def __init__(self, kind: Any, element: types.Type) -> None:
        self.kind, self.element = kind, element
        super().__init__(name=f"Record({kind.__module__}.{kind.__name__} of {element})")


@register_model(Record)
class RecordModel(models.PrimitiveModel):
    """A record is a pointer to its first element."""

    def __init__(self, manager: Any, kind: Record) -> None:
        super().__init__(manager, kind, manager.lookup(kind.element).get_value_type().as_pointer())


@infer_getattr
class RecordFields(AttributeTemplate):
    """Types the fields of a record."""

    key = Record

    def generic_resolve(self, kind: Record, field: str) -> types.Type | None:
        """Return the type of the field of this name, if there is one."""
        return kind.element if field in kind.kind._fields else None


@lower_getattr_generic(Record)
def _field(context: Any, builder: Any, kind: Record, value: Any, field: str) -> Any:
    element = builder.load(builder.gep(value, [index(kind.kind._fields.index(field))]))
    element.set_metadata("invariant.load", builder.module.add_metadata([]))
    return element


@operation
def record(typing: Any, kind: Any, start: Any) -> Any:
    """Return what begins at a pointer as if it were a named tuple of the class `kind`.

    A field is read where it is used, so that a record can be passed on at no cost. None of them may
    change while compiled code runs: the compiler reads them as early, and as rarely, as it likes.
    """
    fields = Record(kind.instance_class, start.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return arguments[1]

    return fields(kind, start), generate


@operation
def lanes(typing: Any, start: Any) -> Any:
    """Return how many lanes a vector of the pointer's elements has."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(64), Vector(start.dtype).lanes)

    return types.int64(start), generate


@operation
def load(typing: Any, start: Any, offset: Any) -> Any:
    """Return the vector from `offset` on; its address is aligned."""
    vector = Vector(start.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, offset = arguments
        return read(builder, builder.gep(first, [offset]), context.get_value_type(vector))

    return vector(start, types.int64), generate


@operation
def store(typing: Any, start: Any, offset: Any, value: Any) -> Any:
    """Write a vector to `offset` and following; its address is aligned."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, offset, value = arguments
        write(builder, value, builder.gep(first, [offset]))
        return context.get_dummy_value()

    return types.none(start, types.int64, Vector(start.dtype)), generate


@operation
def splat(typing: Any, start: Any, number: Any) -> Any:
    """Return a number in every lane, as the element type of the pointer."""
    vector = Vector(start.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = context.cast(builder, arguments[1], types.float64, start.dtype)
        return splatted(builder, element, vector.lanes)

    return vector(start, types.float64), generate


def fetched(builder: Any, address: Any, nearest: bool = True) -> None:
    """Have the processor bring the line at an address into its caches; it need not exist."""
    address = builder.bitcast(address, ir.IntType(8).as_pointer())
    number = ir.IntType(32)
    name = "llvm.prefetch.p0i8"
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = ir.Function(builder.module, kind, name)
    # For reading, into all caches or all but the nearest, data.
    builder.call(function, [address, number(0), number(3 if nearest else 2), number(1)])


@operation
def ones(typing: Any, number: Any) -> Any:
    """Return how many bits of a whole number are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


@operation
def opaque(typing: Any, number: Any) -> Any:
    """Return a whole number, of which the compiler is to know nothing.

    A loop whose count it cannot compute is not unrolled: of a short one, that would only make the
    processor mistake the end of two loops instead of one.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (whole,) = arguments
        kind = ir.FunctionType(whole.type, [whole.type])
        return builder.asm(kind, "", "=r,0", [whole], side_effect=False)

    return types.int64(types.int64), generate


@operation
def prefetch(typing: Any, start: Any) -> Any:
    """Have the processor bring the line at a pointer into its caches; it need not exist."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        fetched(builder, arguments[0])
        return context.get_dummy_value()

    return types.none(start), generate


@operation
def prefetch_for_later(typing: Any, start: Any) -> Any:
    """Have the processor bring the line at a pointer into all its caches but the nearest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        fetched(builder, arguments[0], nearest=False)
        return context.get_dummy_value()

    return types.none(start), generate


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


def _comparison(sign: str) -> Any:
    """Return the intrinsic of a comparison that is False where either is NaN."""

    def typed(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.fcmp_ordered(sign, *arguments)

        return Vector(types.boolean, a.lanes)(a, b), generate

    return operation(typed)


greater = _comparison(">")
equal = _comparison("==")


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
    """Return the sum of the lanes: the upper half is added to the lower, until one is left."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (rest,) = arguments
        while rest.type.count > 1:
            half = rest.type.count // 2
            low, high = (
                shuffled(builder, rest, rest, list(range(first, first + half)))
                for first in (0, half)
            )
            rest = builder.fadd(low, high)
        return builder.extract_element(rest, index(0))

    return vector.element(vector), generate
