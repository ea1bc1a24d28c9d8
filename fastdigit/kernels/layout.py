"""Where everything lies: the parameters of a network as users see them, and as kernels read them.

Users see one flat array: for each layer the weights (outputs, inputs), row by row, then the
biases. Kernels read *blocks* of ten outputs (`simd.UNITS`): for each input the weights of ten
units side by side, one for each vector of a bundle. Units that fill up the last block have weight
0, and so have inputs that fill up the first layer.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.simd import ALIGNMENT

Array = npt.NDArray[Any]
Pairs = list[tuple[Array, Array]]
"""Arrays of one shape each."""
Layout = npt.NDArray[np.int64]
"""One row for each layer, with the fields of `Layer`."""


class Layer(NamedTuple):
    """The sizes of a layer, and the offsets of what kernels read and write for it."""

    inputs: int
    outputs: int
    flat: int
    """Parameters as users see them."""
    rows: int
    """Inputs in a block of weights, filled up."""
    blocks: int
    """Blocks of ten outputs."""
    weights: int
    """Weights (blocks, rows, 10). Gradients lie in the same places, but that of the first layer on
    bytes, which is (blocks, 10, rows) and in the order of the columns; see `exact`."""
    biases: int
    """Biases, filled up to whole blocks."""
    transposed: int
    """Weights for the way back: (blocks of inputs, outputs, 10)."""
    activations: int
    """Outputs of a group of images, a vector a unit, filled up to whole blocks. Deltas likewise."""


class Extents(NamedTuple):
    """How many elements the arrays have that a layout points into."""

    blocked: int
    transposed: int
    units: int
    """Units of all layers together, filled up to whole blocks."""


def aligned(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return an array of zeros whose first element starts a cache line, as vectors need it."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def plan(sizes: tuple[int, ...], lanes: int, filled: int = 4) -> tuple[Layout, Extents]:
    """Return the layout for layers of these sizes and vectors of so many lanes, and its extents.

    The inputs of the first layer are filled up to a multiple of `filled`.
    """
    layers: list[Layer] = []
    flat = blocked = transposed = units = 0
    for inputs, outputs in pairwise(sizes):
        rows = inputs + -inputs % (4 if layers else filled)
        blocks = -(-outputs // UNITS)
        biases = blocked + blocks * rows * UNITS
        layers.append(
            Layer(inputs, outputs, flat, rows, blocks, blocked, biases, transposed, units * lanes)
        )
        flat += outputs * (inputs + 1)
        blocked = biases + blocks * UNITS
        transposed += -(-inputs // UNITS) * outputs * UNITS
        units += blocks * UNITS
    return np.array(layers, np.int64), Extents(blocked, transposed, units)


LAYER = len(Layer._fields)


def weights_in_blocks(layer: Layer, blocked: Array, W: Array) -> Pairs:
    """Return views of parts of blocks, each with the weights that belong there.

    See `Layer.weights`; W is (outputs, inputs).
    """
    size = layer.rows * UNITS
    pairs = []
    for block in range(layer.blocks):
        start = layer.weights + block * size
        part = W[block * UNITS : (block + 1) * UNITS].T
        rows = blocked[start : start + size].reshape(layer.rows, UNITS)
        pairs.append((rows[: layer.inputs, : part.shape[1]], part))
    return pairs


def weights_transposed(layer: Layer, transposed: Array, W: Array) -> Pairs:
    """Return the same for the blocks for the way back; see `Layer.transposed`."""
    size = layer.outputs * UNITS
    pairs = []
    for block in range(-(-layer.inputs // UNITS)):
        start = layer.transposed + block * size
        part = W[:, block * UNITS : (block + 1) * UNITS]
        rows = transposed[start : start + size].reshape(layer.outputs, UNITS)
        pairs.append((rows[:, : part.shape[1]], part))
    return pairs


def biases_of(layer: Layer, blocked: Array) -> Array:
    """Return a view of where the biases are; see `Layer.biases`."""
    return blocked[layer.biases : layer.biases + layer.outputs]
