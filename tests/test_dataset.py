"""Dataset, and the forms of images and labels that are accepted in memory."""

import hashlib
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdigit.data import Dataset, as_images, as_labels
from fastdigit.errors import DataError


def numbered(rows, features=6):
    """Each row can be told from every other."""
    images = np.arange(rows * features).reshape(rows, features) % 251
    return Dataset(images.astype(np.uint8), (np.arange(rows) % 10).astype(np.uint8), "numbered")


def test_images_of_two_dimensions_each_are_flattened_and_labels_become_bytes():
    images = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 256
    data = Dataset(images, [3, 4])
    assert data.images.shape == (2, 784)
    assert data.images.dtype == data.labels.dtype == np.uint8
    assert data.images.flags.c_contiguous
    np.testing.assert_array_equal(data.images[1], images[1].ravel())
    assert data.source == "memory"
    assert len(data) == 2


def test_matching_memory_is_not_copied():
    images = np.zeros((3, 4), np.uint8)
    assert np.shares_memory(Dataset(images).images, images)


def test_different_counts_are_both_named():
    with pytest.raises(DataError, match="5 images but 4 labels"):
        Dataset(np.zeros((5, 4), np.uint8), np.zeros(4, np.uint8))


def test_floats_are_refused_with_a_hint():
    with pytest.raises(DataError, match=r"float32.*fit"):
        Dataset(np.full((5, 4), 255, np.float32))
    with pytest.raises(DataError, match="do not form an array"):
        Dataset([[1, 2], [3]])


@given(rows=st.integers(1, 60), dev=st.integers(0, 59), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_split_keeps_each_row_once(rows, dev, seed):
    data = numbered(rows)
    if dev >= rows:
        with pytest.raises(DataError, match=f"hold out {dev} of {rows} rows"):
            data.split(dev, seed)
        return
    train, held_out = data.split(dev, seed)
    assert (len(train), len(held_out)) == (rows - dev, dev)
    both = np.column_stack(
        [
            np.concatenate([train.images, held_out.images]),
            np.concatenate([train.labels, held_out.labels]),
        ]
    )
    before = np.column_stack([data.images, data.labels])
    assert sorted(map(bytes, both)) == sorted(map(bytes, before))


def test_split_is_the_same_for_ever():
    train, dev = numbered(10).split(dev=3, seed=42)
    # RandomState(42).permutation(10), frozen by NumPy.
    assert dev.labels.tolist() == [8, 1, 5]
    assert train.labels.tolist() == [0, 7, 2, 9, 4, 3, 6]


def test_split_of_unlabelled_data():
    train, dev = Dataset(np.zeros((5, 4), np.uint8)).split(dev=2)
    assert train.labels is None
    assert dev.labels is None


@pytest.mark.parametrize("dev", [-1, 10, 1000, 1.5, "3", None])
def test_impossible_split(dev):
    with pytest.raises(DataError, match=f"{dev!r} of 10"):
        numbered(10).split(dev=dev)


def test_head():
    data = numbered(10)
    assert len(data.head(3)) == 3
    assert len(data.head(99)) == 10
    assert np.shares_memory(data.head(3).images, data.images)
    with pytest.raises(DataError, match="-1"):
        data.head(-1)


def test_fingerprint_depends_on_shape_images_and_labels():
    images = np.arange(12, dtype=np.uint8)
    several = [
        Dataset(images.reshape(3, 4)),
        Dataset(images.reshape(4, 3)),
        Dataset(images[::-1].reshape(4, 3)),
        Dataset(images.reshape(4, 3), [0, 1, 2, 3]),
        Dataset(images.reshape(4, 3), [0, 1, 2, 4]),
    ]
    assert len({data.fingerprint for data in several}) == len(several)
    again = Dataset(images.reshape(4, 3).copy(), [0, 1, 2, 3], source="elsewhere")
    assert again.fingerprint == several[3].fingerprint
    assert len(again.fingerprint) == hashlib.sha256().digest_size * 2


def test_summary_names_missing_classes_density_and_memory():
    data = Dataset(np.array([[0, 0, 0, 200], [0, 0, 100, 0]]), [7, 7], "a test")
    text = str(data)
    assert "a test" in text
    assert "2 x 4" in text
    assert "7: 2; missing: 0, 1, 2, 3, 4, 5, 6, 8, 9" in text
    assert "25.0% are not zero, mean 37.50" in text
    assert "MB" in text
    assert "no labels" in Dataset(data.images).summary()
    assert repr(data) == "<Dataset: 2 labelled images of 4 pixels from a test>"
    assert "none" in numbered(5).split(0)[1].summary()


def test_dataset_is_frozen():
    with pytest.raises(AttributeError):
        numbered(3).images = None


# Images


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64, ">i4"])
def test_integers_are_bytes(dtype):
    images = as_images(np.array([[0, 255], [7, 8]]).astype(dtype))
    assert images.dtype == np.uint8
    assert images.tolist() == [[0, 255], [7, 8]]


