"""A pass over images of bytes: the first layer in exact sums, the others in floats."""

from typing import Any

from fastdigit.jit import matrix_unit, njit
from fastdigit.kernels import exact_cells, exact_tiles
from fastdigit.kernels.cells import in_cells
from fastdigit.kernels.chunks import in_chunks
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.exact import split_deltas, work_of
from fastdigit.kernels.groups import tile_of
from fastdigit.kernels.matrix import ROWS, prepare, release
from fastdigit.kernels.simd import advance, lanes
from fastdigit.kernels.sweep import add_gradients, layer_of, pass_through
from fastdigit.kernels.tree import claim, merge, take_over

way = exact_tiles if matrix_unit() else exact_cells
stored = in_chunks if matrix_unit() else in_cells
linear, add_weight_gradients = way.linear, way.add_weight_gradients


@njit(kernel=True)
def learn(
    numbers: Any,
    floats: Pointer,
    blocks: Pointer,
    index: Pointer,
    labels: Pointer,
    results: Pointer,
    tree: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Pass one piece of the images through: a kernel of `Shape.pieces`; see `sweep.learn`.

    Parameters
    ----------
    numbers
        See `work_of`.
    blocks, index
        The images; see `chunks.Chunks` and `cells.Cells`.
    """
    work = work_of(numbers, floats, thread)
    job = work.job
    halves = ROWS // lanes(floats)
    activations = work.own
    deltas = advance(activations, job.deltas)
    gradients = advance(floats, job.gradients)
    pieces = work.shape.pieces
    buffer = 0
    if job.learning:
        # A tile adds to each number once.
        buffer = take_over(tree, pieces, piece) if work.shape.tiles == 1 else -1
        if buffer < 0:
            buffer = claim(tree, gradients, job.gradient_size, pieces, thread)
    gradient = advance(gradients, buffer * job.gradient_size)
    first = layer_of(work, 0)
    loss = 0.0
    correct = 0.0
    prepare()
    for number in range(work.shape.tiles):
        tile = tile_of(work.shape, piece, number)
        groups = tile.last - tile.first
        if groups == 0:
            continue
        linear(work, tile, blocks, index)
        own_labels = advance(labels, tile.first * ROWS)
        right = pass_through(work, own_labels, groups * halves, activations, deltas)
        loss += right[0]
        correct += right[1]
        if job.learning:
            add_gradients(work, groups * halves, activations, deltas, gradient)
            for block in range(first.blocks):
                split_deltas(work, block, groups, deltas, advance(gradient, first.biases))
            weights = advance(gradient, first.weights)
            add_weight_gradients(work, tile, blocks, index, weights)
    release()
    results[2 * piece] = loss
    results[2 * piece + 1] = correct
    if job.learning:
        merge(tree, gradients, job.gradient_size, pieces, piece, buffer)
