"""Images in groups: where every pixel goes, in which order, and when zeros are left out."""

import numpy as np
import pytest

import fastdigit as fd
from fastdigit.kernels.groups import MOST_IN_TILE, group, in_groups
from fastdigit.kernels.numba_backend import SPARSE_BELOW, chosen_storage
from fastdigit.kernels.parallel import PIECES, available_threads
from fastdigit.kernels.simd import ALIGNMENT

THREADS = available_threads()
LANES = {"float32": 16, "float64": 8}
dtypes = pytest.mark.parametrize("dtype", LANES)


def drawn(n, features, density=0.3, kind="bytes", seed=0):
    """Return images of which so many pixels are not 0."""
    random = np.random.RandomState(seed)
    kept = random.rand(n, features) < density
    images = np.where(kept, random.randint(1, 256, (n, features)), 0).astype(np.uint8)
    if kind == "bytes":
        return images
    floats = (images / 255).astype(kind)
    # Zeros of the other sign are zeros, and NaN is none; neither trains a network.
    unusual = random.rand(n, features)
    floats[~kept & (unusual < 0.2)] = -0.0
    floats[kept & (unusual < 0.1)] = np.nan
    floats[kept & (unusual > 0.9)] = -1
    return floats


def columns_of(groups):
    """Return the pair of columns of each block, and how many blocks each group has."""
    shape, index = groups.shape, groups.index
    starts = index[: shape.groups + 1].astype(np.int64)
    return index[shape.columns : shape.columns + starts[-1]].astype(np.int64), np.diff(starts)


