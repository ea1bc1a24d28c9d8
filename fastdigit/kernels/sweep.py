"""One pass over all images: forward, loss and accuracy, and, while learning, backward.

The images are cut into 64 pieces, wherever and by however many threads they are worked on. Each
piece adds up its own loss and gradient, tile by tile and image by image, and the pieces are
combined in a fixed tree: so every sum has one order, and the result the same bits at any number
of threads.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import get_thread_id, prange

from fastdigit.jit import njit
from fastdigit.kernels.dense import (
    Pointer,
    Rows,
    add_gradients,
    keep_active,
    linear,
    read,
    softmax,
)
from fastdigit.kernels.layout import Extents, Layer, Layout, layer_at
from fastdigit.kernels.simd import LANES, add, advance, load, pointer, splat, store

Floats = npt.NDArray[np.floating]
Bytes = npt.NDArray[np.uint8]

PIECES = 64
TILE = 32
"""Images in a tile: a multiple of 16, because softmax works on 16 side by side."""


class Packed(NamedTuple):
    """The parameters of a network in blocks, and their layout."""

    layout: Layout
    activations: int
    """Elements that the activations of a tile take."""
    blocked: Floats
    transposed: Floats
    zeros: Floats
    """As many zeros as the widest layer has inputs: the biases of the way back."""


class Network(NamedTuple):
    """Pointers to a packed network."""

    layout: Any
    layers: int
    blocked: Pointer
    transposed: Pointer
    zeros: Pointer


class Tile(NamedTuple):
    """Pointers to what one thread writes while it works on a tile."""

    pixels: Pointer
    activations: Pointer
    deltas: Pointer
    winners: Pointer
    normalisers: Pointer


def scratch_size(features: int, extents: Extents) -> int:
    """Return how many elements a thread needs for its tile."""
    elements = TILE * features + 2 * extents.activations + 2 * TILE
    return -(-elements // LANES) * LANES


@njit()
def tile_in(memory: Pointer, features: int, activations: int) -> Tile:
    """Lay a tile out in the memory of a thread."""
    first = advance(memory, TILE * features)
    deltas = advance(first, activations)
    winners = advance(deltas, activations)
    return Tile(memory, first, deltas, winners, advance(winners, TILE))


@njit()
def rows_of(layer: Layer, memory: Pointer) -> Rows:
    """Return the activations or deltas of a layer."""
    pitch = (layer.outputs + LANES - 1) // LANES * LANES
    return Rows(advance(memory, layer.activations), pitch)


@njit()
def forward(network: Network, scale: float, tile: Tile, rows: int) -> Rows:
    """Pass the pixels of a tile through all layers and return its logits."""
    inputs = Rows(tile.pixels, layer_at(network.layout, 0).inputs)
    for index in range(network.layers):
        layer = layer_at(network.layout, index)
        outputs = rows_of(layer, tile.activations)
        linear(
            inputs,
            layer.inputs,
            advance(network.blocked, layer.weights),
            advance(network.blocked, layer.biases),
            scale if index == 0 else 1.0,
            index < network.layers - 1,
            outputs,
            rows,
        )
        inputs = outputs
    return inputs


@njit()
def backward(network: Network, tile: Tile, rows: int, deltas: Rows, gradient: Pointer) -> None:
    """Take the deltas of the logits back through all layers and add to the gradient of each."""
    for index in range(network.layers - 1, -1, -1):
        layer = layer_at(network.layout, index)
        below = layer_at(network.layout, max(index - 1, 0))
        inputs = rows_of(below, tile.activations)
        if index == 0:
            inputs = Rows(tile.pixels, layer.inputs)
        weights = advance(gradient, layer.weights)
        add_gradients(inputs, layer.inputs, deltas, rows, weights, advance(gradient, layer.biases))
        if index > 0:
            earlier = rows_of(below, tile.deltas)
            weights = advance(network.transposed, layer.transposed)
            linear(deltas, layer.outputs, weights, network.zeros, 1.0, index < 0, earlier, rows)
            keep_active(inputs, earlier, rows)
            deltas = earlier


@njit()
def subtract_one_hot(logits: Rows, labels: Pointer, rows: int) -> None:
    """DZ = A - Y: take 1 from the probability of each image's label."""
    for row in range(rows):
        at = row * logits.pitch + labels[row]
        logits.start[at] = logits.start[at] - 1


@njit()
def score(logits: Rows, labels: Pointer, rows: int, tile: Tile, outputs: int) -> tuple[float, int]:
    """Turn logits into probabilities; return the sum of losses and the number of right answers."""
    loss = 0.0
    correct = 0
    for row in range(rows):
        loss -= logits.start[row * logits.pitch + labels[row]]
    softmax(logits, outputs, rows, tile.winners, tile.normalisers)
    for row in range(rows):
        loss += tile.normalisers[row]
        correct += tile.winners[row] == labels[row]
    return loss, correct


