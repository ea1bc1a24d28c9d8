"""Where everything lies: the parameters of a network as users see them, and as kernels read them.

Users see one flat array: for each layer the weights (outputs, inputs), row by row, then the
biases. Kernels read *blocks* of 16 outputs side by side, one vector of lanes for each input, so
that one pixel multiplies 16 weights at once; outputs that fill up the last block have weight 0.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.simd import ALIGNMENT, LANES, advance, pointer, record

Floats = npt.NDArray[np.floating]
Layout = npt.NDArray[np.int64]
"""One row for each layer, with the fields of `Layer`."""


class Layer(NamedTuple):
    """The sizes of a layer, and the offsets of what kernels read and write for it."""

    inputs: int
    outputs: int
    weights: int
    """Weights in blocks of 16 outputs: (blocks, inputs, 16). Gradients lie in the same places."""
    biases: int
    """Biases, filled up to whole blocks."""
    transposed: int
    """Weights in blocks of 16 inputs, for the way back: (blocks, outputs, 16)."""
    activations: int
    """Outputs for a tile of images, row by row, filled up to whole blocks. Deltas likewise."""


class Extents(NamedTuple):
    """How many elements the arrays have that a layout points into."""

    blocked: int
    transposed: int
    activations: int


def aligned(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Floats:
    """Return an array of zeros whose first element starts a cache line, as vectors need it."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def plan(sizes: tuple[int, ...], tile: int) -> tuple[Layout, Extents]:
    """Return the layout for layers of these sizes and tiles of so many images, and its extents."""
    rows = []
    blocked = transposed = activations = 0
    for inputs, outputs in pairwise(sizes):
        width = -(-outputs // LANES) * LANES
        biases = blocked + width * inputs
        rows.append(Layer(inputs, outputs, blocked, biases, transposed, activations))
        blocked = biases + width
        transposed += -(-inputs // LANES) * LANES * outputs
        activations += width * tile
    return np.array(rows, np.int64), Extents(blocked, transposed, activations)


LAYER = len(Layer._fields)


@njit()
def pack(parameters: Floats, layout: Layout, blocked: Floats, transposed: Floats) -> None:
    """Copy flat parameters into blocks; what fills the blocks up is left as it is, at 0."""
    source = pointer(parameters)
    for index in range(len(layout)):
        layer = record(Layer, pointer(layout[index]))
        for o in range(layer.outputs):
            block = layer.weights + (o // LANES) * layer.inputs * LANES + o % LANES
            target = advance(pointer(blocked), block)
            for i in range(layer.inputs):
                target[i * LANES] = source[i]
            if index > 0:
                for i in range(layer.inputs):
                    row = (i // LANES) * layer.outputs + o
                    transposed[layer.transposed + row * LANES + i % LANES] = source[i]
            source = advance(source, layer.inputs)
        for o in range(layer.outputs):
            blocked[layer.biases + o] = source[o]
        source = advance(source, layer.outputs)


@njit()
def unpack(blocked: Floats, layout: Layout, pixel_scale: float, scale: float, flat: Floats) -> None:
    """Copy blocks back into a flat array, times a scale; weights of pixels have another one."""
    target = pointer(flat)
    for index in range(len(layout)):
        layer = record(Layer, pointer(layout[index]))
        factor = pixel_scale if index == 0 else scale
        for o in range(layer.outputs):
            block = layer.weights + (o // LANES) * layer.inputs * LANES + o % LANES
            source = advance(pointer(blocked), block)
            for i in range(layer.inputs):
                target[i] = source[i * LANES] * factor
            target = advance(target, layer.inputs)
        for o in range(layer.outputs):
            target[o] = blocked[layer.biases + o] * scale
        target = advance(target, layer.outputs)
