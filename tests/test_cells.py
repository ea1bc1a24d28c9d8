"""Images in cells: where every pixel goes, in which order, and when zeros are left out."""

import numpy as np
import pytest
from test_groups import THREADS, drawn

import fastdigit as fd
from fastdigit.kernels.cells import CELL, PAIR, Cells, in_cells
from fastdigit.kernels.chunks import WORD, in_chunks, shape_of
from fastdigit.kernels.matrix import MOST_PRODUCTS
from fastdigit.kernels.simd import ALIGNMENT

everies = pytest.mark.parametrize("every", [True, False])


def lists_of(cells):
    """Return how many cells each list has, and the numbers of all cells."""
    starts = cells.index[: cells.shape.numbers].astype(np.int64)
    assert (starts[0], starts[-1]) == (0, starts[-2])
    numbers = cells.index[cells.shape.numbers :].view(np.uint16)
    assert len(cells.blocks) == starts[-1]
    assert len(numbers) == starts[-1] + starts[-1] % 2
    return np.diff(starts[:-1]), numbers[: starts[-1]]


def pixels_forward(cells):
    """Return the pixels of all images, and how many cells they were in."""
    shape = cells.shape
    counts, numbers = lists_of(cells)
    pairs = 8 * shape.groups
    count = counts[:pairs].sum()
    of_pair, words = np.repeat(np.arange(pairs), counts[:pairs]), numbers[:count]
    # They go up in each list, so none is there twice.
    assert (np.diff(of_pair * shape.chunks + words) > 0).all()
    pixels = np.zeros((pairs, shape.chunks, PAIR, WORD), np.uint8)
    pixels[of_pair, words] = cells.blocks[:count].reshape(-1, PAIR, WORD)
    return pixels.transpose(0, 2, 1, 3).reshape(16 * shape.groups, -1), count


def pixels_back(cells):
    """Return the same of the cells for the way back."""
    shape = cells.shape
    counts, numbers = lists_of(cells)
    counts = counts[8 * shape.groups :].reshape(shape.pieces * shape.tiles, -1)
    assert counts.shape[1] == PAIR * shape.chunks
    pixels = np.zeros((4 * shape.groups, counts.shape[1], PAIR, WORD), np.uint8)
    begin = first = len(numbers) - counts.sum()
    for number, lists in enumerate(counts):
        piece, tile = divmod(number, shape.tiles)
        start, end = (shape.groups * (piece + k) // shape.pieces for k in (0, 1))
        group = start + (end - start) * tile // shape.tiles
        next_group = start + (end - start) * (tile + 1) // shape.tiles
        at = slice(begin, begin + lists.sum())
        of_list, fours = np.repeat(np.arange(len(lists)), lists), numbers[at].astype(int)
        assert (np.diff(of_list * 4 * shape.groups + fours) > 0).all()
        assert not len(fours) or fours.max() < 4 * (next_group - group)
        pixels[4 * group + fours, of_list] = cells.blocks[at].reshape(-1, PAIR, WORD)
        begin += lists.sum()
    return pixels.transpose(0, 3, 1, 2).reshape(16 * shape.groups, -1), begin - first


def lit(rows, images, columns):
    """Return how many blocks of so many images and columns have a pixel that is not 0."""
    parts = rows.reshape(len(rows) // images, images, -1, columns)
    return int(parts.any(axis=(1, 3)).sum())


def check(images, every):
    """Require the cells to hold the images both ways, and nothing else."""
    before = images.copy()
    cells = in_cells(images, every, THREADS)
    np.testing.assert_array_equal(images, before)
    features, shape = images.shape[1], cells.shape
    assert shape == shape_of(images, every, width=4)._replace(counting=False, numbers=shape.numbers)
    assert shape.chunks == 4 * -(-features // 16)
    # The order is that of chunks, which has its own tests.
    chunks = in_chunks(images, every, THREADS)
    np.testing.assert_array_equal(cells.order, chunks.order)
    np.testing.assert_array_equal(cells.columns, chunks.columns)

    rows = np.zeros((16 * shape.groups, 4 * shape.chunks), np.uint8)
    rows[:, :features] = images[cells.order][:, cells.columns]
    for (found, count), size in ((pixels_forward(cells), (2, 4)), (pixels_back(cells), (4, 2))):
        np.testing.assert_array_equal(found, rows)
        assert count == (rows.size // CELL if every else lit(rows, *size))
    assert (cells.blocks.dtype, cells.blocks.shape[1]) == (np.uint8, CELL)
    assert not len(cells.blocks) or cells.blocks.ctypes.data % ALIGNMENT == 0
    return cells


@everies
@pytest.mark.parametrize("features", [1, 3, 16, 49, 63, 64, 65, 784])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000, 1100])
def test_every_pixel_is_where_it_is_said_to_be(n, features, every):
    check(drawn(n, features), every)


@everies
@pytest.mark.parametrize(("n", "features"), [(41_000, 3), (60_000, 65), (100_001, 1)])
def test_many_images(n, features, every):
    check(drawn(n, features, 0.01), every)


def test_the_widest_images():
    """The numbers of their words fit sixteen bits."""
    images = np.zeros((17, MOST_PRODUCTS), np.uint8)
    images[3, -1] = images[16, 0] = 255
    check(images, every=True)
    check(images, every=False)


@pytest.mark.parametrize("density", [0, 0.0005, 1])
def test_any_share_of_pixels(density):
    images = drawn(300, 200, density)
    sparse, dense = (len(check(images, every).blocks) for every in (False, True))
    assert dense == 2 * 19 * 8 * 52
    if density == 1:
        # The columns that fill up the last sixteen, and no others, are left out.
        assert sparse == 2 * 19 * 8 * 50
    else:
        assert (sparse > 0) == (density > 0)
        assert sparse < dense / 10


@pytest.mark.parametrize("pixel", [1, 128, 255])
def test_one_pixel_keeps_its_cells(pixel):
    for image, column in ((0, 0), (15, 63), (16, 64), (31, 127), (46, 128), (47, 129)):
        images = np.zeros((48, 130), np.uint8)
        images[image, column] = pixel
        kept = check(images, every=False).blocks
        assert np.count_nonzero(kept, axis=1).tolist() == [1, 1]


def test_similar_digits_share_their_background():
    """Fewer cells are lit than if images were together by chance."""
    digits = fd.make_digits(2000, seed=3).images
    cells = check(digits, every=False)
    rows = digits[:, cells.columns]
    assert pixels_forward(cells)[1] < 0.85 * lit(rows, 2, 4)
    assert pixels_back(cells)[1] < 0.8 * lit(rows, 4, 2)


@everies
def test_threads_do_not_show_in_cells(every):
    images = drawn(1700, 130, 0.02)
    results = [in_cells(images, every, k) for k in range(1, THREADS + 1)]
    assert len(results[0].blocks) > 100
    for other in results[1:]:
        assert other.shape == results[0].shape
        for name in Cells._fields[1:]:
            assert getattr(other, name).tobytes() == getattr(results[0], name).tobytes()
