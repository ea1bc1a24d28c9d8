"""Mini-batches forward: from pixels to the outputs of all layers but the last one's softmax."""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels import columns
from fastdigit.kernels.batch import (
    Pointer,
    Share,
    Work,
    fill_zeros,
    layer_of,
    rows_of,
    rows_of_share,
    share_of,
    shares,
    work_of,
)
from fastdigit.kernels.hidden import activate, drop_out
from fastdigit.kernels.pixels import BYTE
from fastdigit.kernels.product import DEPTH, multiply
from fastdigit.kernels.simd import advance


@njit(kernel=True)
def take_in(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    words: Pointer,
    lists: Pointer,
    reals: Pointer,
    arrivals: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Bring a thread's part of the batch into the form that the first layer reads."""
    work = work_of(numbers, floats, images, words, lists, reals, piece, thread)
    job = work.job
    if job.sparse:
        # All rows that the thread reads on its way forward: to fetch lists from other threads would
        # take longer than to list these rows too.
        listed = rows_of_share(work, share_of(work, layer_of(work, work.number), 0))
        columns.list_entries(
            work.words,
            advance(work.numbers, job.starts_at + work.first_image),
            advance(work.numbers, job.ends_at + work.first_image),
            listed.first,
            min(listed.last, work.filled),
            job.columns,
            job.room,
            advance(work.lists, thread * job.columns),
            advance(work.lists, job.lists_at + thread * job.columns * job.room),
        )
    else:
        rows = rows_of(work, thread)
        order = advance(work.numbers, job.order_at + work.first_image)
        for row in range(rows.first, min(rows.last, work.filled)):
            source = advance(work.images, order[row] * job.features)
            target = advance(work.floats, job.inputs_at + row * job.pitch)
            if job.bytes:
                places = advance(work.numbers, job.places_at)
                for j in range(job.features):
                    target[j] = source[places[j]]
            else:
                for j in range(job.features):
                    target[j] = source[j]


@njit(inner=True)
def add_up(work: Work, share: Share) -> None:
    """Compute the outputs of a share of a layer."""
    job, floats = work.job, work.floats
    layer = layer_of(work, work.number)
    rows = rows_of_share(work, share)
    z = advance(floats, layer.outputs_at + share.block * job.rows * layer.width)
    own = advance(z, rows.first * layer.width)
    fill_zeros(own, (rows.last - rows.first) * layer.width)
    begin = layer.weights + share.block * layer.rows * layer.width
    weights = advance(floats, job.weights_at + begin)
    if work.number == 0 and job.sparse:
        columns.add_products(
            advance(work.lists, work.thread * job.columns),
            advance(work.lists, job.lists_at + work.thread * job.columns * job.room),
            job.columns,
            job.room,
            weights,
            advance(floats, job.pixels_at),
            layer.width,
            z,
        )
    else:
        width = layer.input_width
        for k in range(0, layer.inputs, min(DEPTH, width)):
            at = (k // width * job.rows + rows.first) * width + k % width
            multiply(
                advance(floats, layer.inputs_at + at),
                width,
                1,
                advance(weights, k * layer.width),
                layer.width,
                min(min(DEPTH, width), layer.inputs - k),
                rows.last - rows.first,
                own,
            )
    scale = BYTE if work.number == 0 and job.bytes else 1.0
    activate(work, layer, share.block, rows, scale, work.number < job.layers - 1)
    if job.drops and work.number < job.layers - 1:
        drop_out(work, layer, share.block, rows)


@njit(inner=True)
def add_up_partly(work: Work, share: Share) -> None:
    """Compute what a share of the last hidden layer gives to the sums of the last layer."""
    job, floats = work.job, work.floats
    layer = layer_of(work, work.number)
    rows = rows_of_share(work, share)
    width, first = layer.input_width, share.block * layer.input_width
    inputs = advance(floats, layer.inputs_at + (share.block * job.rows + rows.first) * width)
    for block in range(layer.blocks):
        at = (share.block * layer.blocks + block) * job.rows + rows.first
        sums = advance(floats, layer.outputs_at + at * layer.width)
        fill_zeros(sums, (rows.last - rows.first) * layer.width)
        begin = layer.weights + (block * layer.rows + first) * layer.width
        multiply(
            inputs,
            width,
            1,
            advance(floats, job.weights_at + begin),
            layer.width,
            min(width, layer.inputs - first),
            rows.last - rows.first,
            sums,
        )


@njit(kernel=True)
def forward(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    words: Pointer,
    lists: Pointer,
    reals: Pointer,
    arrivals: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Compute a thread's share of the outputs of a layer."""
    work = work_of(numbers, floats, images, words, lists, reals, piece, thread)
    if work.number > 0 and work.number == work.job.layers - 1:
        # Each thread goes on with the units that it has computed.
        hidden = layer_of(work, work.number - 1)
        for number in range(shares(work, hidden)):
            add_up_partly(work, share_of(work, hidden, number))
    else:
        layer = layer_of(work, work.number)
        for number in range(shares(work, layer)):
            add_up(work, share_of(work, layer, number))
