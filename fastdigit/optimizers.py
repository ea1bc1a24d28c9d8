"""Optimizers: arrays in, arrays changed in place; they know nothing of networks.

They use + - * / and square roots alone, which every processor rounds alike, so the same gradients
give the same bits everywhere. Powers are products of our own: the C library's may differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]


def _check_share(name: str, value: Any) -> None:
    if not (isinstance(value, Real) and 0 <= float(value) < 1):
        raise ValueError(f"{name}={value!r}; it must be a number, at least 0 and less than 1")


@dataclass(frozen=True)
class SGD:
    """Gradient descent, with a memory of past gradients if momentum is not 0."""

    momentum: float = 0.0
    """Share of the velocity that stays after a step, 0..1."""
    nesterov: bool = False
    """Step along the gradient plus the velocity that will be left of it (Sutskever et al. 2013)."""

    def __post_init__(self) -> None:
        _check_share("momentum", self.momentum)
        if not isinstance(self.nesterov, bool):
            raise ValueError(f"nesterov={self.nesterov!r}; it is True or False")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=True with momentum=0; Nesterov's step needs a momentum")

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of what it remembers from step to step."""
        return ("velocity",) if self.momentum else ()


@dataclass(frozen=True)
class Adam:
    """Steps of about the learning rate for each parameter (Kingma and Ba 2014, arXiv:1412.6980)."""

    beta1: float = 0.9
    """Share of the mean gradient that stays after a step, 0..1."""
    beta2: float = 0.999
    """Share of the mean squared gradient that stays after a step, 0..1."""
    epsilon: float = 1e-8
    """Added to the root of the mean square, which may be 0."""

    def __post_init__(self) -> None:
        _check_share("beta1", self.beta1)
        _check_share("beta2", self.beta2)
        if not (isinstance(self.epsilon, Real) and 0 < self.epsilon < float("inf")):
            raise ValueError(f"epsilon={self.epsilon!r}; it must be a positive number")

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of what it remembers from step to step."""
        return ("mean", "square")


Optimizer = SGD | Adam

NAMED: dict[str, Optimizer] = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.9, nesterov=True),
    "adam": Adam(),
}


def optimizer(chosen: str | Optimizer) -> Optimizer:
    """Return the optimizer of a name, or the one that was given.

    Raises
    ------
    ValueError
        For any other name.
    """
    if isinstance(chosen, SGD | Adam):
        return chosen
    if not isinstance(chosen, str) or chosen not in NAMED:
        names = ", ".join(map(repr, NAMED))
        raise ValueError(f"optimizer={chosen!r}; the optimizers are {names}, SGD(...), Adam(...)")
    return NAMED[chosen]


def state(optimizer: Optimizer, parameters: Floats) -> list[Floats]:
    """Return what an optimizer remembers before the first step: zeros, one array for each name."""
    return [np.zeros_like(parameters) for _ in optimizer.arrays]


def step(
    optimizer: Optimizer,
    parameters: Floats,
    gradient: Floats,
    arrays: Sequence[Floats],
    learning_rate: float,
    number: int,
) -> None:
    """Take one step: change the parameters, and what the optimizer remembers, in place.

    Parameters
    ----------
    optimizer
        Whose formula to use.
    parameters, gradient
        Of one shape and type.
    arrays
        What `state` returned, as the steps before have left it.
    learning_rate
        Of this step.
    number
        Of this step, from 1 on.
    """
    # Unlike NumPy's numbers, Python's leave arrays of float32 what they are; so below as well.
    rate = float(learning_rate)
    if isinstance(optimizer, Adam):
        mean, square = arrays
        adam(parameters, gradient, mean, square, optimizer, rate, number)
    elif optimizer.momentum:
        (velocity,) = arrays
        momentum(parameters, gradient, velocity, optimizer, rate)
    else:
        sgd(parameters, gradient, rate)


def sgd(parameters: Floats, gradient: Floats, learning_rate: float) -> None:
    """Take one step of gradient descent: parameters minus learning rate times gradient.

    One operation on one array, so an interrupt finds it either not begun or finished.
    """
    parameters -= parameters.dtype.type(learning_rate) * gradient


def momentum(
    parameters: Floats, gradient: Floats, velocity: Floats, optimizer: SGD, learning_rate: float
) -> None:
    """V = mu v + g; then w -= lr v, or, after Nesterov, w -= lr (g + mu v)."""
    mu = float(optimizer.momentum)
    velocity *= mu
    velocity += gradient
    direction = gradient + mu * velocity if optimizer.nesterov else velocity
    parameters -= learning_rate * direction


def adam(
    parameters: Floats,
    gradient: Floats,
    mean: Floats,
    square: Floats,
    optimizer: Adam,
    learning_rate: float,
    number: int,
) -> None:
    """M = b1 m + (1 - b1) g; s = b2 s + (1 - b2) g^2; w -= lr m' / (sqrt(s') + epsilon).

    m' = m / (1 - b1^t) and s' = s / (1 - b2^t): the means as if they had not begun with 0.
    """
    beta1, beta2 = float(optimizer.beta1), float(optimizer.beta2)
    mean *= beta1
    mean += (1 - beta1) * gradient
    square *= beta2
    square += (1 - beta2) * (gradient * gradient)
    rate = learning_rate / (1 - power(beta1, number))
    root = np.sqrt(square / (1 - power(beta2, number)))
    parameters -= rate * mean / (root + float(optimizer.epsilon))


def power(base: float, exponent: int) -> float:
    """Return a number to the power of a whole number of at least 0, by repeated squaring."""
    result = 1.0
    while exponent:
        if exponent % 2:
            result *= base
        base *= base
        exponent //= 2
    return result
