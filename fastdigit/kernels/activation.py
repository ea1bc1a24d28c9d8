"""Activations of vectors, chosen at run time: a choice costs a branch, and no second compilation.

Their slopes are computed from their outputs, so what went in need not be kept.
"""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels import reference
from fastdigit.kernels.elementary import exp
from fastdigit.kernels.simd import add, divide, fma, greater, maximum, multiply, select, subtract

Vector = Any

ACTIVATIONS = tuple(reference.ACTIVATIONS)
"""Their names; compiled code knows their places."""

RELU, LEAKY_RELU, TANH, LOGISTIC, IDENTITY = range(len(ACTIVATIONS))


@njit(inner=True)
def activated(kind: int, z: Vector, zero: Vector, one: Vector, leak: Vector) -> Vector:
    """Return the activation of each lane; NaN for NaN. `leak` is `reference.LEAK` in every lane.

    tanh z = (1 - e) / (1 + e) with e = exp(-2 z), within 2 ulp of 1;
    logistic z = 1 / (1 + exp(-z)).
    """
    if kind == RELU:
        return maximum(zero, z)
    if kind == LEAKY_RELU:
        return select(greater(z, zero), z, multiply(leak, z))
    if kind == TANH:
        # Of |z|, so that e cannot overflow.
        size = maximum(subtract(zero, z), z)
        e = exp(subtract(zero, add(size, size)))
        t = divide(subtract(one, e), add(one, e))
        return select(greater(zero, z), subtract(zero, t), t)
    if kind == LOGISTIC:
        return divide(one, add(one, exp(subtract(zero, z))))
    return z


@njit(inner=True)
def slope(kind: int, a: Vector, zero: Vector, one: Vector, leak: Vector) -> Vector:
    """Return the derivative of an activation where its output is `a`."""
    if kind == RELU:
        return select(greater(a, zero), one, zero)
    if kind == LEAKY_RELU:
        return select(greater(a, zero), one, leak)
    if kind == TANH:
        return fma(subtract(zero, a), a, one)
    if kind == LOGISTIC:
        return multiply(a, subtract(one, a))
    return one
