"""Augmentation: against its NumPy twin, by hand, by its statistics, and bit for bit."""

import json
import math
import zlib

import numba
import numpy as np
import pytest

from fastdigit.data import AFFINE, ELASTIC, Augment
from fastdigit.data.augment import MOST_SIDE, augment
from fastdigit.data.lattice import lattice
from fastdigit.data.warp import PIECE, blend, locate, look_up, pack, scratch
from fastdigit.data.warp_reference import (
    augmented,
    bilinear,
    displacements,
    inverse_maps,
    keys_of,
)
from fastdigit.errors import DataError
from fastdigit.threads import available_threads

EVERYTHING = Augment(20, 0.2, 0.2, 2, noise=40, elastic=30, elastic_sigma=4, threshold=10)

GOLDEN = {
    "affine": 3048257780,
    "elastic": 3561522952,
    "noise": 3915070152,
    "everything": 2428005281,
}


def patterns(n, side=28):
    """Return images of all greys, of which two thirds are paper, without any generator."""
    k = np.arange(n * side * side, dtype=np.uint64).reshape(n, side * side)
    k = (k * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return np.where(k % 3 == 0, k // 3 % 256, 0).astype(np.uint8)


def hostile(side):
    """Return images of nothing, of ink alone, of one pixel in a corner, and of all greys."""
    corner = np.zeros((1, side * side), np.uint8)
    corner[0, -1] = 255
    full = np.full((1, side * side), 255, np.uint8)
    return np.concatenate([np.zeros_like(corner), full, corner, patterns(40, side)])


def checksums():
    chosen = {
        "affine": AFFINE,
        "elastic": ELASTIC,
        "noise": Augment(noise=25),
        "everything": EVERYTHING,
    }
    images = patterns(100)
    return {
        name: zlib.crc32(a.apply(images, seed=2, epoch=3, first=50).tobytes())
        for name, a in chosen.items()
    }


# --- the same bits -------------------------------------------------------------------------------


def test_bits_never_change():
    assert checksums() == GOLDEN


def test_the_same_bits_on_an_old_processor(output_of):
    lines = output_of(
        "import json, test_augment; print(json.dumps(test_augment.checksums()))",
        environment={"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": ""},
    )
    assert json.loads(lines[-1]) == GOLDEN


def test_the_same_bits_at_any_number_of_threads_and_in_any_chunks():
    images = patterns(2 * PIECE + 100)
    expected = EVERYTHING.apply(images, seed=1, epoch=2, threads=1)
    threads = available_threads()
    np.testing.assert_array_equal(EVERYTHING.apply(images, 1, 2, threads=threads), expected)
    for chunk in (999, PIECE):
        for first in range(0, len(images), chunk):
            part = slice(first, first + chunk)
            found = EVERYTHING.apply(images[part], 1, 2, first=first)
            np.testing.assert_array_equal(found, expected[part])
    np.testing.assert_array_equal(EVERYTHING.apply(images[7:8], 1, 2, first=7), expected[7:8])


def test_seed_epoch_and_index_each_change_an_image():
    images = np.repeat(patterns(1), 3, axis=0)
    runs = [AFFINE.apply(images, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    runs.append(AFFINE.apply(images, seed=2**63 - 1, epoch=2**63 - 1, first=2**63 - 1))
    assert len(np.unique(np.concatenate(runs), axis=0)) == 3 * len(runs)


# --- against the reference -----------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 2, 7, 28, 45])
@pytest.mark.parametrize(
    "chosen",
    [
        AFFINE,
        ELASTIC,
        EVERYTHING,
        Augment(rotation=180, scale=0.5, shear=1, shift=30, threshold=0),
        Augment(elastic=1000, elastic_sigma=1, threshold=0),
        Augment(noise=255),
    ],
    ids=["affine", "elastic", "everything", "wild", "torn", "noisy"],
)
def test_twin(chosen, side):
    images = hostile(side)
    found = chosen.apply(images, seed=5, epoch=6, first=7)
    expected = augmented(chosen, images, seed=5, epoch=6, first=7)
    off = np.abs(found.astype(int) - expected)
    # A displacement that was rounded the other way moves a weight by 2^-8: by a grey level, which
    # the threshold can make a pixel's end.
    assert np.count_nonzero(off) <= 1e-3 * off.size
    assert np.all((off <= 1) | (np.maximum(found, expected) == chosen.threshold))


def test_twin_on_digits():
    from fastdigit.data import default_data

    images = default_data("train").head(300).images
    for chosen in (AFFINE, ELASTIC):
        off = np.abs(chosen.apply(images).astype(int) - augmented(chosen, images))
        assert np.count_nonzero(off) <= 10
        density = np.mean(chosen.apply(images) > 0)
        assert density < 1.12 * np.mean(images > 0)


# --- by hand -------------------------------------------------------------------------------------


@numba.njit
def _warped(image, side, across, down, out):
    s = scratch(side)
    pack(image, side, s)
    locate(across, down, side, s)
    look_up(s.cells, s.place, s.found)
    blend(s, 0, out)


def warped(image, across, down):
    """Return a square image warped by an inverse map, whose numbers are in pixels."""
    out = np.empty(image.size, np.uint8)
    maps = [tuple(np.int32(round(65536 * number)) for number in row) for row in (across, down)]
    given = image.ravel().view()
    given.flags.writeable = False
    _warped(given, len(image), *maps, out)
    return out.reshape(image.shape)


@pytest.fixture(scope="module")
def picture():
    return np.random.RandomState(0).randint(0, 256, (9, 9)).astype(np.uint8)


def test_nothing_is_moved_by_the_identity(picture):
    np.testing.assert_array_equal(warped(picture, (1, 0, 0), (0, 1, 0)), picture)


def test_quarter_turns(picture):
    for turns, across, down in (
        (1, (0, -1, 8), (1, 0, 0)),
        (2, (-1, 0, 8), (0, -1, 8)),
        (3, (0, 1, 0), (-1, 0, 8)),
    ):
        np.testing.assert_array_equal(warped(picture, across, down), np.rot90(picture, turns))
    y, x = np.mgrid[:9, :9]
    turned = bilinear(picture[None].astype(float), 8 - y[None], x[None])
    np.testing.assert_array_equal(turned[0], np.rot90(picture))


def test_whole_shifts_bring_in_zeros(picture):
    expected = np.zeros_like(picture)
    expected[2:, :-3] = picture[:-2, 3:]
    np.testing.assert_array_equal(warped(picture, (1, 0, 3), (0, 1, -2)), expected)
    assert not warped(picture, (1, 0, 9), (0, 1, 0)).any()
    assert not warped(picture, (1, 0, 0), (0, 1, -3000)).any()


def test_half_shifts_blend_two_pixels(picture):
    wide = np.pad(picture.astype(int), 1)
    found = warped(picture, (1, 0, 0.5), (0, 1, 0))
    np.testing.assert_array_equal(found, (wide[1:-1, 1:-1] + wide[1:-1, 2:] + 1) // 2)
    found = warped(picture, (1, 0, 0), (0, 1, -0.5))
    np.testing.assert_array_equal(found, (wide[1:-1, 1:-1] + wide[:-2, 1:-1] + 1) // 2)


def test_twice_the_size(picture):
    found = warped(picture, (0.5, 0, 2), (0, 0.5, 2))
    np.testing.assert_array_equal(found[::2, ::2], picture[2:7, 2:7])


def test_a_dot_lands_where_the_map_leads_it():
    chosen = Augment(rotation=90, scale=0.2, shear=0.3, shift=3, threshold=0)
    n, side = 200, 41
    centre = (side - 1) / 2
    images = np.zeros((n, side, side), np.uint8)
    images[:, 23:26, 11:14] = 255  # round (12, 24), in the order x, y
    found = chosen.apply(images, seed=8).reshape(-1, side, side).astype(float)
    mass = found.sum(axis=(1, 2))
    place = np.stack([found.sum(axis=1) @ range(side), found.sum(axis=2) @ range(side)]) / mass
    matrix, offset = inverse_maps(chosen, keys_of(8, 0, 0, n), side)
    source = np.einsum("nij,jn->ni", matrix, place) + offset
    np.testing.assert_allclose(source, np.broadcast_to([12, 24], (n, 2)), atol=0.1)
    # The amounts stay within what was asked for, and use it up.
    forward = np.linalg.inv(matrix)
    angle = np.degrees(np.arctan2(forward[:, 1, 0], forward[:, 0, 0]))
    wide = np.hypot(forward[:, 0, 0], forward[:, 1, 0])
    middle = np.einsum("nij,nj->ni", forward, centre - offset) - centre
    for amount, limit in ((angle, 90), (wide - 1, 0.2), (middle[:, 0], 3), (middle[:, 1], 3)):
        assert 0.95 * limit < np.abs(amount).max() < 1.001 * limit
        assert abs(amount.mean()) < 0.15 * limit


# --- statistics ----------------------------------------------------------------------------------


def test_noise_is_normal_where_there_is_ink():
    images = np.full((200, 784), 128, np.uint8)
    images[:, ::2] = 0
    found = Augment(noise=30, threshold=0).apply(images)
    assert not found[:, ::2].any()
    noise = found[:, 1::2].astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=0.3)
    assert noise.std() == pytest.approx(30, rel=0.01)
    assert np.mean(noise**4) / noise.var() ** 2 == pytest.approx(2.7, abs=0.05)  # 3, if normal
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.02
    assert Augment(noise=200, threshold=0).apply(images)[:, 1::2].max() == 255


def test_pixels_below_the_threshold_are_paper():
    images = patterns(50)
    assert np.any((AFFINE.apply(images) > 0) & (images < 24))
    found = AFFINE.apply(images)
    assert found[found > 0].min() == 24
    assert found.max() > 200


def test_displacements_are_those_of_smoothed_pixel_noise():
    moved = displacements(Augment(elastic=24), keys_of(0, 0, 0, 2000), 28)
    deviation = 24 / (math.sqrt(12 * math.pi) * 6)
    assert moved.std(axis=(0, 1)) == pytest.approx(deviation, rel=0.1)
    assert moved.std() == pytest.approx(deviation, rel=0.01)
    # Noise smoothed by a Gaussian is correlated as exp(-d^2 / (4 sigma^2)) says.
    for distance in (3, 6, 12):
        expected = math.exp(-(distance**2) / 144)
        for axis in (2, 3):
            a = np.moveaxis(moved, axis, 0)
            found = np.mean(a[distance:] * a[:-distance]) / moved.var()
            assert found == pytest.approx(expected, abs=0.02)
    assert abs(np.mean(moved[:, 0] * moved[:, 1])) / moved.var() < 0.02


@pytest.mark.parametrize("sigma", [1.0, 3.7, 6.0, 40.0])
def test_weights_are_those_of_a_gaussian(sigma):
    weights, starts = lattice(28, sigma)
    points = (starts[:, None] + np.arange(7) - 3) * sigma
    distance = np.arange(28)[:, None] - points
    assert np.abs(distance).max() <= 3.51 * sigma
    expected = np.exp(-(distance**2) / (2 * sigma**2)) / math.sqrt(2 * math.pi * sigma)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    # The variance is the same everywhere.
    np.testing.assert_allclose(
        (weights**2).sum(axis=1) * sigma, 0.5 / math.sqrt(math.pi), rtol=5e-4
    )


# --- what is given and returned ------------------------------------------------------------------


def test_nothing_chosen_changes_nothing():
    images = patterns(20)
    found = Augment().apply(images)
    np.testing.assert_array_equal(found, images)
    assert not np.shares_memory(found, images)
    # So little noise that none is left: the images go all the way, unmoved.
    np.testing.assert_array_equal(Augment(noise=1e-9, threshold=0).apply(images), images)


def test_forms_of_images():
    images = patterns(5)
    expected = ELASTIC.apply(images)
    images.flags.writeable = False
    np.testing.assert_array_equal(ELASTIC.apply(images), expected)
    np.testing.assert_array_equal(ELASTIC.apply(images.reshape(5, 28, 28)), expected)
    np.testing.assert_array_equal(ELASTIC.apply(images.astype(np.int64)), expected)
    assert ELASTIC.apply(images[:0]).shape == (0, 784)


def test_where_to_write():
    images = patterns(2000)
    expected = ELASTIC.apply(images)
    out = np.empty_like(images)
    assert ELASTIC.apply(images, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert ELASTIC.apply(images, out=images) is images
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.empty((2, 9)), r"uint8 \(2, 9\), not float64 \(2, 9\)"),
        (np.empty((3, 9), np.uint8), r"uint8 \(2, 9\), not uint8 \(3, 9\)"),
        (np.empty((9, 2), np.uint8).T, "C-contiguous"),
        (np.frombuffer(bytes(18), np.uint8).reshape(2, 9), "read-only"),
        ([0], "not list"),
    ],
)
def test_memory_that_cannot_be_written_to(out, message):
    with pytest.raises(ValueError, match=message):
        AFFINE.apply(np.zeros((2, 9), np.uint8), out=out)


def test_memory_that_overlaps():
    memory = np.zeros((3, 9), np.uint8)
    with pytest.raises(ValueError, match="overlaps"):
        AFFINE.apply(memory[:2], out=memory[1:])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 9), np.float32), "float32, but augmentation works on bytes"),
        (np.zeros((2, 10), np.uint8), "images of 10 pixels are not square"),
        (np.zeros((2, 2, 8), np.uint8), "images of 2 x 8 pixels are not square"),
        (np.full((2, 9), 256), "pixel 256 in row 0"),
        (np.zeros(9, np.uint8), "newaxis"),
        (np.zeros((1, (MOST_SIDE + 1) ** 2), np.uint8), "up to 1024"),
    ],
)
def test_images_that_are_refused(images, message):
    with pytest.raises(DataError, match=message):
        AFFINE.apply(images)


