"""The parameters of a network in one flat array, and views of its weights and biases.

One array makes an update, a copy, a sum over machines or a checksum a single operation.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]


def count(sizes: tuple[int, ...]) -> int:
    """Return how many parameters a network with layers of these sizes has."""
    return sum(outputs * (inputs + 1) for inputs, outputs in pairwise(sizes))


def views(flat: Floats, sizes: tuple[int, ...]) -> tuple[list[Floats], list[Floats]]:
    """Return the weights (outputs, inputs) and biases (outputs,) of each layer, as views."""
    weights: list[Floats] = []
    biases: list[Floats] = []
    start = 0
    for inputs, outputs in pairwise(sizes):
        middle = start + outputs * inputs
        weights.append(flat[start:middle].reshape(outputs, inputs))
        biases.append(flat[middle : middle + outputs])
        start = middle + outputs
    return weights, biases


def flatten(weights: list[Floats], biases: list[Floats]) -> Floats:
    """Return all parameters in one array, layer by layer, weights before biases."""
    return np.concatenate([a.ravel() for W, b in zip(weights, biases, strict=True) for a in (W, b)])
