"""What hidden layers do after their sums: biases, activation and dropout, and the way back."""

import numpy as np

from fastdigit.jit import njit
from fastdigit.kernels.activation import activated, slope
from fastdigit.kernels.batch import Layer, Span, Work
from fastdigit.kernels.randomness import GOLDEN, PARTS, SECOND, mix
from fastdigit.kernels.reference import LEAK
from fastdigit.kernels.simd import advance, fma, lanes, load, multiply, splat, store

_mix = njit(inner=True)(mix)


@njit(inner=True)
def activate(work: Work, layer: Layer, block: int, rows: Span, scale: float, hidden: bool) -> None:
    """Turn the sums z of a block into a = f(scale * z + b), in place; the last layer has no f."""
    floats = work.floats
    zero, one = splat(floats, 0.0), splat(floats, 1.0)
    leak, factor = splat(floats, LEAK), splat(floats, scale)
    biases = advance(floats, work.job.weights_at + layer.biases + block * layer.width)
    begin = layer.outputs_at + block * work.job.rows * layer.width
    for row in range(rows.first, rows.last):
        z = advance(floats, begin + row * layer.width)
        for k in range(0, layer.width, lanes(floats)):
            sums = fma(load(z, k), factor, load(biases, k))
            if hidden:
                sums = activated(work.job.activation, sums, zero, one, leak)
            store(z, k, sums)


@njit(inner=True)
def drop_out(work: Work, layer: Layer, block: int, rows: Span) -> None:
    """Multiply outputs by 0 or by 1 / (share that stays), and keep these factors.

    Which units stay is told by `randomness.kept`, where the first hidden layer has the number 1.
    """
    job = work.job
    begin = block * job.rows * layer.width
    stays = PARTS / (PARTS - job.drops)
    for row in range(rows.first, min(rows.last, work.filled)):
        a = advance(work.floats, layer.outputs_at + begin + row * layer.width)
        mask = advance(work.floats, layer.mask_at + begin + row * layer.width)
        image = work.numbers[job.order_at + work.first_image + row]
        word = np.uint64(job.key) + np.uint64(image) * np.uint64(GOLDEN)
        for k in range(0, layer.width, 4):
            quarter = (work.number + 1 << 20) + (block * layer.width + k) // 4
            bits = _mix(word + np.uint64(quarter) * np.uint64(SECOND))
            for unit in range(4):
                lowest = np.int64(bits >> np.uint64(16 * unit)) & 0xFFFF
                mask[k + unit] = 0.0 if lowest < job.drops else stays
        for k in range(0, layer.width, lanes(a)):
            store(a, k, multiply(load(a, k), load(mask, k)))


@njit(inner=True)
def apply_slopes(work: Work, layer: Layer, block: int, rows: Span) -> None:
    """Turn derivatives by a layer's outputs into those by what entered its activation."""
    job, floats = work.job, work.floats
    zero, one, leak = splat(floats, 0.0), splat(floats, 1.0), splat(floats, LEAK)
    share = splat(floats, (PARTS - job.drops) / PARTS)
    begin = block * job.rows * layer.width
    for row in range(rows.first, rows.last):
        at = begin + row * layer.width
        a = advance(floats, layer.outputs_at + at)
        deltas = advance(floats, layer.deltas_at + at)
        mask = advance(floats, layer.mask_at + at)
        for k in range(0, layer.width, lanes(floats)):
            output, delta = load(a, k), load(deltas, k)
            if job.drops:
                # What stayed was made larger after the activation.
                output = multiply(output, share)
                delta = multiply(delta, load(mask, k))
            store(deltas, k, multiply(delta, slope(job.activation, output, zero, one, leak)))
