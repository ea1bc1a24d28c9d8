"""Images in chunks: where every pixel goes, in which order, and when zeros are left out."""

import itertools

import numpy as np
import pytest
from test_groups import THREADS, drawn

import fastdigit as fd
from fastdigit.jit import njit
from fastdigit.kernels.chunks import (
    MOST_IN_TILE,
    TOGETHER,
    Chunks,
    dealt,
    in_chunks,
    is_lit,
    shape_of,
)
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.matrix import DEPTH, MOST_PRODUCTS, ROWS, TILE
from fastdigit.kernels.parallel import PIECES, pieces_of
from fastdigit.kernels.simd import ALIGNMENT, pointer
from fastdigit.kernels.similarity import similar


@njit()
def look(chunks, out):
    for k in range(len(out)):
        out[k] = is_lit(pointer(chunks[k]))


everies = pytest.mark.parametrize("every", [True, False])


def numbers_of(chunks):
    """Return which of its group's chunks each one is, and how many each group has."""
    shape, index = chunks.shape, chunks.index.astype(np.int64)
    starts = index[: shape.groups + 1]
    assert shape.numbers == shape.groups + 1
    assert starts[0] == 0
    return index[shape.numbers :][: starts[-1]], np.diff(starts)


def rows_of(chunks):
    """Return the pixels of all groups, an image a row, and columns up to whole chunks."""
    shape = chunks.shape
    numbers, counts = numbers_of(chunks)
    of_group = np.repeat(np.arange(shape.groups), counts)
    # They go up in each group, so none is there twice.
    assert (np.diff(of_group * shape.chunks + numbers) > 0).all()
    whole = np.zeros((shape.groups, shape.chunks, TILE), np.uint8)
    whole[of_group, numbers] = chunks.blocks[1:]
    whole = whole.reshape(shape.groups, shape.chunks, DEPTH // 4, ROWS, 4)
    return whole.transpose(0, 3, 1, 2, 4).reshape(shape.groups * ROWS, -1)


def chunks_of(features):
    """Return how many chunks a group has."""
    return -(-features // DEPTH)


def check(images, every):
    """Require the chunks to hold the images, in the order given, and nothing else."""
    before = images.copy()
    chunks = in_chunks(images, every, THREADS)
    np.testing.assert_array_equal(images, before)
    (n, features), shape = images.shape, chunks.shape
    assert shape == shape_of(images, every)._replace(counting=False)
    assert (shape.images, shape.features, shape.every) == (n, features, every)
    assert (shape.groups, shape.chunks) == (-(-n // 16), chunks_of(features))
    assert shape.pieces == pieces_of(shape.groups)
    assert shape.tiles == -(-n // (16 * shape.pieces * MOST_IN_TILE))

    order, columns = chunks.order, chunks.columns
    np.testing.assert_array_equal(np.sort(order[:n]), np.arange(n))
    np.testing.assert_array_equal(order[n:], [order[n - 1]] * (-n % 16))
    np.testing.assert_array_equal(np.sort(columns), np.arange(features))
    expected = (np.arange(n), np.arange(features)) if every else similar(images, THREADS)
    np.testing.assert_array_equal(columns, expected[1])
    whole = np.append(expected[0], [expected[0][-1]] * (-n % 16)).reshape(-1, 16)
    found = order.reshape(-1, 16)
    np.testing.assert_array_equal(found, whole if every else dealt(whole, shape.pieces))

    rows = rows_of(chunks)
    np.testing.assert_array_equal(rows[:, :features], images[order][:, columns])
    assert not rows[:, features:].any()
    blocks = chunks.blocks
    assert (blocks.dtype, blocks.shape[1]) == (np.uint8, TILE)
    assert blocks.ctypes.data % ALIGNMENT == 0
    assert not blocks[0].any()
    if every:
        assert (numbers_of(chunks)[1] == shape.chunks).all()
    else:
        assert blocks[1:].any(axis=1).all()
    return chunks


@everies
@pytest.mark.parametrize("features", [1, 3, 16, 49, 63, 64, 65, 784])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000, 1100])
def test_every_pixel_is_where_it_is_said_to_be(n, features, every):
    check(drawn(n, features), every)


@everies
@pytest.mark.parametrize(("n", "features"), [(41_000, 3), (60_000, 65), (100_001, 1)])
def test_many_images(n, features, every):
    check(drawn(n, features, 0.01), every)


def test_the_numbers_of_tiles():
    """The last image of a tile, and the first one of the next; their sums fit 32 bits."""
    most = 16 * PIECES * MOST_IN_TILE
    for n, tiles in ((1, 1), (most, 1), (most + 1, 2), (2 * most, 2), (2 * most + 1, 3)):
        assert shape_of(np.ones((n, 1), np.uint8), every=True).tiles == tiles
    assert MOST_IN_TILE * ROWS <= MOST_PRODUCTS


@pytest.mark.parametrize("density", [0, 0.0005, 1])
def test_any_share_of_pixels(density):
    images = drawn(300, 200, density)
    sparse, dense = (len(check(images, every).blocks) - 1 for every in (False, True))
    assert dense == 19 * chunks_of(200)
    if density == 0:
        assert sparse == 0
    elif density == 1:
        assert sparse == 19 * -(-200 // DEPTH)
    else:
        assert 0 < sparse < dense


@pytest.mark.parametrize("pixel", [1, 128, 255])
def test_a_chunk_is_lit_by_any_pixel(pixel):
    chunks, found = aligned((TILE + 1, TILE), np.uint8), np.full(TILE + 1, 2, np.uint8)
    np.fill_diagonal(chunks, pixel)
    look(chunks, found)
    assert found.tolist() == [1] * TILE + [0]


@pytest.mark.parametrize("pixel", [1, 128, 255])
def test_one_pixel_keeps_its_chunk(pixel):
    for image, column in ((0, 0), (15, 63), (16, 64), (31, 127), (47, 129)):
        images = np.zeros((48, 130), np.uint8)
        images[image, column] = pixel
        (kept,) = check(images, every=False).blocks[1:]
        assert np.count_nonzero(kept) == 1


def test_columns_without_pixels_are_together():
    """A quarter of a picture has none: so a quarter of the chunks is left out."""
    images = drawn(160, 256, 0.9)
    images.reshape(160, 16, 16)[:, :, 12:] = 0
    numbers, _ = numbers_of(check(images, every=False))
    assert numbers.tolist() == list(range(192 // DEPTH)) * 10


def test_similar_digits_share_their_background():
    digits = fd.make_digits(2000, seed=3).images
    chunks = check(digits, every=False)
    padded = np.pad(digits, ((0, 0), (0, -784 % DEPTH)))
    lit = padded.reshape(-1, ROWS, chunks_of(784), DEPTH).any(axis=(1, 3)).sum()
    assert len(chunks.blocks[1:]) < 0.8 * lit


@pytest.mark.parametrize("groups", [1, 23, 48, 97, 625, 1543, 2563, 6250, 62_500])
def test_pieces_get_groups_from_everywhere(groups):
    """So they take as long, if neighbours do; and groups that are turned together stay so."""
    pieces = pieces_of(groups)
    order = dealt(np.arange(groups)[:, None], pieces)[:, 0]
    assert sorted(order.tolist()) == list(range(groups))
    assert order[-1] == groups - 1
    firsts = groups * np.arange(pieces + 1) // pieces
    for first, end in itertools.pairwise(firsts.tolist()):
        assert np.mean(order[first:end]) == pytest.approx((groups - 1) / 2, rel=0.1)
        places = np.arange(end - first - 1)
        neighbours = np.diff(order[first:end]) == 1
        assert neighbours[places % TOGETHER < TOGETHER - 1].all()


@everies
def test_threads_do_not_show_in_chunks(every):
    images = drawn(1700, 130, 0.02)
    results = [in_chunks(images, every, k) for k in range(1, THREADS + 1)]
    assert len(results[0].blocks) > 100
    for other in results[1:]:
        assert other.shape == results[0].shape
        for name in Chunks._fields[1:]:
            assert getattr(other, name).tobytes() == getattr(results[0], name).tobytes()
