"""NumPy archives: read exactly, or refused; nothing they state is believed."""

import gzip
import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdigit.data import load_data
from fastdigit.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4), np.uint8)
LABELS = np.arange(6, dtype=np.uint8)


def archive(save=np.savez_compressed, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def member(content, name="images.npy", method=zipfile.ZIP_DEFLATED):
    """An archive with one member as given, and good labels."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        packed.writestr(name, content)
    with zipfile.ZipFile(file, "a") as packed:
        array = io.BytesIO()
        np.save(array, LABELS)
        packed.writestr("labels.npy", array.getvalue())
    return file.getvalue()


def npy(header, body=b"", version=b"\x01\x00"):
    text = header.encode() + b"\n"
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text + body


def header(shape, descr="|u1", order=False):
    return f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"


def write(folder, content, name="digits.npz"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["digits.npz", "train.csv"])
def test_images_and_labels(tmp_path, save, pack, name):
    path = write(tmp_path, pack(archive(save, images=IMAGES, labels=LABELS)), name)
    for subset in ("train", "test"):
        data = load_data(path, subset)
        np.testing.assert_array_equal(data.images, IMAGES.reshape(6, 16))
        np.testing.assert_array_equal(data.labels, LABELS)
    assert load_data(path, label_column=None).labels is None


def test_keras_names(tmp_path):
    content = archive(x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:2], y_test=LABELS[:2])
    path = write(tmp_path, content, "mnist.npz")
    for place in (path, tmp_path):
        assert len(load_data(place)) == 6
        test = load_data(place, subset="test")
        assert len(test) == 2
        assert "x_test" in test.source


@pytest.mark.parametrize("dtype", ["<i8", ">i4", "<u2"])
def test_other_integers_and_orders(tmp_path, dtype):
    images = np.asfortranarray(IMAGES.astype(dtype))
    path = write(tmp_path, archive(images=images, labels=LABELS.astype(np.float32)))
    data = load_data(path)
    np.testing.assert_array_equal(data.images, IMAGES.reshape(6, 16))
    assert data.images.flags.c_contiguous
    np.testing.assert_array_equal(data.labels, LABELS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES}, r"no array labels; it holds images, expected"),
        ({"pictures": IMAGES, "y": LABELS}, r"no array images and no array labels; it holds pic"),
        ({"x_test": IMAGES, "y_test": LABELS}, r"no array x_train and no array y_train"),
        ({}, r"it holds nothing"),
        ({"images": IMAGES, "labels": LABELS[:5]}, r"6 images but 5 labels"),
        ({"images": IMAGES / 255, "labels": LABELS}, r"array images: the images are float64"),
        ({"images": IMAGES + np.int64(300), "labels": LABELS}, r"array images: pixel \d+ in row 0"),
        ({"images": IMAGES.astype(int) - 999, "labels": LABELS}, r"array images: pixel -\d+"),
        ({"images": IMAGES, "labels": LABELS - 0.5}, r"array labels: -0.5 in row 0"),
        ({"images": IMAGES.ravel(), "labels": LABELS}, r"shape \(96,\)"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"holds no image"),
        ({"images": IMAGES > 9, "labels": LABELS}, r"bool"),
        ({"images": IMAGES.astype(str), "labels": LABELS}, r"unlike that of an array of numbers"),
        ({"images": IMAGES.astype("c8"), "labels": LABELS}, r"unlike that of an array of numbers"),
    ],
)
def test_arrays_that_are_refused(tmp_path, arrays, message):
    path = write(tmp_path, archive(**{k: np.asarray(v) for k, v in arrays.items()}))
    with pytest.raises(DataError, match=message) as caught:
        load_data(path)
    assert str(caught.value).count(str(path)) == 1


class Unpickled:
    """Leaves a trace if a pickle of it is ever loaded."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_objects_are_never_loaded(tmp_path):
    content = archive(images=np.array([Unpickled()], dtype=object), labels=LABELS)
    with pytest.raises(DataError, match="unlike that of an array of numbers"):
        load_data(write(tmp_path, content))
    with pytest.raises(DataError, match="a Python pickle, which fastdigit never opens"):
        load_data(write(tmp_path, pickle.dumps(Unpickled(), protocol=4)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(header((1 << 40, 784)), bytes(96)), "states shape"),
        (npy(header((1 << 80, 1 << 80)), bytes(96)), "states shape"),
        (npy(header((-6, -16)), bytes(96)), "unlike that of an array"),
        (npy(header((6, 15)), bytes(96)), "states shape"),
        (npy(header((6, 17)), bytes(96)), "states shape"),
        (npy(header((6, 16), "<f8"), bytes(96)), "states shape"),
        (npy(header((6, 16), "|O"), bytes(96)), "unlike that of an array of numbers"),
        (npy(header((6, 16), "|V1"), bytes(96)), "unlike that of an array of numbers"),
        (npy(header((6, 16)), bytes(96), b"\x09\x00"), "no NPY array of version 1 or 2"),
        (npy("(" * 900, bytes(96)), "unlike that of an array"),
        (npy("-" * 900, bytes(96)), "unlike that of an array"),
        (npy(header((6, 16)) + " " * 5000, bytes(96)), "unlike that of an array"),
        (npy("__import__('os')"), "unlike that of an array"),
        (npy(header("(" + "9," * 400 + ")").replace("((", "("), bytes(96)), "states shape"),
        (b"\x93NUM", "no NPY array"),
        (b"", "an empty file"),
    ],
)
def test_headers_that_lie(tmp_path, content, message):
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        load_data(write(tmp_path, member(content)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_zip_bomb_whose_sizes_agree_is_stopped_by_its_ratio(tmp_path):
    """The archive's directory is made to claim 64 GiB for a few bytes."""
    body = npy(header((1 << 32, 16)), bytes(96))
    content = bytearray(member(body))
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    with pytest.raises(DataError, match="which cannot be"):
        load_data(write(tmp_path, bytes(content)))


def test_member_longer_than_it_claims(tmp_path):
    """The directory claims 96 pixels, the deflated data go on for 10 MB."""
    start = npy(header((6, 16)), bytes(96))
    content = bytearray(member(start + bytes(10_000_000)))
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = len(start).to_bytes(4, "little")
    tracemalloc.start()
    with pytest.raises(DataError, match="damaged"):
        load_data(write(tmp_path, bytes(content)))
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()


def test_methods_without_a_limit_are_refused(tmp_path):
    content = member(npy(header((6, 16)), bytes(96)), method=zipfile.ZIP_LZMA)
    with pytest.raises(DataError, match="packed by a method other"):
        load_data(write(tmp_path, content))


def test_two_arrays_of_one_name(tmp_path):
    file = io.BytesIO(archive(images=IMAGES, labels=LABELS))
    with zipfile.ZipFile(file, "a") as packed:
        packed.writestr("images", b"")
    with pytest.raises(DataError, match="two arrays named images"):
        load_data(write(tmp_path, file.getvalue()))


def test_zip_of_csv(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("train.csv", "label,pixel0\n1,2\n")
    with pytest.raises(DataError, match=r"it holds train\.csv"):
        load_data(write(tmp_path, file.getvalue()))


VALID = archive(np.savez_compressed, images=IMAGES, labels=LABELS)


@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=3
    ),
    cut=st.one_of(st.none(), st.integers(1, len(VALID) - 1)),
)
@settings(max_examples=150, deadline=None)
def test_mutated_archives_are_right_or_refused(tmp_path_factory, changes, cut):
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    content = bytearray(VALID)
    for place, value in changes:
        content[place] = value
    path.write_bytes(content[:cut])
    try:
        data = load_data(path)
    except DataError:
        return
    # A changed byte may be one that no reader looks at; the checksums guard the others.
    np.testing.assert_array_equal(data.images, IMAGES.reshape(6, 16))
    np.testing.assert_array_equal(data.labels, LABELS)
