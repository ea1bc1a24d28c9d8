"""One pass over all images: forward, loss and accuracy, and, while learning, backward.

The images are cut into 64 pieces, wherever and by however many threads they are worked on. Each
piece adds up its own loss and gradient, tile by tile and image by image, and the pieces are
combined in a fixed tree: so every sum has one order, and the result the same bits at any number
of threads.
"""

from typing import Any, NamedTuple

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
from fastdigit.kernels.layout import LAYER, Layer
from fastdigit.kernels.parallel import PIECES
from fastdigit.kernels.simd import LANES, add, advance, load, record, splat, store
from fastdigit.kernels.sparse import Pixels, add_gradients_sparse, linear_sparse

TILE = 32
"""Images in a tile: a multiple of 16, because softmax works on 16 side by side."""


class Job(NamedTuple):
    """What a pass works on: sizes, and offsets into one array of floats."""

    images: int
    features: int
    outputs: int
    layers: int
    learning: int
    """Whether to compute the gradient."""
    sparse: int
    """Whether the images are compressed rows."""
    scale: int
    """Offset of what pixels are multiplied by: 1 / 255 for bytes. It is applied to the sums of
    the first layer, and left out of the gradient of its weights."""
    blocked: int
    """Offset of the parameters in blocks; see `layout`."""
    transposed: int
    """Offset of the weights in blocks for the way back."""
    zeros: int
    """Offset of as many zeros as a layer has inputs: the biases of the way back."""
    scratch: int
    """Offset of the tiles, one for each thread."""
    scratch_size: int
    activations: int
    """Elements that the activations of a tile take."""
    gradients: int
    """Offset of the gradients of the pieces. The first one is the sum afterwards."""
    gradient_size: int


JOB = len(Job._fields)


class Images(NamedTuple):
    """All images, dense or as compressed rows; see `sparse.Compressed`."""

    values: Pointer
    columns: Pointer
    starts: Pointer


class Tile(NamedTuple):
    """What one thread writes while it works on a tile."""

    pixels: Pointer
    activations: Pointer
    deltas: Pointer
    winners: Pointer
    normalisers: Pointer
    targets: Pointer
    """The logit of each image's label."""


def scratch_size(features: int, activations: int) -> int:
    """Return how many elements a thread needs for its tile."""
    return TILE * features + 2 * activations + 3 * TILE


@njit(inner=True)
def tile_of(job: Job, floats: Pointer, thread: int) -> Tile:
    """Return the tile of a thread."""
    pixels = advance(floats, job.scratch + thread * job.scratch_size)
    activations = advance(pixels, TILE * job.features)
    deltas = advance(activations, job.activations)
    winners = advance(deltas, job.activations)
    normalisers = advance(winners, TILE)
    return Tile(pixels, activations, deltas, winners, normalisers, advance(normalisers, TILE))


@njit(inner=True)
def rows_of(layer: Layer, memory: Pointer) -> Rows:
    """Return the activations or deltas of a layer."""
    pitch = (layer.outputs + LANES - 1) // LANES * LANES
    return Rows(advance(memory, layer.activations), pitch)


@njit(inner=True)
def read_tile(job: Job, images: Images, first: int, rows: int, tile: Tile) -> Pixels:
    """Turn the pixels of so many images into floats, and return where they are."""
    if not job.sparse:
        read(advance(images.values, first * job.features), rows * job.features, tile.pixels)
        return Pixels(tile.pixels, images.columns, images.starts)
    starts = advance(images.starts, first)
    read(advance(images.values, starts[0]), starts[rows] - starts[0], tile.pixels)
    return Pixels(tile.pixels, advance(images.columns, starts[0]), starts)


@njit(inner=True)
def forward(job: Job, layers: Any, floats: Pointer, pixels: Pixels, tile: Tile, rows: int) -> Rows:
    """Pass the pixels of a tile through all layers and return its logits."""
    inputs = Rows(tile.pixels, job.features)
    scale = floats[job.scale]
    for index in range(job.layers):
        layer = record(Layer, advance(layers, index * LAYER))
        weights = advance(floats, job.blocked + layer.weights)
        biases = advance(floats, job.blocked + layer.biases)
        outputs = rows_of(layer, tile.activations)
        relu = index < job.layers - 1
        if index == 0 and job.sparse:
            linear_sparse(pixels, layer.inputs, weights, biases, scale, relu, outputs, rows)
        else:
            linear(inputs, layer.inputs, weights, biases, scale, relu, outputs, rows)
        inputs = outputs
        scale = floats[job.scale + 1]
    return inputs


