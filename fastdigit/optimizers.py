"""Optimizers: arrays in, arrays changed in place; they know nothing of networks."""

from typing import Any

import numpy.typing as npt

Floats = npt.NDArray[Any]


def sgd(parameters: Floats, gradient: Floats, learning_rate: float) -> None:
    """Take one step of gradient descent: parameters minus learning rate times gradient.

    One operation on one array, so an interrupt finds it either not begun or finished.
    """
    parameters -= parameters.dtype.type(learning_rate) * gradient
