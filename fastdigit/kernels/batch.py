"""What compiled mini-batch steps know: the network, the data, and who does what."""

from typing import Any, NamedTuple

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.simd import advance, lanes, record, splat, store

Pointer = Any
"""To elements of one type, in compiled code."""


class Job(NamedTuple):
    """Sizes, choices and offsets, which are whole numbers.

    Where something `_at` lies is counted in elements of the array of floats, or of numbers.
    """

    layers: int
    classes: int
    activation: int
    """Its place in `activation.ACTIVATIONS`."""
    sparse: int
    """Whether the first layer reads entries, and not rows of floats."""
    bytes: int
    """Whether pixels are bytes, whose sums are then multiplied by 1 / 255."""
    decays: int
    """Whether L1 or L2 is used."""
    drops: int
    """Whether units drop out: those whose 16 random bits are below this number, of 65536."""
    features: int
    pitch: int
    """Elements of a row of pixels, filled up."""
    columns: int
    """Quads of columns."""
    used: int
    """Quads of columns that change: where no image has ink, and nothing decays, none does."""
    rows: int
    """From a block of a batch's outputs to the next, which are more than there are images."""
    room: int
    """Entries in the list of a quad of columns, for the rows that one thread lists."""
    used_at: int
    places_at: int
    """Numbers: which column of images of bytes is where."""
    order_at: int
    """Numbers: the images of the batches of this call."""
    labels_at: int
    starts_at: int
    ends_at: int
    """Numbers: their labels, and where their words begin and end; see `columns`."""
    pixels_at: int
    """Floats: that of each byte."""
    inputs_at: int
    """Floats: the rows of pixels of a batch."""
    weights_at: int
    memory_at: int
    square_at: int
    """Floats: weights and biases, and, in the same places, what the optimizer remembers."""
    scratch_at: int
    scratch_size: int
    """Floats: room for each thread, and elements between that of two threads."""
    lists_at: int
    """Numbers: the lists, after the counts."""
    # What follows changes from call to call.
    threads: int
    batch: int
    """Images of a batch; the last one may have less."""
    images: int
    """Images of all batches of the call."""
    key: int
    """Of the random numbers of the epoch."""
    take_in: int
    forward: int
    score: int
    back: int
    step: int
    """Addresses of the kernels of the phases."""


JOB = len(Job._fields)


class Layer(NamedTuple):
    """A layer of the network, and where its arrays lie. Outputs come in blocks of `width`."""

    inputs: int
    outputs: int
    rows: int
    """Inputs, filled up."""
    blocks: int
    width: int
    """Elements of a strip, or of a vector where the last layer has few outputs."""
    input_width: int
    """Width of the blocks of its inputs; for pixels the whole row."""
    inputs_at: int
    """(blocks of inputs, rows of the batch, input_width): outputs of the layer before, or pixels.
    """
    outputs_at: int
    """(blocks, rows of the batch, width); of the last layer, if there are others, one such array
    for each block of inputs, with the sums over this block."""
    deltas_at: int
    """(blocks, rows of the batch, width): derivatives of the loss by what entered the activation.
    """
    mask_at: int
    """What dropout multiplies the outputs by, in their shape."""
    weights: int
    """(blocks, rows, width), counted from `Job.weights_at`."""
    biases: int
    """(blocks, width), likewise."""
    transposed_at: int
    """Weights for the way back: (blocks of inputs, outputs filled up, input_width)."""


LAYER = len(Layer._fields)


class Work(NamedTuple):
    """What a thread is to do in a phase of a step."""

    job: Job
    numbers: Pointer
    floats: Pointer
    images: Pointer
    """(n, features), if the job is not sparse."""
    words: Pointer
    """See `columns`, if it is."""
    lists: Pointer
    """Counts and lists of each thread."""
    reals: Pointer
    """Float64; see `STEPS`."""
    number: int
    """Of the layer, from 0."""
    step: int
    first_image: int
    """Of the batch, in the order of images."""
    filled: int
    """Rows of the batch that hold an image."""
    thread: int


