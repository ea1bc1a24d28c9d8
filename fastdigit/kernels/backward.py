"""Mini-batches backward: from the deltas of the logits to those of all layers before."""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels.batch import (
    Pointer,
    fill_zeros,
    layer_of,
    rows_of_share,
    share_of,
    shares,
    work_of,
)
from fastdigit.kernels.hidden import apply_slopes
from fastdigit.kernels.product import multiply
from fastdigit.kernels.simd import advance


@njit(kernel=True)
def back(
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
    """Compute a thread's share of the deltas of a hidden layer from those of the next layer."""
    work = work_of(numbers, floats, images, words, lists, reals, piece, thread)
    job = work.job
    layer, later = layer_of(work, work.number), layer_of(work, work.number + 1)
    for number in range(shares(work, layer)):
        share = share_of(work, layer, number)
        rows = rows_of_share(work, share)
        begin = (share.block * job.rows + rows.first) * layer.width
        own = advance(floats, layer.deltas_at + begin)
        fill_zeros(own, (rows.last - rows.first) * layer.width)
        size = later.blocks * later.width * layer.width
        weights = advance(floats, later.transposed_at + share.block * size)
        for block in range(later.blocks):
            multiply(
                advance(floats, later.deltas_at + (block * job.rows + rows.first) * later.width),
                later.width,
                1,
                advance(weights, block * later.width * layer.width),
                layer.width,
                min(later.width, later.outputs - block * later.width),
                rows.last - rows.first,
                own,
            )
        apply_slopes(work, layer, share.block, rows)