@pytest.mark.parametrize("value", [300, -1, 256, 2**40])
def test_integers_outside_bytes_are_refused_with_their_place(value):
    images = np.zeros((4, 5), np.int64)
    images[2, 3] = value
    with pytest.raises(DataError, match=f"pixel {value} in row 2, column 3"):
        as_images(images)


def test_floats_stay_as_they_are():
    for dtype in (np.float32, np.float64):
        images = np.random.default_rng(0).random((3, 4)).astype(dtype)
        assert np.shares_memory(as_images(images), images)
        assert as_images(images).dtype == dtype
    assert as_images(np.ones((2, 2), np.float16)).dtype == np.float32
    assert as_images(np.ones((2, 2), np.longdouble)).dtype == np.float32
    assert as_images(np.ones((2, 2), ">f8")).dtype == np.float64


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_first_number_that_is_not_finite_is_named(value, dtype):
    images = np.zeros((4, 5), dtype)
    images[2, 3] = images[3, 0] = value
    with pytest.raises(DataError, match="in row 2, column 3 is not a finite number"):
        as_images(images)


def test_unscaled_floats_give_a_warning():
    with pytest.warns(UserWarning, match="largest pixel is 255.*divide them by 255"):
        as_images(np.full((2, 2), 255.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_images(np.full((2, 2), 1.5))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros(784, np.uint8), r"\(784,\).*newaxis"),
        (np.zeros((2, 3, 4, 5), np.uint8), r"\(2, 3, 4, 5\)"),
        (np.zeros((5, 0), np.uint8), "no pixel"),
        (np.zeros((2, 2), bool), "bool.*255"),
        (np.array([["1", "2"]]), "no pixel values"),
        (np.array([[1, None]]), "object"),
        (np.zeros((2, 2), complex), "complex"),
        ([[1, 2], [3]], "do not form an array"),
        (None, r"shape \(\)"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(DataError, match=message):
        as_images(images)


def test_pandas_is_accepted():
    frame = pd.DataFrame({"label": [3, 4], "pixel0": [0, 255], "pixel1": [9, 8]})
    assert as_images(frame[["pixel0", "pixel1"]]).tolist() == [[0, 9], [255, 8]]
    assert as_labels(frame["label"]).tolist() == [3, 4]
    assert as_labels(frame[["label"]]).tolist() == [3, 4]


# Labels


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0, 2],
        np.array([1.0, 0.0, 2.0]),
        np.array([[1], [0], [2]]),
        np.eye(3)[[1, 0, 2]],
        np.eye(3, dtype=bool)[[1, 0, 2]],
        np.eye(10, dtype=np.int64)[[1, 0, 2]],
    ],
)
def test_labels_that_are_accepted(labels):
    result = as_labels(labels, classes=3)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    assert result.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0] * 7 + [10], 10, r"label 10 in row 7, but the network has 10 outputs \(0..9\)"),
        ([0, -1], 10, "label -1 in row 1"),
        ([0, 256], None, "label 256 in row 1"),
        ([0.0, 1.5], None, "1.5 in row 1 is not a whole number"),
        ([0.0, np.nan], None, "nan in row 1"),
        ([0.0, np.inf], None, "inf in row 1"),
        (["7", "3"], None, "'7' in row 0"),
        ([True, False], None, "bool"),
        ([[1, 0], [1, 1]], None, "row 1 does not hold a single 1"),
        ([[1, 0], [0, 2]], None, "row 1"),
        ([[1, 0], [1, -1]], None, "row 1"),
        ([["a", "b"]], None, "not one-hot"),
        (np.zeros((2, 2, 2)), None, r"\(2, 2, 2\)"),
        (np.zeros((2, 0)), None, "row 0"),
        (np.eye(300)[[299]], None, "label 299 in row 0"),
        ([[1], [2, 3]], None, "do not form an array"),
    ],
)
def test_labels_that_are_refused(labels, classes, message):
    with pytest.raises(DataError, match=message):
        as_labels(labels, classes)


def test_messages_name_what_the_labels_are():
    with pytest.raises(DataError, match=r"^validation labels: label 9 in row 0"):
        as_labels([9], classes=3, what="validation labels")


def test_importing_data_is_light():
    program = (
        "import sys, fastdigit.data\n"
        "heavy = {'numba', 'pandas', 'matplotlib', 'pooch'} & set(sys.modules)\n"
        "own = [n for n in sys.modules if n.startswith('fastdigit.') "
        "and not n.startswith(('fastdigit.data', 'fastdigit.errors'))]\n"
        "assert not heavy and not own, (heavy, own)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
