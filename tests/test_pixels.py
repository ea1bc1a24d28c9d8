"""Groups of images and their blocks: where every pixel goes, and that none changes."""

import numpy as np
import pytest

from fastdigit.jit import njit
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.pixels import COLUMNS, encode, fetch_early, lit, pair, restore, transpose
from fastdigit.kernels.simd import pointer, store

LANES = {"float32": 16, "float64": 8}
dtypes = pytest.mark.parametrize("dtype", LANES)
N = 40


@njit()
def transposed(images, order, features, first, group):
    transpose(pointer(images), pointer(order), features, first, pointer(group))


@njit()
def restored(columns, rows, pitch):
    restore(pointer(columns), pointer(rows), pitch)


@njit()
def read_pairs(blocks, count, out):
    """Write both columns of each block as vectors."""
    b = pointer(blocks)
    for block in range(count):
        fetch_early(b, block + 1000)
        x = pair(b, block)
        store(pointer(out[block, 0]), 0, x[0])
        store(pointer(out[block, 1]), 0, x[1])


@njit()
def look_at_pairs(group, out):
    for number in range(len(out)):
        out[number] = lit(pointer(group), number)


@njit()
def encode_backwards(group, count, blocks):
    """Write pair after pair, the last one first."""
    for block in range(count):
        encode(pointer(group), block, pointer(blocks), count - 1 - block)


def drawn(dtype, features, seed=0):
    """Return images of floats, some of them special."""
    random = np.random.RandomState(seed)
    images = (random.rand(N, features) - 0.5).astype(dtype)
    limits = np.finfo(dtype)
    unusual = [np.nan, -0.0, 0.0, np.inf, -np.inf, limits.smallest_subnormal, limits.max]
    places = random.rand(N, features) < 0.3
    images[places] = random.choice(unusual, places.sum())
    return images


def laid(lines):
    """Return a group with these pixels (columns, lanes) as `transpose` would have left it."""
    memory = aligned(lines.shape, lines.dtype)
    memory[:] = lines
    return memory


def same_bits(found, expected):
    """Require the same type and bits, those of NaN included."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()


@dtypes
@pytest.mark.parametrize(("features", "first"), [(64, 0), (65, 0), (67, 3), (100, 17), (784, 720)])
def test_a_group_is_transposed(dtype, features, first):
    images, width = drawn(dtype, features), LANES[dtype]
    before = images.copy()
    order = np.random.RandomState(first).randint(0, N, width)
    group = aligned((width, width), dtype)
    transposed(images, order, features, first, group)
    same_bits(group, images[order, first : first + width].T)
    same_bits(images, before)


@dtypes
@pytest.mark.parametrize("beyond", [0, 1, 7])
def test_columns_are_restored_to_rows(dtype, beyond):
    width = LANES[dtype]
    columns = laid(drawn(dtype, width)[:width])
    rows = np.full((width, width + beyond), 5, dtype)
    restored(columns, rows, width + beyond)
    expected = np.full_like(rows, 5)
    expected[:, :width] = columns.T
    same_bits(rows, expected)


def lines_of(dtype, columns):
    """Return so many columns of a group, and zeros up to a whole pair."""
    lines = drawn(dtype, LANES[dtype], seed=columns)[: columns + columns % COLUMNS]
    lines[columns:] = 0
    return lines


@dtypes
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 6, 7, 8, 31])
def test_pairs_of_a_group(dtype, columns):
    lines = lines_of(dtype, columns)
    count = len(lines) // COLUMNS
    out = aligned((count, COLUMNS, LANES[dtype]), dtype)
    read_pairs(laid(lines), count, out)
    same_bits(out.reshape(lines.shape), lines)


@dtypes
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 6, 7, 8, 31])
def test_blocks_hold_what_was_in_the_group(dtype, columns):
    width, lines = LANES[dtype], lines_of(dtype, columns)
    count = len(lines) // COLUMNS
    blocks = aligned((count + 1, COLUMNS, width), dtype)
    blocks[:] = 7
    encode_backwards(laid(lines), count, blocks)
    expected = lines.reshape(count, COLUMNS, width)[::-1]
    same_bits(blocks[:count], expected)
    assert (blocks[count:] == 7).all()
    out = aligned((count, COLUMNS, width), dtype)
    read_pairs(blocks, count, out)
    same_bits(out, expected)


LIGHTS = {
    "float32": [1, -1, np.nan, -np.nan, np.inf, -np.inf, 2.0**-149, -(2.0**-149)],
    "float64": [1, -1, np.nan, -np.nan, np.inf, -np.inf, 2.0**-1074, -(2.0**-1074)],
}


def lit_pairs(lines):
    found = np.full(len(lines) // COLUMNS, -1)
    look_at_pairs(laid(lines), found)
    return found.tolist()


@dtypes
def test_a_pair_is_lit_by_any_pixel_but_zero(dtype):
    """In any lane of any column, and in no other pair; zeros may have either sign."""
    width, pairs = LANES[dtype], 5
    dark = np.zeros((pairs * COLUMNS, width), dtype)
    dark[::2] = -0.0
    assert lit_pairs(dark) == [0] * pairs
    for light in LIGHTS[dtype]:
        for column in range(len(dark)):
            for lane in range(width):
                lines = dark.copy()
                lines[column, lane] = light
                expected = [int(number == column // COLUMNS) for number in range(pairs)]
                assert lit_pairs(lines) == expected, (light, column, lane)


@dtypes
@pytest.mark.parametrize("lit_columns", range(16))
def test_any_columns_may_be_lit(dtype, lit_columns):
    lines = np.zeros((4, LANES[dtype]), dtype)
    lines[[bool(lit_columns >> column & 1) for column in range(4)]] = 3
    assert lit_pairs(lines) == [bool(lit_columns & 0b0011), bool(lit_columns & 0b1100)]
