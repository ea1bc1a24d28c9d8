"""Where parameters lie: packing them into blocks and back, and the memory around them."""

from itertools import pairwise

import numpy as np
import pytest

from fastdigit.kernels import parameters
from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.groups import shape_of
from fastdigit.kernels.layout import (
    LAYER,
    Layer,
    aligned,
    biases_of,
    plan,
    weights_in_blocks,
    weights_transposed,
)
from fastdigit.kernels.memory import PAGE, Memory, whole
from fastdigit.kernels.parallel import PIECES, available_threads
from fastdigit.kernels.simd import ALIGNMENT
from fastdigit.kernels.sweep import JOB, Job
from fastdigit.kernels.transposition import lanes_of
from fastdigit.kernels.tree import SUM

SIZES = [
    (1, 1),
    (784, 10),
    (784, 10, 10),
    (10, 10, 10),
    (7, 9, 3),
    (20, 11, 1, 47),
    (3, 19, 20, 21),
    (2, 15, 31, 256),
]
DTYPES = ["float32", "float64"]
LANES = 16


def packed(sizes, dtype):
    """Return numbers of parameters from 1 on, and the blocks they were packed into."""
    flat = 1 + np.arange(parameters.count(sizes), dtype=dtype)
    layout, extents = plan(sizes, LANES)
    blocked, transposed = aligned(extents.blocked, dtype), aligned(extents.transposed, dtype)
    layers = [Layer(*row) for row in layout.tolist()]
    for number, (layer, W, b) in enumerate(
        zip(layers, *parameters.views(flat, sizes), strict=True)
    ):
        pairs = weights_in_blocks(layer, blocked, W)
        if number > 0:
            pairs += weights_transposed(layer, transposed, W)
        for target, source in [*pairs, (biases_of(layer, blocked), b)]:
            target[...] = source
    return flat, layers, layout, blocked, transposed


