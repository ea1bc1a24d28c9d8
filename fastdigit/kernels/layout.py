"""Where everything lies: the parameters of a network as users see them, and as kernels read them.

Users see one flat array: for each layer the weights (outputs, inputs), row by row, then the
biases. Kernels read *blocks* of ten outputs (`simd.UNITS`): for each input the weights of ten
units side by side, one for each vector of a bundle. Units that fill up the last block have weight
0, and so have the inputs that fill up the last word of four pixels.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.simd import ALIGNMENT, advance, record

Floats = npt.NDArray[np.floating]
Pointer = Any
"""To elements of one type, in compiled code."""
Layout = npt.NDArray[np.int64]
"""One row for each layer, with the fields of `Layer`."""


class Layer(NamedTuple):
    """The sizes of a layer, and the offsets of what kernels read and write for it."""

    inputs: int
    outputs: int
    flat: int
    """Parameters as users see them."""
    rows: int
    """Inputs in a block of weights: a multiple of four, as pixels in a word."""
    blocks: int
    """Blocks of ten outputs."""
    weights: int
    """Weights (blocks, rows, 10). Gradients lie in the same places."""
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


def aligned(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
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


@njit(inner=True)
def place(layer: Layer, o: int) -> int:
    """Return the offset of the weight of a layer's first input and an output; see `Layer`."""
    return layer.weights + o // UNITS * layer.rows * UNITS + o % UNITS


@njit()
def pack(
    layers: Any,
    parameters: Pointer,
    blocked: Pointer,
    transposed: Pointer,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Copy flat parameters into blocks; what fills the blocks up is left as it is, at 0.

    A kernel of one piece for each layer.
    """
    layer = record(Layer, advance(layers, piece * LAYER))
    pack_weights(layer, parameters, blocked, transposed, piece > 0)
    pack_biases(layer, parameters, blocked)


@njit(inner=True)
def pack_weights(
    layer: Layer, parameters: Pointer, blocked: Pointer, transposed: Pointer, both: bool
) -> None:
    """Copy the weights of a layer into blocks, and, if `both`, into those for the way back."""
    source = advance(parameters, layer.flat)
    for o in range(layer.outputs):
        target = advance(blocked, place(layer, o))
        for i in range(layer.inputs):
            target[i * UNITS] = source[o * layer.inputs + i]
        if both:
            for i in range(layer.inputs):
                row = i // UNITS * layer.outputs + o
                at = layer.transposed + row * UNITS + i % UNITS
                transposed[at] = source[o * layer.inputs + i]


@njit(inner=True)
def pack_biases(layer: Layer, parameters: Pointer, blocked: Pointer) -> None:
    """Copy the biases of a layer into blocks."""
    source = advance(parameters, layer.flat + layer.outputs * layer.inputs)
    for o in range(layer.outputs):
        blocked[layer.biases + o] = source[o]


@njit()
def unpack(
    layers: Any,
    blocked: Pointer,
    scales: Pointer,
    flat: Pointer,
    _e: Any,
    _f: Any,
    _g: Any,
    piece: int,
    thread: int,
) -> None:
    """Copy blocks back into a flat array, times a scale; weights of pixels have another one.

    A kernel of one piece for each layer. `scales` are that of the weights of pixels, and the other.
    """
    layer = record(Layer, advance(layers, piece * LAYER))
    unpack_weights(layer, blocked, scales[min(piece, 1)], flat)
    unpack_biases(layer, blocked, scales[1], flat)


@njit(inner=True)
def unpack_weights(layer: Layer, blocked: Pointer, factor: float, flat: Pointer) -> None:
    """Copy the weights of a layer from blocks, times a factor."""
    target = advance(flat, layer.flat)
    for o in range(layer.outputs):
        source = advance(blocked, place(layer, o))
        for i in range(layer.inputs):
            target[o * layer.inputs + i] = source[i * UNITS] * factor


@njit(inner=True)
def unpack_biases(layer: Layer, blocked: Pointer, factor: float, flat: Pointer) -> None:
    """Copy the biases of a layer from blocks, times a factor."""
    target = advance(flat, layer.flat + layer.outputs * layer.inputs)
    for o in range(layer.outputs):
        target[o] = blocked[layer.biases + o] * factor
