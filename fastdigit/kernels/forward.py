"""Mini-batches forward: from pixels to the outputs of all layers but the last one's softmax."""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels import columns
from fastdigit.kernels.batch import (
    ALL,
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


@njit()
def take_in(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    entries: Pointer,
    lists: Pointer,
    reals: Pointer,
    arrivals: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Bring a thread's part of the batch into the form that the first layer reads."""
    work = work_of(numbers, floats, images, entries, lists, reals, piece, thread)
    job = work.job
    rows = rows_of(work, thread)
    order = advance(work.numbers, job.order_at + work.first_image)
    if job.sparse:
        columns.list_entries(
            work.entries,
            advance(work.numbers, job.starts_at),
            order,
            rows.first,
            min(rows.last, work.filled),
            job.columns,
            job.room,
            advance(work.lists, thread * job.columns),
            advance(work.lists, job.lists_at + thread * job.columns * job.room),
        )
    else:
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
        for part in range(job.threads):
            if share.part in (ALL, part):
                columns.add_products(
                    advance(work.lists, part * job.columns),
                    advance(work.lists, job.lists_at + part * job.columns * job.room),
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


@njit()
def forward(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    entries: Pointer,
    lists: Pointer,
    reals: Pointer,
    arrivals: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Compute a thread's share of the outputs of a layer; those of the last one are logits."""
    work = work_of(numbers, floats, images, entries, lists, reals, piece, thread)
    layer = layer_of(work, work.number)
    if work.number > 0 and work.number == work.job.layers - 1:
        # Each thread then goes on with the rows that it has computed.
        for block in range(layer.blocks):
            add_up(work, Share(block, thread))
    else:
        for number in range(shares(work, layer.blocks)):
            add_up(work, share_of(work, layer.blocks, number))