SMOOTHING = 6
STEPS = 7
"""What a call is told in float64: the first six of `update.Rule`, the share of label smoothing, and
from here on the rate and the correction of each step. After these come the tallies of `score`."""


@njit(inner=True)
def work_of(
    numbers: Pointer,
    floats: Pointer,
    images: Pointer,
    words: Pointer,
    lists: Pointer,
    reals: Pointer,
    piece: int,
    thread: int,
) -> Work:
    """Return what the arguments of a kernel say; the piece is step * layers + index of a layer."""
    job = record(Job, numbers)
    step = piece // job.layers
    first = step * job.batch
    filled = min(job.batch, job.images - first)
    number = piece % job.layers
    return Work(
        job, numbers, floats, images, words, lists, reals, number, step, first, filled, thread
    )


@njit(inner=True)
def layer_at(numbers: Pointer, index: int) -> Layer:
    """Return a layer of the network."""
    return record(Layer, advance(numbers, JOB + index * LAYER))


@njit(inner=True)
def layer_of(work: Work, index: int) -> Layer:
    """Return a layer of the network."""
    return layer_at(work.numbers, index)


@njit(inner=True)
def fill_zeros(start: Pointer, elements: int) -> None:
    """Write zeros into whole vectors."""
    for k in range(0, elements, lanes(start)):
        store(start, k, splat(start, 0.0))


class Span(NamedTuple):
    """Rows of a batch, or other things that are counted."""

    first: int
    last: int


@njit(inner=True)
def rows_of(work: Work, part: int) -> Span:
    """Return a part of the batch's rows: whole groups, so the last one may be filled up."""
    groups = -(-work.filled // lanes(work.floats))
    chunk = -(-groups // work.job.threads) * lanes(work.floats)
    end = groups * lanes(work.floats)
    return Span(min(part * chunk, end), min((part + 1) * chunk, end))


ALL = -1
"""A part that is the whole."""


class Share(NamedTuple):
    """A part of the work on one block of units."""

    block: int
    part: int
    """That of one thread, of the rows or inputs; or `ALL`."""


def come_out_even(blocks: int, threads: int) -> bool:
    """Return whether each thread has blocks of its own, and not a part of every block."""
    return blocks % threads == 0


_come_out_even = njit(inner=True)(come_out_even)


@njit(inner=True)
def whole_blocks(job: Job, layer: Layer) -> bool:
    """Return whether each thread has blocks of a layer of its own."""
    return _come_out_even(layer.blocks, job.threads)


@njit(inner=True)
def shares(work: Work, layer: Layer) -> int:
    """Return how many shares each thread has of the work on the blocks of a layer."""
    return layer.blocks // work.job.threads if whole_blocks(work.job, layer) else layer.blocks


@njit(inner=True)
def share_of(work: Work, layer: Layer, number: int) -> Share:
    """Return one of a thread's shares: a block, or, where they do not come out even, a part."""
    if whole_blocks(work.job, layer):
        whole: Any = np.int64(ALL)
        return Share(work.thread * (layer.blocks // work.job.threads) + number, whole)
    return Share(number, work.thread)


@njit(inner=True)
def span_of(count: int, part: int, parts: int) -> Span:
    """Return a part of so many things, or all of them."""
    if part == ALL:
        none: Any = np.int64(0)
        return Span(none, count)
    return Span(count * part // parts, count * (part + 1) // parts)


@njit(inner=True)
def rows_of_share(work: Work, share: Share) -> Span:
    """Return the rows of a share of the batch; whole groups, as in `rows_of`."""
    if share.part != ALL:
        return rows_of(work, share.part)
    none: Any = np.int64(0)
    return Span(none, -(-work.filled // lanes(work.floats)) * lanes(work.floats))
