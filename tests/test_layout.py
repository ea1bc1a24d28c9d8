"""Packing parameters into blocks, and blocks back into parameters."""

import numpy as np
import pytest

from fastdigit.kernels import parameters
from fastdigit.kernels.layout import ALIGNMENT, Layer, aligned, pack, plan, unpack

SIZES = [(1, 1), (784, 10), (16, 16, 16), (7, 17, 3), (20, 33, 1, 47), (2, 15, 31, 256)]


def packed(sizes, dtype):
    flat = 1 + np.arange(parameters.count(sizes), dtype=dtype)
    layout, extents = plan(sizes, 32)
    blocked, transposed = aligned(extents.blocked, dtype), aligned(extents.transposed, dtype)
    pack(flat, layout, blocked, transposed)
    return flat, [Layer(*row) for row in layout.tolist()], layout, blocked, transposed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_round_trip(sizes, dtype):
    flat, _, layout, blocked, _ = packed(sizes, dtype)
    back = np.full_like(flat, -1)
    unpack(blocked, layout, 1.0, 1.0, back)
    np.testing.assert_array_equal(back, flat)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_blocks_hold_16_outputs_side_by_side_and_zeros_beyond(sizes):
    flat, layers, _, blocked, transposed = packed(sizes, "float64")
    weights, biases = parameters.views(flat, sizes)
    seen = np.zeros(len(blocked), bool)
    for index, (layer, W, b) in enumerate(zip(layers, weights, biases, strict=True)):
        width = -(-layer.outputs // 16) * 16
        assert (layer.inputs, layer.outputs) == W.shape[::-1]
        assert layer.weights % 16 == layer.biases % 16 == layer.transposed % 16 == 0
        places = slice(layer.weights, layer.weights + width * layer.inputs)
        blocks = blocked[places].reshape(-1, layer.inputs, 16)
        rows = blocks.transpose(0, 2, 1).reshape(width, layer.inputs)
        np.testing.assert_array_equal(rows[: layer.outputs], W)
        assert not rows[layer.outputs :].any()
        ends = slice(layer.biases, layer.biases + width)
        np.testing.assert_array_equal(blocked[ends][: layer.outputs], b)
        assert not blocked[ends][layer.outputs :].any()
        for part in (places, ends):
            assert not seen[part].any()
            seen[part] = True
        if index:
            high = -(-layer.inputs // 16) * 16
            part = transposed[layer.transposed :][: high * layer.outputs]
            columns = part.reshape(-1, layer.outputs, 16).transpose(0, 2, 1).reshape(high, -1)
            np.testing.assert_array_equal(columns[: layer.inputs], W.T)
            assert not columns[layer.inputs :].any()
    assert seen.all()


def test_only_weights_of_pixels_take_the_scale_of_pixels():
    sizes = (3, 2, 2)
    flat, _, layout, blocked, _ = packed(sizes, "float64")
    back = np.empty_like(flat)
    unpack(blocked, layout, 10.0, 100.0, back)
    factors = [10] * 6 + [100] * 8
    np.testing.assert_array_equal(back, flat * factors)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [1, 17, (3, 16)])
def test_aligned_arrays(shape, dtype):
    arrays = [aligned(shape, dtype) for _ in range(8)]
    for array in arrays:
        assert array.ctypes.data % ALIGNMENT == 0
        assert array.dtype == np.dtype(dtype)
        assert array.shape == np.empty(shape).shape
        assert not array.any()


def test_views_and_flatten_are_inverse():
    sizes = (4, 3, 2)
    flat = np.arange(parameters.count(sizes), dtype=np.float32)
    weights, biases = parameters.views(flat, sizes)
    assert [W.shape for W in weights] == [(3, 4), (2, 3)]
    assert [b.shape for b in biases] == [(3,), (2,)]
    assert all(np.shares_memory(part, flat) for part in (*weights, *biases))
    np.testing.assert_array_equal(parameters.flatten(weights, biases), flat)
