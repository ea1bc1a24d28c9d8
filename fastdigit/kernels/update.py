"""The optimizers, fused with the last use of a gradient: it is added up, used and forgotten.

The formulas are those of `fastdigit.optimizers`, which is the twin; the choice is made at run time.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.elementary import square_root
from fastdigit.kernels.simd import (
    add,
    divide,
    fma,
    greater,
    lanes,
    load,
    maximum,
    multiply,
    select,
    splat,
    store,
    subtract,
)
from fastdigit.kernels.steps import Learning
from fastdigit.optimizers import SGD, Optimizer, power

Pointer = Any
"""To elements of one type, in compiled code."""

PLAIN, MOMENTUM, NESTEROV, ADAM = range(4)


FORGOTTEN = 2.0**-100
"""What an optimizer remembers is 0 below this. Where no image has ink for long, it fades until
arithmetic with it takes a hundred times as long; a weight it does not change any more."""


class Rule(NamedTuple):
    """How a step changes parameters; float64 numbers."""

    kind: float
    """PLAIN, MOMENTUM, NESTEROV or ADAM."""
    memory: float
    """Momentum, or Adam's beta1."""
    square_memory: float
    """Adam's beta2."""
    epsilon: float
    l1: float
    l2: float
    rate: float
    """Learning rate of the step; Adam's divided by 1 - beta1^t."""
    correction: float
    """Adam's 1 - beta2^t; otherwise 1."""


SETTINGS = 6
"""Numbers of a rule that are the same in every step."""


def settings_of(learning: Learning) -> tuple[float, ...]:
    """Return the numbers of a rule that are the same in every step."""
    chosen, decay = learning.optimizer, (learning.l1, learning.l2)
    if isinstance(chosen, SGD):
        kind = (NESTEROV if chosen.nesterov else MOMENTUM) if chosen.momentum else PLAIN
        return kind, chosen.momentum, 0.0, 0.0, *decay
    return ADAM, chosen.beta1, chosen.beta2, chosen.epsilon, *decay


def rates_of(
    optimizer: Optimizer, rates: npt.NDArray[np.float64], done: int
) -> npt.NDArray[np.float64]:
    """Return the rate and the correction of each step, (steps, 2), after so many steps."""
    table = np.ones((len(rates), 2))
    table[:, 0] = rates
    if not isinstance(optimizer, SGD):
        for i, number in enumerate(range(done + 1, done + 1 + len(rates))):
            table[i] = (
                rates[i] / (1 - power(optimizer.beta1, number)),
                1 - power(optimizer.beta2, number),
            )
    return table


@njit(inner=True)
def faded(values: Any, like: Pointer) -> Any:
    """Return values with what is nearly 0 set to 0; NaN stays."""
    zero = splat(like, 0.0)
    size = maximum(subtract(zero, values), values)
    return select(greater(splat(like, FORGOTTEN), size), zero, values)


@njit(inner=True)
def update(
    rule: Rule,
    scale: float,
    decays: bool,
    gradient: Pointer,
    parameters: Pointer,
    memory: Pointer,
    square: Pointer,
    vectors: int,
) -> None:
    """Take a step with so many vectors that lie one after the other.

    Parameters
    ----------
    rule
        How.
    scale
        What the sums in `gradient` are multiplied by first.
    decays
        Whether L1 and L2 apply, as they do to weights.
    gradient, parameters, memory, square
        Sums; what is changed; velocity or mean, and mean square, where the rule has them.
    """
    zero = splat(parameters, 0.0)
    factor = splat(parameters, scale)
    rate = splat(parameters, rule.rate)
    keep = splat(parameters, rule.memory)
    for k in range(0, vectors * lanes(parameters), lanes(parameters)):
        w = load(parameters, k)
        g = multiply(load(gradient, k), factor)
        if decays:
            g = fma(splat(parameters, rule.l2), w, g)
            sign = select(greater(w, zero), splat(parameters, rule.l1), zero)
            sign = select(greater(zero, w), splat(parameters, -rule.l1), sign)
            g = add(g, sign)
        if rule.kind == ADAM:
            m = fma(splat(parameters, 1 - rule.memory), g, multiply(keep, load(memory, k)))
            m = faded(m, parameters)
            second = multiply(splat(parameters, rule.square_memory), load(square, k))
            s = fma(splat(parameters, 1 - rule.square_memory), multiply(g, g), second)
            s = faded(s, parameters)
            store(memory, k, m)
            store(square, k, s)
            root = square_root(divide(s, splat(parameters, rule.correction)))
            g = divide(m, add(root, splat(parameters, rule.epsilon)))
        elif rule.kind != PLAIN:
            v = faded(fma(keep, load(memory, k), g), parameters)
            store(memory, k, v)
            g = fma(keep, v, g) if rule.kind == NESTEROV else v
        store(parameters, k, subtract(w, multiply(rate, g)))