@njit()
def learn_piece(
    images: Pointer,
    labels: Pointer,
    first: int,
    last: int,
    network: Network,
    scale: float,
    tile: Tile,
    gradient: Pointer,
    size: int,
    learning: bool,
) -> tuple[float, int]:
    """Pass some of the images through; return their loss and right answers, fill in a gradient."""
    loss = 0.0
    correct = 0
    features = layer_at(network.layout, 0).inputs
    outputs = layer_at(network.layout, network.layers - 1).outputs
    if learning:
        for k in range(0, size, LANES):
            store(gradient, k, splat(gradient, 0.0))
    for start in range(first, last, TILE):
        rows = min(TILE, last - start)
        read(advance(images, start * features), features, rows, tile.pixels)
        logits = forward(network, scale, tile, rows)
        mine = advance(labels, start)
        more_loss, more_correct = score(logits, mine, rows, tile, outputs)
        loss += more_loss
        correct += more_correct
        if learning:
            subtract_one_hot(logits, mine, rows)
            backward(network, tile, rows, logits, gradient)
    return loss, correct


@njit()
def combine(gradients: Pointer, size: int, first: int, last: int) -> None:
    """Add the gradients of all pieces to that of the first one, in a fixed tree."""
    half = PIECES // 2
    while half > 0:
        for piece in range(half):
            into = advance(gradients, piece * size)
            other = advance(into, half * size)
            for k in range(first, last, LANES):
                store(into, k, add(load(into, k), load(other, k)))
        half //= 2


@njit(parallel=True)
def learn(
    images: npt.NDArray[Any],
    labels: Bytes,
    network: Packed,
    scale: float,
    scratch: Floats,
    gradients: Floats,
    results: npt.NDArray[np.float64],
    learning: bool,
) -> None:
    """Sum the loss, the right answers and the gradient over all images.

    Parameters
    ----------
    images
        (n, features), bytes or floats of the network's type, C-contiguous.
    labels
        (n,), each below the number of outputs.
    network
        The parameters.
    scale
        What pixels are multiplied by: 1 / 255 for bytes. It is applied to the first layer's sums,
        and left out of the gradient of its weights.
    scratch
        (threads, `scratch_size`), aligned.
    gradients
        (64, blocked), aligned. The sums are in the first row afterwards.
    results
        (64, 2): loss and right answers of each piece.
    learning
        Whether to compute the gradient.
    """
    n, features = images.shape
    size = gradients.shape[1]
    for piece in prange(PIECES):
        loss, correct = learn_piece(
            pointer(images),
            pointer(labels),
            n * piece // PIECES,
            n * (piece + 1) // PIECES,
            Network(
                pointer(network.layout),
                network.layout.shape[0],
                pointer(network.blocked),
                pointer(network.transposed),
                pointer(network.zeros),
            ),
            scale,
            tile_in(pointer(scratch[get_thread_id()]), features, network.activations),
            pointer(gradients[piece]),
            size,
            learning,
        )
        results[piece, 0] = loss
        results[piece, 1] = correct
    if learning:
        vectors = size // LANES
        for share in prange(PIECES):
            first = vectors * share // PIECES * LANES
            last = vectors * (share + 1) // PIECES * LANES
            combine(pointer(gradients), size, first, last)


@njit(parallel=True)
def classify(
    images: npt.NDArray[Any],
    network: Packed,
    scale: float,
    scratch: Floats,
    probabilities: Floats,
    labels: Bytes,
) -> None:
    """Write the label of each image, and its probabilities (n, outputs) if there is room for them.

    The other parameters are those of `learn`.
    """
    n, features = images.shape
    wanted = probabilities.shape[0] > 0
    for piece in prange(PIECES):
        tile = tile_in(pointer(scratch[get_thread_id()]), features, network.activations)
        packed = Network(
            pointer(network.layout),
            network.layout.shape[0],
            pointer(network.blocked),
            pointer(network.transposed),
            pointer(network.zeros),
        )
        outputs = network.layout[-1, 1]
        last = n * (piece + 1) // PIECES
        for start in range(n * piece // PIECES, last, TILE):
            rows = min(TILE, last - start)
            read(advance(pointer(images), start * features), features, rows, tile.pixels)
            logits = forward(packed, scale, tile, rows)
            softmax(logits, outputs, rows, tile.winners, tile.normalisers)
            for row in range(rows):
                labels[start + row] = tile.winners[row]
                if wanted:
                    for o in range(outputs):
                        probabilities[start + row, o] = logits.start[row * logits.pitch + o]
