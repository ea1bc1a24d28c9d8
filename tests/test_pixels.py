"""Groups of images and their blocks: where every pixel goes, and that none changes."""

import numpy as np
import pytest

from fastdigit.jit import njit
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.pixels import (
    COLUMNS,
    PACKED,
    elements,
    encode,
    fetch_early,
    lit,
    packed,
    pair,
    restore,
    transpose,
)
from fastdigit.kernels.simd import lanes, pointer, store

DTYPES = ["float32", "float64"]
LANES = {"float32": 16, "float64": 8}
N = 40


@njit()
def transposed(images, order, features, first, group, like):
    p = pointer(group)
    transpose(pointer(images), pointer(order), features, first, p, pointer(like))
    return packed(p), elements(p)[packed(p)], elements(p)[packed(p) * lanes(pointer(like))]


@njit()
def restored(columns, rows, pitch):
    restore(pointer(columns), pointer(rows), pitch)


@njit()
def read_pairs(blocks, count, out):
    """Write both columns of each block as vectors."""
    b, like = pointer(blocks), pointer(out[0, 0])
    for block in range(count):
        fetch_early(b, block + 1000, like)
        x = pair(b, block, like)
        store(pointer(out[block, 0]), 0, x[0])
        store(pointer(out[block, 1]), 0, x[1])


@njit()
def look_at_words(group, like, out):
    for word in range(len(out)):
        out[word] = lit(pointer(group), word, pointer(like))


@njit()
def encode_backwards(group, count, blocks, like):
    """Write pair after pair, the last one first."""
    for block in range(count):
        encode(pointer(group), block, pointer(blocks), count - 1 - block, pointer(like))


def drawn(kind, features, seed=0):
    """Return images: bytes of every value, or floats, some of them special."""
    random = np.random.RandomState(seed)
    if kind == "bytes":
        return random.randint(0, 256, (N, features)).astype(np.uint8)
    images = (random.rand(N, features) - 0.5).astype(kind)
    limits = np.finfo(kind)
    unusual = [np.nan, -0.0, 0.0, np.inf, -np.inf, limits.smallest_subnormal, limits.max]
    places = random.rand(N, features) < 0.3
    images[places] = random.choice(unusual, places.sum())
    return images