def unpacked(blocked, layout, flat, pixel_scale, scale):
    """Return the parameters in blocks as a flat array, times scales; `flat` is an example."""
    sizes = (int(layout[0, 0]), *layout[:, 1].tolist())
    back = np.full_like(flat, -1)
    layers = (Layer(*row) for row in layout.tolist())
    for number, (layer, W, b) in enumerate(
        zip(layers, *parameters.views(back, sizes), strict=True)
    ):
        for source, target in weights_in_blocks(layer, blocked, W):
            target[...] = source * np.float64(scale if number else pixel_scale)
        b[...] = biases_of(layer, blocked) * np.float64(scale)
    return back


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_round_trip(sizes, dtype):
    flat, _, layout, blocked, _ = packed(sizes, dtype)
    np.testing.assert_array_equal(unpacked(blocked, layout, flat, 1.0, 1.0), flat)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_blocks_hold_ten_outputs_side_by_side_and_zeros_beyond(sizes):
    flat, layers, _, blocked, _ = packed(sizes, "float64")
    weights, biases = parameters.views(flat, sizes)
    seen = np.zeros(len(blocked), bool)
    for layer, W, b in zip(layers, weights, biases, strict=True):
        assert (layer.inputs, layer.outputs) == W.shape[::-1]
        # Pixels are read in words of four columns.
        assert layer.rows % 4 == 0
        assert layer.inputs <= layer.rows < layer.inputs + 4
        width = layer.blocks * UNITS
        assert layer.outputs <= width < layer.outputs + UNITS
        places = slice(layer.weights, layer.weights + width * layer.rows)
        blocks = blocked[places].reshape(layer.blocks, layer.rows, UNITS)
        rows = blocks.transpose(0, 2, 1).reshape(width, layer.rows)
        np.testing.assert_array_equal(rows[: layer.outputs, : layer.inputs], W)
        assert not rows[layer.outputs :].any()
        assert not rows[:, layer.inputs :].any()
        ends = slice(layer.biases, layer.biases + width)
        np.testing.assert_array_equal(blocked[ends][: layer.outputs], b)
        assert not blocked[ends][layer.outputs :].any()
        for part in (places, ends):
            assert not seen[part].any()
            seen[part] = True
    assert seen.all()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_blocks_for_the_way_back_hold_ten_inputs_side_by_side(sizes):
    flat, layers, _, _, transposed = packed(sizes, "float64")
    weights, _ = parameters.views(flat, sizes)
    end = 0
    for index, (layer, W) in enumerate(zip(layers, weights, strict=True)):
        assert layer.transposed == end
        high = -(-layer.inputs // UNITS) * UNITS
        end += high * layer.outputs
        part = transposed[layer.transposed : end]
        columns = part.reshape(-1, layer.outputs, UNITS).transpose(0, 2, 1).reshape(high, -1)
        # Nothing goes back to the pixels.
        np.testing.assert_array_equal(columns[: layer.inputs], W.T if index else 0 * W.T)
        assert not columns[layer.inputs :].any()
    assert end == len(transposed)


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_parameters_and_units_of_layers_lie_one_after_the_other(sizes, lanes):
    layout, extents = plan(sizes, lanes)
    assert layout.dtype == np.int64
    assert layout.shape == (len(sizes) - 1, LAYER)
    end = flat = 0
    for layer in (Layer(*row) for row in layout.tolist()):
        assert (layer.activations, layer.flat) == (end, flat)
        end += layer.blocks * UNITS * lanes
        flat += layer.outputs * (layer.inputs + 1)
    assert extents.units * lanes == end
    assert flat == parameters.count(sizes)


@pytest.mark.parametrize("dtype", [*DTYPES, "uint8", "uint32"])
@pytest.mark.parametrize("shape", [1, 17, (3, 16), (5, 1, 2)])
def test_aligned_arrays(shape, dtype):
    arrays = [aligned(shape, dtype) for _ in range(8)]
    for array in arrays:
        assert array.ctypes.data % ALIGNMENT == 0
        assert array.dtype == np.dtype(dtype)
        assert array.shape == np.empty(shape).shape
        assert array.flags.c_contiguous
        assert not array.any()
        array[...] = 1
    assert all(array.all() for array in arrays)


@pytest.mark.parametrize("shape", [0, (0, 5), (5, 0)])
def test_empty_arrays(shape):
    assert aligned(shape, "float32").shape == np.empty(shape).shape


def test_views_and_flatten_are_inverse():
    sizes = (4, 3, 2)
    flat = np.arange(parameters.count(sizes), dtype=np.float32)
    weights, biases = parameters.views(flat, sizes)
    assert [W.shape for W in weights] == [(3, 4), (2, 3)]
    assert [b.shape for b in biases] == [(3,), (2,)]
    assert all(np.shares_memory(part, flat) for part in (*weights, *biases))
    np.testing.assert_array_equal(parameters.flatten(weights, biases), flat)


# --- the memory of the kernels -------------------------------------------------------------------


def test_whole():
    assert [whole(n) for n in (0, 1, 15, 16, 17)] == [0, 16, 16, 16, 32]
    assert [whole(n, 1000) for n in (1, 1000, 1001)] == [1000, 1000, 2000]


def memory_of(sizes, dtype, groups=3, gradients=True):
    dtype = np.dtype(dtype)
    shape = shape_of(np.zeros((100, sizes[0]), np.uint8), dtype, every=True)
    memory = Memory(sizes, dtype, shape, 0.25, groups, gradients)
    return memory, Job(*memory.numbers(True)[:JOB].tolist()), shape


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("groups", [1, 3, 48])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_parts_of_the_memory_are_aligned_and_apart(sizes, groups, gradients, dtype):
    memory, job, _ = memory_of(sizes, dtype, groups, gradients)
    _, extents = plan(sizes, lanes_of(dtype))
    size, floats = memory.floats.itemsize, memory.floats
    assert floats.dtype == np.dtype(dtype)
    assert floats.ctypes.data % ALIGNMENT == 0
    assert floats[job.scale] == 0.25
    assert job.pitch == extents.units * lanes_of(dtype)
    assert job.gradient_size >= extents.blocked
    threads = available_threads()
    starts = [job.scale, job.blocked, job.transposed, job.scratch, job.gradients, len(floats)]
    needed = [
        1,
        extents.blocked,
        extents.transposed,
        job.scratch_size * threads,
        job.gradient_size * PIECES if gradients else 0,
    ]
    for (start, end), elements in zip(pairwise(starts), needed, strict=True):
        assert start * size % ALIGNMENT == 0
        assert end - start >= elements
    # First the activations in a thread's scratch, then the deltas.
    assert job.deltas >= groups * job.pitch
    assert job.scratch_size - job.deltas >= groups * job.pitch + PAGE // size
    for between in (job.deltas, job.pitch, job.gradient_size):
        assert between * size % ALIGNMENT == 0
    assert job.scratch_size * size % PAGE == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("learning", [True, False])
def test_the_numbers_of_a_pass(learning, dtype):
    sizes = (20, 11, 3)
    memory, job, shape = memory_of(sizes, dtype)
    layout, _ = plan(sizes, lanes_of(dtype))
    numbers = memory.numbers(learning)
    assert numbers.dtype == np.int64
    expected = [*job._replace(learning=learning), *shape, *layout.flat]
    assert numbers.tolist() == expected
    assert (job.layers, job.outputs) == (2, 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_parameters_are_loaded_and_gradients_returned(sizes, dtype):
    """Gradients are those of a mean; weights of pixels take their scale, and all round once."""
    memory, job, _ = memory_of(sizes, dtype)
    flat, _, layout, blocked, transposed = packed(sizes, dtype)
    before = memory.floats.copy()
    for _ in range(2):  # nothing of earlier parameters stays
        memory.load(flat)
    for start, part in ((job.blocked, blocked), (job.transposed, transposed)):
        np.testing.assert_array_equal(memory.floats[start : start + len(part)], part)
        before[start : start + len(part)] = part
    np.testing.assert_array_equal(memory.floats, before)
    total = job.gradients + SUM * job.gradient_size
    memory.floats[total : total + len(blocked)] = blocked
    expected = unpacked(blocked, layout, flat, 0.25 / 100, 1 / 100)
    np.testing.assert_array_equal(memory.gradient(), expected)
