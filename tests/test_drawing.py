import json
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from fastdigit.data.dataset import Dataset
from fastdigit.data.drawing import draw_digits, make_digits
from fastdigit.data.glyphs import MOST_POINTS, START, load_glyphs

GOLDEN_CRC32 = {0: 0xD26C3AF4, 7: 0x11E26302}


@pytest.fixture(scope="module")
def digits():
    return draw_digits(2000, seed=1)


def test_shapes_and_types(digits):
    images, labels = digits
    assert images.shape == (2000, 784)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert labels.shape == (2000,)
    assert labels.dtype == np.uint8


def test_dataset_says_where_it_comes_from():
    data = make_digits(20, seed=3)
    assert isinstance(data, Dataset)
    images, labels = draw_digits(20, seed=3)
    np.testing.assert_array_equal(data.images, images)
    np.testing.assert_array_equal(data.labels, labels)
    assert data.source == "built-in digits (seed 3)"


def test_no_digits():
    images, labels = draw_digits(0)
    assert images.shape == (0, 784)
    assert labels.shape == (0,)


@pytest.mark.parametrize("seed", GOLDEN_CRC32)
def test_bits_never_change(seed):
    images, labels = draw_digits(1000, seed)
    assert zlib.crc32(images) == GOLDEN_CRC32[seed]
    assert np.bincount(labels).tolist() == [100] * 10


def test_fewer_digits_are_a_prefix():
    images, labels = draw_digits(5000, seed=2)
    for n in (1, 10, 4095, 4097):
        fewer, their_labels = draw_digits(n, seed=2)
        np.testing.assert_array_equal(fewer, images[:n])
        np.testing.assert_array_equal(their_labels, labels[:n])


def test_seeds_differ():
    last = 2**63 - 1
    assert len({zlib.crc32(draw_digits(50, seed)[0]) for seed in (0, 1, 2, last)}) == 4


def test_numpy_integers_are_accepted():
    expected = draw_digits(12, 5)[0]
    np.testing.assert_array_equal(draw_digits(np.int32(12), np.uint64(5))[0], expected)


def test_same_bits_at_every_thread_count():
    script = """
import json, zlib
import numba
from fastdigit.data.drawing import draw_digits
sums = []
for threads in (1, 2, 4):
    numba.set_num_threads(threads)
    sums.append(zlib.crc32(draw_digits(1000, 0)[0]))
print(json.dumps(sums))
"""
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == [GOLDEN_CRC32[0]] * 3


def test_statistics_are_those_of_mnist(digits):
    images = digits[0].reshape(-1, 28, 28).astype(float)
    assert 0.15 < np.mean(images > 0) < 0.25  # MNIST 0.191
    assert 28 < images.mean() < 38  # MNIST 33.3
    assert 0.3 < np.sum(images >= 250) / np.sum(images > 0) < 0.5  # MNIST 0.385
    assert np.all(images.max(axis=(1, 2)) >= 200)
    mass = images.sum(axis=(1, 2))
    place = np.arange(28)
    down = images.sum(axis=2) @ place / mass
    across = images.sum(axis=1) @ place / mass
    assert np.mean(np.abs(down - 14) <= 0.5) > 0.98
    assert np.mean(np.abs(across - 14) <= 0.5) > 0.98


def test_a_glyph_fits_its_box(digits):
    images = digits[0].reshape(-1, 28, 28)
    for axis in (1, 2):
        inked = images.max(axis=axis) > 0
        first, last = inked.argmax(axis=1), 27 - inked[:, ::-1].argmax(axis=1)
        assert np.all(last - first < 20)


def test_ten_in_a_row_are_the_ten_digits(digits):
    rows = digits[1].reshape(-1, 10)
    assert np.all(np.sort(rows, axis=1) == np.arange(10))
    assert len(np.unique(rows, axis=0)) > 30


def test_images_of_a_digit_differ(digits):
    images, _ = digits
    assert len(np.unique(images, axis=0)) == len(images)


def test_digits_can_be_told_apart_by_their_nearest_neighbour(digits):
    images, labels = digits[0].astype(np.float32), digits[1]
    others, truth = draw_digits(500, seed=99)
    distance = (images**2).sum(axis=1) - 2.0 * others.astype(np.float32) @ images.T
    assert np.mean(labels[distance.argmin(axis=1)] == truth) > 0.75


def test_glyphs_are_well_formed():
    glyphs = load_glyphs()
    assert np.all(np.diff(glyphs.reached) > 0)
    assert np.all(np.isin(np.arange(1, 11), glyphs.reached))
    assert glyphs.drawings.shape == (glyphs.variants.sum(), 3, MOST_POINTS)
    for first, variants in zip(glyphs.first, glyphs.variants, strict=True):
        pens = glyphs.drawings[first : first + variants, 2]
        assert np.all(pens == pens[0])
        assert pens[0, 0] == START
        assert pens[0, 1] != START


@pytest.mark.parametrize("bad", [True, np.True_, 1.0, "10", None])
def test_what_is_no_whole_number_is_refused(bad):
    with pytest.raises(TypeError, match="n must be a whole number, not"):
        draw_digits(bad)
    with pytest.raises(TypeError, match="seed must be a whole number, not"):
        make_digits(1, bad)


@pytest.mark.parametrize("bad", [-1, 2**63, np.int64(-5), np.uint64(2**64 - 1)])
def test_numbers_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="n must be at least 0 and below"):
        draw_digits(bad)
    with pytest.raises(ValueError, match="seed must be at least 0 and below"):
        make_digits(1, bad)