def laid(kind, dtype, lines):
    """Return a group with these pixels (columns, lanes) as `transpose` would have left it."""
    if kind != "bytes":
        memory = aligned(lines.shape, dtype)
        memory[:] = lines
        return memory
    whole = np.zeros((-(-len(lines) // PACKED) * PACKED, lines.shape[1]), np.uint8)
    whole[: len(lines)] = lines
    memory = aligned((len(whole) // PACKED, lines.shape[1]), np.uint32)
    memory.view(np.uint8).reshape(-1, lines.shape[1], PACKED)[:] = whole.reshape(
        -1, PACKED, lines.shape[1]
    ).transpose(0, 2, 1)
    return memory


def same_bits(found, expected):
    """Require the same type and bits, those of NaN included."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()


KINDS = [("bytes", "float32"), ("bytes", "float64"), ("float32", "float32"), ("float64", "float64")]
kinds = pytest.mark.parametrize(("kind", "dtype"), KINDS)


@kinds
@pytest.mark.parametrize(("features", "first"), [(64, 0), (65, 0), (67, 3), (100, 17), (784, 720)])
def test_a_group_is_transposed(kind, dtype, features, first):
    images, width = drawn(kind, features), LANES[dtype]
    before = images.copy()
    order = np.random.RandomState(first).randint(0, N, width)
    group = aligned(width * width, np.uint32 if kind == "bytes" else dtype)
    together, second, below = transposed(images, order, features, first, group, np.zeros(1, dtype))
    assert together == (PACKED if kind == "bytes" else 1)
    columns = images[order, first : first + width * together].T
    same_bits(group, laid(kind, dtype, columns).ravel())
    same_bits(images, before)
    # The single pixels: of the second image, and of the first one in the second row.
    np.testing.assert_array_equal((second, below), (columns[0, 1], columns[together, 0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beyond", [0, 1, 7])
def test_columns_are_restored_to_rows(dtype, beyond):
    width = LANES[dtype]
    columns = aligned((width, width), dtype)
    columns[:] = drawn(dtype, width)[:width]
    rows = np.full((width, width + beyond), 5, dtype)
    restored(columns, rows, width + beyond)
    expected = np.full_like(rows, 5)
    expected[:, :width] = columns.T
    same_bits(rows, expected)


def lines_of(kind, dtype, columns):
    """Return so many columns of a group, and zeros up to a whole pair."""
    lines = drawn(kind, LANES[dtype], seed=columns)[: columns + columns % COLUMNS]
    lines[columns:] = 0
    return lines


@kinds
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 6, 7, 8, 31])
def test_pairs_of_a_group(kind, dtype, columns):
    lines = lines_of(kind, dtype, columns)
    count = len(lines) // COLUMNS
    out = aligned((count, COLUMNS, LANES[dtype]), dtype)
    read_pairs(laid(kind, dtype, lines), count, out)
    same_bits(out.reshape(lines.shape), lines.astype(dtype))


@kinds
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 6, 7, 8, 31])
def test_blocks_hold_what_was_in_the_group(kind, dtype, columns):
    width, lines = LANES[dtype], lines_of(kind, dtype, columns)
    count = len(lines) // COLUMNS
    blocks = aligned((count + 1, COLUMNS, width), np.uint8 if kind == "bytes" else dtype)
    blocks[:] = 7
    encode_backwards(laid(kind, dtype, lines), count, blocks, np.zeros(1, dtype))
    expected = lines.reshape(count, COLUMNS, width)[::-1]
    same_bits(blocks[:count], expected)
    assert (blocks[count:] == 7).all()
    out = aligned((count, COLUMNS, width), dtype)
    read_pairs(blocks, count, out)
    same_bits(out, expected.astype(dtype))


LIGHTS = {
    "bytes": [1, 128, 255],
    "float32": [1, -1, np.nan, -np.nan, np.inf, -np.inf, 2.0**-149, -(2.0**-149)],
    "float64": [1, -1, np.nan, -np.nan, np.inf, -np.inf, 2.0**-1074, -(2.0**-1074)],
}


def lit_words(kind, dtype, lines):
    found = np.full(len(lines) // PACKED, -1)
    look_at_words(laid(kind, dtype, lines), np.zeros(1, dtype), found)
    return found.tolist()


@kinds
def test_a_pair_is_lit_by_any_pixel_but_zero(kind, dtype):
    """In any lane of any column, and in no other pair; zeros may have either sign."""
    width, columns = LANES[dtype], 3 * PACKED
    dark = np.zeros((columns, width), np.uint8 if kind == "bytes" else kind)
    if kind != "bytes":
        dark[::2] = -0.0
    assert lit_words(kind, dtype, dark) == [0, 0, 0]
    for light in LIGHTS[kind]:
        for column in range(columns):
            for lane in range(width):
                lines = dark.copy()
                lines[column, lane] = light
                # One bit for each pair of a word.
                expected = [0, 0, 0]
                expected[column // PACKED] = 1 << column % PACKED // COLUMNS
                assert lit_words(kind, dtype, lines) == expected, (light, column, lane)


@kinds
@pytest.mark.parametrize("lit_columns", range(16))
def test_any_columns_of_a_word_may_be_lit(kind, dtype, lit_columns):
    lines = np.zeros((PACKED, LANES[dtype]), np.uint8 if kind == "bytes" else kind)
    lines[[bool(lit_columns >> column & 1) for column in range(PACKED)]] = 3
    pairs = bool(lit_columns & 0b0011) + 2 * bool(lit_columns & 0b1100)
    assert lit_words(kind, dtype, lines) == [pairs]