@njit(inner=True)
def backward(
    job: Job,
    layers: Any,
    floats: Pointer,
    pixels: Pixels,
    tile: Tile,
    rows: int,
    deltas: Rows,
    gradient: Pointer,
) -> None:
    """Take the deltas of the logits back through all layers and add to the gradient of each."""
    one = floats[job.scale + 1]
    for index in range(job.layers - 1, -1, -1):
        layer = record(Layer, advance(layers, index * LAYER))
        below = record(Layer, advance(layers, max(index - 1, 0) * LAYER))
        inputs = rows_of(below, tile.activations)
        if index == 0:
            inputs = Rows(tile.pixels, job.features)
        weights = advance(gradient, layer.weights)
        biases = advance(gradient, layer.biases)
        if index == 0 and job.sparse:
            add_gradients_sparse(pixels, layer.inputs, deltas, rows, weights, biases)
        else:
            add_gradients(inputs, layer.inputs, deltas, rows, weights, biases)
        if index > 0:
            earlier = rows_of(below, tile.deltas)
            weights = advance(floats, job.transposed + layer.transposed)
            zeros = advance(floats, job.zeros)
            linear(deltas, layer.outputs, weights, zeros, one, index < 0, earlier, rows)
            keep_active(inputs, earlier, rows)
            deltas = earlier


@njit()
def learn(
    words: Any,
    floats: Pointer,
    values: Pointer,
    columns: Pointer,
    starts: Pointer,
    labels: Pointer,
    results: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Pass one piece of the images through: a kernel of 64 pieces.

    Parameters
    ----------
    words
        The fields of a `Job`, then those of each `Layer`.
    floats
        The array that the job points into, aligned.
    values, columns, starts
        The images: (n, features) bytes or floats of the type of the others, or compressed rows.
    labels
        (n,) bytes, each below the number of outputs.
    results
        (64, 2) float64: receives the loss and the number of right answers of the piece.
    """
    job = record(Job, words)
    layers = advance(words, JOB)
    images = Images(values, columns, starts)
    tile = tile_of(job, floats, thread)
    gradient = advance(floats, job.gradients + piece * job.gradient_size)
    loss = 0.0
    correct = 0
    if job.learning:
        for k in range(0, job.gradient_size, LANES):
            store(gradient, k, splat(gradient, 0.0))
    last = job.images * (piece + 1) // PIECES
    for start in range(job.images * piece // PIECES, last, TILE):
        rows = min(TILE, last - start)
        pixels = read_tile(job, images, start, rows, tile)
        logits = forward(job, layers, floats, pixels, tile, rows)
        expected = advance(labels, start)
        for row in range(rows):
            tile.targets[row] = logits.start[row * logits.pitch + expected[row]]
        softmax(logits, job.outputs, rows, tile.winners, tile.normalisers)
        for row in range(rows):
            loss += tile.normalisers[row] - tile.targets[row]
            correct += tile.winners[row] == expected[row]
        if job.learning:
            # dZ = A - Y
            for row in range(rows):
                at = row * logits.pitch + expected[row]
                logits.start[at] = logits.start[at] - 1
            backward(job, layers, floats, pixels, tile, rows, logits, gradient)
    results[2 * piece] = loss
    results[2 * piece + 1] = correct


@njit(inner=True)
def add_pieces(gradients: Pointer, size: int, share: int) -> None:
    """Add one of 64 shares of all pieces' gradients to that of the first, in a fixed tree."""
    vectors = size // LANES
    first = vectors * share // PIECES * LANES
    last = vectors * (share + 1) // PIECES * LANES
    half = PIECES // 2
    while half > 0:
        for piece in range(half):
            target = advance(gradients, piece * size)
            source = advance(target, half * size)
            for k in range(first, last, LANES):
                store(target, k, add(load(target, k), load(source, k)))
        half //= 2


@njit()
def combine(
    words: Any,
    floats: Pointer,
    _c: Any,
    _d: Any,
    _e: Any,
    _f: Any,
    _g: Any,
    share: int,
    thread: int,
) -> None:
    """Add up the gradients of all pieces: a kernel of 64 shares of the parameters."""
    job = record(Job, words)
    add_pieces(advance(floats, job.gradients), job.gradient_size, share)


@njit()
def classify(
    words: Any,
    floats: Pointer,
    values: Pointer,
    columns: Pointer,
    starts: Pointer,
    labels: Pointer,
    probabilities: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Write the labels (n,) of a piece of the images: a kernel of 64 pieces.

    While `learning`, write their probabilities (n, outputs) as well.
    """
    job = record(Job, words)
    images = Images(values, columns, starts)
    tile = tile_of(job, floats, thread)
    last = job.images * (piece + 1) // PIECES
    for start in range(job.images * piece // PIECES, last, TILE):
        rows = min(TILE, last - start)
        pixels = read_tile(job, images, start, rows, tile)
        logits = forward(job, advance(words, JOB), floats, pixels, tile, rows)
        softmax(logits, job.outputs, rows, tile.winners, tile.normalisers)
        for row in range(rows):
            labels[start + row] = tile.winners[row]
            if job.learning:
                for o in range(job.outputs):
                    probability = logits.start[row * logits.pitch + o]
                    probabilities[(start + row) * job.outputs + o] = probability