def check_blocks(groups, images, every):
    """Require the blocks to hold the images, in the order given, and nothing else."""
    shape, lanes = groups.shape, LANES[images.dtype.name]
    n, features = images.shape
    assert (shape.images, shape.features, shape.groups) == (n, features, -(-n // lanes))
    assert shape.pairs == -(-features // 2)
    columns, counts = columns_of(groups)
    assert groups.index[0] == 0
    assert len(groups.blocks) == len(columns) * shape.block == len(columns) * 2 * lanes
    assert groups.blocks.dtype == images.dtype
    assert not len(columns) or groups.blocks.ctypes.data % ALIGNMENT == 0
    blocks = groups.blocks.reshape(-1, 2, lanes)

    # Pairs go up in each group, so none is there twice.
    of_group = np.repeat(np.arange(shape.groups), counts)
    assert (np.diff(of_group * shape.pairs + columns) > 0).all()
    rebuilt = np.zeros((shape.groups, shape.pairs, 2, lanes), images.dtype)
    rebuilt[of_group, columns] = blocks
    rows = rebuilt.transpose(0, 3, 1, 2).reshape(shape.groups * lanes, -1)
    np.testing.assert_array_equal(rows[:, :features], images[groups.order])
    assert not rows[:, features:].any()
    if every:
        assert (counts == shape.pairs).all()
        assert rows[:, :features].tobytes() == images[groups.order].tobytes()
    else:
        assert (blocks != 0).any(axis=(1, 2)).all()


def check_entries(groups):
    """Require each block once in its tile, pair by pair, and group by group in a pair."""
    shape, index = groups.shape, groups.index.astype(np.int64)
    columns, counts = columns_of(groups)
    of_group = np.repeat(np.arange(shape.groups), counts)
    assert shape.tile_starts == shape.columns + len(columns)
    assert shape.entries == shape.tile_starts + shape.pieces * shape.tiles * (shape.pairs + 1)
    assert len(index) == shape.entries + len(columns)
    last = 0
    for number in range(shape.pieces * shape.tiles):
        piece, tile = divmod(number, shape.tiles)
        ends = [shape.groups * (piece + k) // shape.pieces for k in (0, 1)]
        first, end = (ends[0] + (ends[1] - ends[0]) * (tile + k) // shape.tiles for k in (0, 1))
        assert first == last <= end <= first + MOST_IN_TILE
        last = end
        begin = index[first]
        inside = slice(begin, index[end])
        starts = index[shape.tile_starts + number * (shape.pairs + 1) :][: shape.pairs + 1]
        expected = np.searchsorted(np.sort(columns[inside]), np.arange(shape.pairs + 1))
        np.testing.assert_array_equal(starts, begin + expected)
        entries = index[shape.entries :][inside]
        # Sorting is stable: in a pair the groups, and so the blocks, go up.
        by_pair = np.argsort(columns[inside], kind="stable")
        np.testing.assert_array_equal(entries // 256, by_pair)
        np.testing.assert_array_equal(entries % 256, (of_group[inside] - first)[by_pair])
    assert last == shape.groups


def check(images, every):
    before = images.copy()
    groups = group(images, every, THREADS)
    assert images.tobytes() == before.tobytes()
    assert (groups.shape.every, groups.shape.counting) == (every, False)
    assert groups.order.dtype == np.int64
    n = len(images)
    np.testing.assert_array_equal(np.sort(groups.order[:n]), np.arange(n))
    assert len(groups.order) == groups.shape.groups * LANES[images.dtype.name]
    assert (groups.order[n:] == groups.order[n - 1]).all()
    if every:
        np.testing.assert_array_equal(groups.order[:n], np.arange(n))
    check_blocks(groups, images, every)
    check_entries(groups)
    return groups


@dtypes
@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("features", [1, 2, 3, 17, 36, 63, 64, 65, 68, 784])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000])
def test_every_pixel_is_where_it_is_said_to_be(n, features, every, dtype):
    check(drawn(n, features, kind=dtype), every)


@dtypes
@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize(("n", "features"), [(41_000, 3), (60_000, 4), (100_001, 1)])
def test_tiles_of_many_images(n, features, every, dtype):
    """A piece of more than 48 groups has several tiles."""
    groups = check(drawn(n, features, kind=dtype), every)
    assert groups.shape.tiles == -(-n // (LANES[dtype] * PIECES * MOST_IN_TILE))


def test_the_numbers_of_tiles():
    """The last image of a tile, and the first one of the next."""
    most = 16 * PIECES * MOST_IN_TILE
    for n, tiles in ((most, 1), (most + 1, 2), (2 * most, 2), (2 * most + 1, 3)):
        assert check(np.ones((n, 1), np.float32), every=True).shape.tiles == tiles


@dtypes
@pytest.mark.parametrize("density", [0, 0.01, 1])
def test_any_share_of_pixels(density, dtype):
    images = drawn(300, 52, density, dtype)
    sparse, dense = (check(images, every) for every in (False, True))
    if density == 0:
        assert len(sparse.blocks) == 0
    if density == 1:
        assert len(sparse.blocks) == len(dense.blocks)


@dtypes
def test_images_of_zeros_among_others(dtype):
    """Groups that have no block at all, and pairs of columns that no group has."""
    images = drawn(500, 40, kind=dtype)
    images[::3] = 0
    images[:, 10:14] = 0
    groups = check(images, every=False)
    columns, counts = columns_of(groups)
    assert (counts == 0).sum() >= 500 / 3 // LANES[dtype] - 1
    assert set(range(20)) - set(columns.tolist()) == {5, 6}


@dtypes
@pytest.mark.parametrize("every", [True, False])
def test_threads_do_not_show_in_groups(every, dtype):
    images = drawn(700, 30, kind=dtype)
    results = [group(images, every, k) for k in range(1, THREADS + 1)]
    for other in results[1:]:
        assert other.shape == results[0].shape
        for mine, theirs in zip(other[1:], results[0][1:], strict=True):
            assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17, 100])
@dtypes
def test_the_last_group_is_filled_up(n, dtype):
    lanes = LANES[dtype]
    order = np.random.RandomState(n).permutation(n)
    whole = in_groups(order, dtype)
    assert len(whole) == -(-n // lanes) * lanes
    np.testing.assert_array_equal(whole[:n], order)
    assert (whole[n:] == order[-1]).all()


@dtypes
def test_similar_digits_share_their_background(dtype):
    digits = fd.make_digits(2000, seed=3).images.astype(dtype)
    found = group(digits, False, THREADS)
    kept = len(found.blocks) // found.shape.block
    lit = digits.reshape(-1, LANES[dtype], 392, 2).any(axis=(1, 3)).sum()
    every = found.shape.groups * found.shape.pairs
    assert np.count_nonzero(digits.reshape(-1, 2).any(axis=1)) / LANES[dtype] < kept
    assert kept < 0.85 * lit < lit < every


# --- storage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bytes", "float32", "float64"])
def test_storage_is_chosen_by_the_share_of_pixels(kind):
    few, many = (drawn(500, 100, SPARSE_BELOW + change, kind) for change in (-0.1, 0.1))
    assert chosen_storage("auto", few) == "sparse"
    assert chosen_storage("auto", many) == "dense"
    for images in (few, many):
        assert chosen_storage("sparse", images) == "sparse"
        assert chosen_storage("dense", images) == "dense"


@pytest.mark.parametrize("features", [1, 70_000])
def test_images_of_zeros_are_sparse(features):
    assert chosen_storage("auto", np.zeros((3, features), np.uint8)) == "sparse"


def test_storage_goes_by_images_from_all_over():
    images = drawn(30_000, 20, 0.1)
    images[:100] = 255
    assert chosen_storage("auto", images) == "sparse"
    images[5000:] = 255
    assert chosen_storage("auto", images) == "dense"


def test_other_storages_are_refused():
    with pytest.raises(ValueError, match="storage='csr'; the storages are"):
        fd.fit(fd.Network([4, 2]), (np.zeros((3, 4), np.uint8), [0, 1, 0]), storage="csr")


@pytest.mark.parametrize("kind", ["bytes", "float32", "float64"])
@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_the_history_tells_the_storage(storage, kind):
    images = np.nan_to_num(drawn(40, 30, 0.5, kind))
    history = fd.fit(
        fd.Network([30, 10]),
        (images, np.arange(40) % 10),
        iterations=2,
        storage=storage,
        progress=False,
    )
    assert history.storage == storage


@pytest.mark.parametrize("density", [0.2, 0.8])
def test_the_history_tells_the_storage_that_was_chosen(density):
    images = drawn(40, 30, density)
    history = fd.fit(
        fd.Network([30, 10]), (images, np.arange(40) % 10), iterations=1, progress=False
    )
    assert history.storage == ("sparse" if density < SPARSE_BELOW else "dense")
