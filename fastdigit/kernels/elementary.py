"""exp, log and square root of vectors, with the same bits on every processor.

The C library picks its own version by the processor it finds, and their last bits differ; so
exp and log are series of our own, made of fused multiply-adds.
"""

import math
from fractions import Fraction
from typing import Any

from llvmlite import ir

from fastdigit.kernels.simd import constant, fma_of, operation


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
        # Below the first exp is 0, above the second infinite: there 2^n is.
        self.exp_range = (-88.0, 89.0) if single else (-709.0, 710.0)
        # Terms that keep the truncation of the series under a tenth of an ulp.
        self.exp_terms = 7 if single else 12
        self.log_terms = 5 if single else 11
        self.integers = ir.VectorType(ir.IntType(self.bits), vector.count)

    def integer(self, number: int) -> Any:
        return ir.Constant(
            self.integers, [ir.Constant(self.integers.element, number)] * self.integers.count
        )


def _series(builder: Any, vector: Any, x: Any, coefficients: list[float]) -> Any:
    """Return the polynomial with these coefficients, lowest order first, by Horner's rule."""
    result = constant(vector, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = fma_of(builder, result, x, constant(vector, coefficient))
    return result


def _exp_series(terms: int) -> list[float]:
    """Return the coefficients of e^r for |r| <= ln(2) / 2, lowest order first.

    They are those of the Taylor series with some more terms, which are taken away again one by one:
    each time the multiple of a Chebyshev polynomial that has the highest order. Of all polynomials
    it is the one that stays smallest, so a term less is enough (Lanczos, "Trigonometric
    interpolation of empirical and analytical functions", 1938).
    """
    bound = Fraction(math.log(2) / 2)
    series = [1 / Fraction(math.factorial(k)) for k in range(terms + 4)]
    while len(series) > terms:
        order = len(series) - 1
        # T_n(t) = 2 t T_(n-1)(t) - T_(n-2)(t), with t = r / bound.
        before, chebyshev = [Fraction(1)], [Fraction(0), Fraction(1)]
        for _ in range(order - 1):
            doubled = [Fraction(0), *(2 * c for c in chebyshev)]
            shorter = [*before, Fraction(0), Fraction(0)]
            before = chebyshev
            chebyshev = [a - b for a, b in zip(doubled, shorter, strict=True)]
        factor = series[order] * bound**order / chebyshev[order]
        series = [series[k] - factor * chebyshev[k] / bound**k for k in range(order)]
    return [float(coefficient) for coefficient in series]


@operation
def exp(typing: Any, x: Any) -> Any:
    """Return e to the power of each lane, within 2 ulp; NaN for NaN.

    With n = round(x / ln 2), e^x = 2^n e^r where |r| <= ln(2) / 2, and e^r is a polynomial. Where
    2^n is not a normal number, the result is 0 or infinite: below e^-87.6 and above e^88.3 in
    float32, below e^-708.7 and above e^709.4 in float64.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (x,) = arguments
        vector = x.type
        f = _Format(vector)
        for bound, beyond in zip(f.exp_range, "<>", strict=True):
            limit = constant(vector, bound)
            x = builder.select(builder.fcmp_ordered(beyond, x, limit), limit, x)
        # Adding 1.5 * 2^mantissa leaves the rounded integer in the lowest bits of the sum.
        magic = constant(vector, 1.5 * 2**f.mantissa)
        shifted = fma_of(builder, x, constant(vector, 1.4426950408889634), magic)
        n = builder.fsub(shifted, magic)
        r = fma_of(builder, n, constant(vector, -f.ln2_high), x)
        r = fma_of(builder, n, constant(vector, -f.ln2_low), r)
        result = _series(builder, vector, r, _exp_series(f.exp_terms))
        # The lowest bits of the sum are the exponent's, and all others leave by the shift.
        biased = builder.add(builder.bitcast(shifted, f.integers), f.integer(f.bias))
        power = builder.bitcast(builder.shl(biased, f.integer(f.mantissa)), vector)
        return builder.fmul(result, power)

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
        root = builder.bitcast(constant(vector, 0.7071067811865476), f.integers)
        exponent = builder.ashr(builder.sub(bits, root), f.integer(f.mantissa))
        m = builder.bitcast(builder.sub(bits, builder.shl(exponent, f.integer(f.mantissa))), vector)
        e = builder.sitofp(exponent, vector)
        one = constant(vector, 1.0)
        t = builder.fsub(m, one)
        s = builder.fdiv(t, builder.fadd(m, one))
        z = builder.fmul(s, s)
        series = [2 / (2 * k + 3) for k in range(f.log_terms)]
        tail = builder.fmul(z, _series(builder, vector, z, series))
        # 2 s = t - t^2 / 2 + s t^2 / 2 keeps the leading term t exact, where s is rounded.
        square = builder.fmul(builder.fmul(t, t), constant(vector, 0.5))
        low = fma_of(
            builder,
            s,
            builder.fadd(square, tail),
            builder.fmul(e, constant(vector, f.ln2_low)),
        )
        low = builder.fadd(t, builder.fsub(low, square))
        result = fma_of(builder, e, constant(vector, f.ln2_high), low)
        return builder.select(builder.fcmp_unordered("uno", x, x), x, result)

    return x(x), generate


@operation
def square_root(typing: Any, x: Any) -> Any:
    """Return the root of each lane, rounded once; NaN below 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = f"llvm.sqrt.v{kind.count}f{x.element.bitwidth}"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.call(function, arguments)

    return x(x), generate