@pytest.mark.parametrize("name", ["seed", "epoch", "first"])
def test_counters_are_whole_numbers(name):
    images = np.zeros((1, 9), np.uint8)
    with pytest.raises(TypeError, match=f"{name} must be a whole number, not 1.0"):
        AFFINE.apply(images, **{name: 1.0})
    with pytest.raises(ValueError, match=f"{name} must be at least 0 and below"):
        AFFINE.apply(images, **{name: -1})


@pytest.mark.parametrize("threads", [0, -1, 10_000])
def test_threads_out_of_range(threads):
    with pytest.raises(ValueError, match=f"threads={threads}, but between 1 and"):
        AFFINE.apply(np.zeros((1, 9), np.uint8), threads=threads)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("rotation", 181, ValueError, "rotation must be from 0 to 180, not 181"),
        ("scale", -0.1, ValueError, "scale must be from 0 to 0.5, not -0.1"),
        ("shear", math.nan, ValueError, "shear must be from 0 to 1, not nan"),
        ("shift", math.inf, ValueError, "shift"),
        ("elastic_sigma", 0.5, ValueError, "elastic_sigma must be from 1 to 1000"),
        ("threshold", 256, ValueError, "threshold must be from 0 to 255"),
        ("threshold", 1.5, TypeError, "threshold must be a whole number"),
        ("noise", "much", TypeError, "noise must be a number, not 'much'"),
        ("elastic", True, TypeError, "elastic must be a number, not True"),
    ],
)
def test_amounts_are_checked(name, value, error, message):
    with pytest.raises(error, match=message):
        Augment(**{name: value})


def test_names():
    assert augment("affine") is AFFINE
    assert augment("elastic") is ELASTIC
    assert augment(AFFINE) is AFFINE
    assert augment(None) is None
    with pytest.raises(ValueError, match="'Affine'; choose one of 'affine', 'elastic'"):
        augment("Affine")
    with pytest.raises(TypeError, match="'affine', 'elastic', an Augment or None, not 7"):
        augment(7)


def test_numba_is_loaded_only_when_images_are_augmented(output_of):
    program = (
        "import sys\nfrom fastdigit.data import AFFINE, Augment\nprint('numba' in sys.modules)"
    )
    assert output_of(program) == ["False"]
