"""Vectors of 16 lanes inside Numba functions: the arithmetic that the fused kernels are made of.

A vector lives in registers: LLVM splits its 16 lanes into whatever the processor has (one AVX-512
register, two of AVX2, four of SSE for float32). Every operation rounds each lane once, as IEEE 754
says, and no operation reorders another, so a kernel made of these gives the same bits on every
processor. That is why `exp` and `log` are polynomials of our own: the C library picks its version
by the processor.

All functions here are called from compiled code only. Memory is reached through pointers, whose
elements are also read and written as `p[i]`; nothing checks that an offset lies inside, and the
array must outlive the pointer. Pointers, unlike arrays, are not counted, which keeps the code that
Numba makes small and its compilation short. A *vector* is a value of type `Vector(float32)` or
`Vector(float64)`, a *mask* the 16 booleans of a comparison.
"""

import math
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


def _constant(vector: Any, number: float) -> Any:
    return ir.Constant(vector, [ir.Constant(vector.element, number)] * LANES)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
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
        return _fma(builder, *arguments)

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


# --- exp and log ---------------------------------------------------------------------------------


class _Format:
    """The binary layout of a float type, and the constants of exp and log in it."""

    def __init__(self, vector: Any) -> None:
        single = isinstance(vector.element, ir.FloatType)
        self.bits = 32 if single else 64
        self.mantissa = 23 if single else 52
        self.bias = 127 if single else 1023
        # ln 2 in two parts: n times the first is exact for every exponent n.
        self.ln2_high = 0.693145751953125 if single else 0.6931471803691238
        self.ln2_low = 1.4286068203094172e-06 if single else 1.9082149292705878e-10
        # Below the first exp is 0, above the second infinite.
        self.exp_range = (-104.0, 89.0) if single else (-746.0, 710.0)
        # Terms that keep the truncation of the series under a tenth of an ulp.
        self.exp_terms = 8 if single else 14
        self.log_terms = 5 if single else 11
        self.integers = ir.VectorType(ir.IntType(self.bits), LANES)

    def integer(self, number: int) -> Any:
        return ir.Constant(self.integers, [ir.Constant(self.integers.element, number)] * LANES)


def _series(builder: Any, vector: Any, x: Any, coefficients: list[float]) -> Any:
    """Return the polynomial with these coefficients, lowest order first, by Horner's rule."""
    result = _constant(vector, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = _fma(builder, result, x, _constant(vector, coefficient))
    return result


@operation
def exp(typing: Any, x: Any) -> Any:
    """Return e to the power of each lane, within 2 ulp; 0 below, inf above, NaN for NaN.

    With n = round(x / ln 2), e^x = 2^n e^r where |r| <= ln(2) / 2, and e^r is its Taylor series.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (x,) = arguments
        vector = x.type
        f = _Format(vector)
        for bound, beyond in zip(f.exp_range, "<>", strict=True):
            limit = _constant(vector, bound)
            x = builder.select(builder.fcmp_ordered(beyond, x, limit), limit, x)
        # Adding 1.5 * 2^mantissa leaves the rounded integer in the lowest bits of the sum.
        magic = _constant(vector, 1.5 * 2**f.mantissa)
        shifted = _fma(builder, x, _constant(vector, 1.4426950408889634), magic)
        n = builder.fsub(shifted, magic)
        exponent = builder.sub(
            builder.bitcast(shifted, f.integers), builder.bitcast(magic, f.integers)
        )
        r = _fma(builder, n, _constant(vector, -f.ln2_high), x)
        r = _fma(builder, n, _constant(vector, -f.ln2_low), r)
        result = _series(builder, vector, r, [1 / math.factorial(k) for k in range(f.exp_terms)])
        # 2^n in two factors: one alone cannot reach the subnormal results.
        half = builder.ashr(exponent, f.integer(1))
        for power in (half, builder.sub(exponent, half)):
            biased = builder.add(power, f.integer(f.bias))
            factor = builder.bitcast(builder.shl(biased, f.integer(f.mantissa)), vector)
            result = builder.fmul(result, factor)
        return result

    return x(x), generate


@operation
def log(typing: Any, x: Any) -> Any:
    """Return the natural logarithm of each lane, within 2 ulp; NaN for NaN.

    Other lanes must be positive normal numbers.

    With x = 2^e m and m between sqrt(1/2) and sqrt(2), log m = 2 artanh((m - 1) / (m + 1)).
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (x,) = arguments
        vector = x.type
        f = _Format(vector)
        bits = builder.bitcast(x, f.integers)
        root = builder.bitcast(_constant(vector, 0.7071067811865476), f.integers)
        exponent = builder.ashr(builder.sub(bits, root), f.integer(f.mantissa))
        m = builder.bitcast(builder.sub(bits, builder.shl(exponent, f.integer(f.mantissa))), vector)
        e = builder.sitofp(exponent, vector)
        one = _constant(vector, 1.0)
        t = builder.fsub(m, one)
        s = builder.fdiv(t, builder.fadd(m, one))
        z = builder.fmul(s, s)
        series = [2 / (2 * k + 3) for k in range(f.log_terms)]
        tail = builder.fmul(z, _series(builder, vector, z, series))
        # 2 s = t - t^2 / 2 + s t^2 / 2 keeps the leading term t exact, where s is rounded.
        square = builder.fmul(builder.fmul(t, t), _constant(vector, 0.5))
        low = _fma(
            builder,
            s,
            builder.fadd(square, tail),
            builder.fmul(e, _constant(vector, f.ln2_low)),
        )
        low = builder.fadd(t, builder.fsub(low, square))
        result = _fma(builder, e, _constant(vector, f.ln2_high), low)
        return builder.select(builder.fcmp_unordered("uno", x, x), x, result)

    return x(x), generate
