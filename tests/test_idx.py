"""IDX files: read exactly, or refused with what the file really is."""

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdigit.data import load_data
from fastdigit.data.idx import read_idx
from fastdigit.data.signature import describe
from fastdigit.errors import DataError

IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"


def idx(array):
    """The bytes of an IDX file."""
    array = np.asarray(array, np.uint8)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def images(rows=5, side=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, side, side), np.uint8)


def labels(rows=5):
    return (np.arange(rows) % 10).astype(np.uint8)


def write_folder(folder, pack=bytes, end="", names=(IMAGES, LABELS)):
    (folder / (names[0] + end)).write_bytes(pack(idx(images())))
    (folder / (names[1] + end)).write_bytes(pack(idx(labels())))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        (IMAGES, LABELS),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte"),
    ],
)
@pytest.mark.parametrize(("pack", "end"), [(bytes, ""), (gzip.compress, ".gz")])
def test_folder_and_file_of_images_give_the_same(tmp_path, names, pack, end):
    write_folder(tmp_path, pack, end, names)
    for path in (tmp_path, tmp_path / (names[0] + end)):
        data = load_data(path)
        np.testing.assert_array_equal(data.images, images().reshape(5, 16))
        np.testing.assert_array_equal(data.labels, labels())
        assert names[0] in data.source


@pytest.mark.parametrize("prefix", ["t10k", "test", "emnist-digits-test"])
def test_test_set_of_a_folder(tmp_path, prefix):
    names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    write_folder(tmp_path, names=names)
    assert len(load_data(tmp_path, subset="test")) == 5
    with pytest.raises(DataError, match=r"images of the train set are missing; found"):
        load_data(tmp_path)


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    write_folder(tmp_path, gzip.compress, end="")
    assert len(load_data(tmp_path)) == 5
    (tmp_path / (LABELS + ".gz")).write_bytes(idx(labels()))
    (tmp_path / LABELS).unlink()
    assert len(load_data(tmp_path)) == 5


def test_unpacked_file_is_taken_before_the_packed_one(tmp_path):
    write_folder(tmp_path)
    (tmp_path / (IMAGES + ".gz")).write_bytes(gzip.compress(idx(images(seed=1))))
    np.testing.assert_array_equal(load_data(tmp_path).images, images().reshape(5, 16))


def test_several_data_sets_in_a_folder(tmp_path):
    write_folder(tmp_path)
    names = ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte")
    write_folder(tmp_path, names=names)
    with pytest.raises(DataError, match=r"several data sets \(emnist-letters, MNIST's own\)"):
        load_data(tmp_path)
    assert len(load_data(tmp_path / names[0])) == 5


def test_images_alone_only_when_asked(tmp_path):
    path = tmp_path / IMAGES
    path.write_bytes(idx(images()))
    with pytest.raises(DataError, match=rf"neither {LABELS} nor .*label_column=None"):
        load_data(path)
    assert load_data(path, label_column=None).labels is None
    other = path.rename(tmp_path / "digits.idx")
    with pytest.raises(DataError, match=r"digits\.idx: .*label_column=None"):
        load_data(other)
    assert len(load_data(other, label_column=None)) == 5


def test_labels_given_as_images(tmp_path):
    write_folder(tmp_path)
    with pytest.raises(DataError, match="give the file of images"):
        load_data(tmp_path / LABELS)
    with pytest.raises(DataError, match=r"holds 1 dimension\(s\)"):
        load_data(tmp_path / LABELS, label_column=None)
    (tmp_path / LABELS).write_bytes(idx(images()))
    with pytest.raises(DataError, match="labels have 1"):
        load_data(tmp_path)


def test_counts_that_differ(tmp_path):
    write_folder(tmp_path)
    (tmp_path / LABELS).write_bytes(idx(labels(4)))
    with pytest.raises(DataError, match=rf"{IMAGES} holds 5 images, but .*{LABELS} holds 4"):
        load_data(tmp_path)


def test_no_images(tmp_path):
    path = tmp_path / IMAGES
    path.write_bytes(idx(images(0)))
    with pytest.raises(DataError, match="holds no image"):
        load_data(path, label_column=None)
    path.write_bytes(idx(images(5, 0)))
    with pytest.raises(DataError, match=rf"{IMAGES}: .*no pixel"):
        load_data(path, label_column=None)


@pytest.mark.parametrize("array", [[1, 2, 3], [[1, 2], [3, 4]], np.zeros((2, 3, 2, 2), np.uint8)])
def test_any_dimensions(tmp_path, array):
    path = tmp_path / "array"
    path.write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"\n <!DOCTYPE html><p>403", "an HTML page"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x80\x04\x95", "a Python pickle"),
        (b"label,pixel0\n", "text that begins with 'label,pixel0"),
        (b"\x93NUMPY\x01\x00", "a NumPy .npy array"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture"),
        (b"\x03\x08\x00\x00abcdefgh", "unknown data that begins with the bytes 03 08 00 00"),
        (b"\x00\x00\x07\x03" + bytes(20), "unknown data"),
        (b"\x00\x00\x0d\x03" + bytes(20), "byte 2 says that this IDX file holds float32"),
        (b"\x00\x00\x08\x00" + bytes(20), "byte 3 states 0 dimensions"),
        (b"\x00\x00\x08\xff" + bytes(20), "byte 3 states 255 dimensions"),
        (b"\x00\x00\x08", "IDX|unknown data"),
        (b"\x00\x00\x08\x03\x00\x00\x00\x01\x00", "ends at byte 9, inside the header of 16"),
        (idx(images())[:-1], r"sizes 5 x 4 x 4, that is 80 bytes, but .* 79"),
        (idx(images()) + b"\0", "data end at byte 96, but the file goes on"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + bytes(784), "4294967295 x 4294967295 x 4294967295"),
        (b"\0\0\x08\x01" + b"\xff" * 4 + bytes(784), "that is 4294967295 bytes"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_that_are_refused(tmp_path, content, message, pack):
    path = tmp_path / "digits"
    path.write_bytes(pack(content))
    tracemalloc.start()
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert str(path) in str(caught.value)
    with pytest.raises(DataError):
        load_data(path, label_column=None)


def test_gzip_inside_gzip(tmp_path):
    path = tmp_path / IMAGES
    path.write_bytes(gzip.compress(gzip.compress(idx(images()))))
    with pytest.raises(DataError, match="this is gzip data"):
        read_idx(path)
    with pytest.raises(DataError, match=r"inside its gzip data this is gzip data.*once"):
        load_data(path)


@pytest.mark.parametrize("length", range(0, 100, 9))
def test_cut_gzip(tmp_path, length):
    path = tmp_path / IMAGES
    path.write_bytes(gzip.compress(idx(images()))[:length])
    with pytest.raises(DataError):
        load_data(path, label_column=None)


def test_wrong_gzip_checksum(tmp_path):
    content = bytearray(gzip.compress(idx(images())))
    content[-5] ^= 16
    path = tmp_path / IMAGES
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged or cut short"):
        read_idx(path)


def test_gzip_bomb_is_not_unpacked(tmp_path):
    """100 MB of zeros after five images: only what the header states is unpacked."""
    path = tmp_path / IMAGES
    path.write_bytes(gzip.compress(idx(images()) + bytes(100_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="data end at byte 96, but the file goes on"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6


def test_more_than_memory_is_refused_before_it_is_allocated(tmp_path):
    """A file of 64 TB that takes no space on the disk."""
    path = tmp_path / IMAGES
    side = 1 << 15
    path.write_bytes(b"\0\0\x08\x03" + struct.pack(">3I", 1 << 16, side, side))
    try:
        os.truncate(path, 16 + (side * side << 16))
    except OSError:
        os.truncate(path, 16)
    with pytest.raises(DataError, match=r"GB of memory|but the file holds"):
        read_idx(path)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_mutated_files_are_right_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mutated-idx"
    pack = data.draw(st.sampled_from([bytes, gzip.compress]))
    content = bytearray(pack(idx(images(3, 2))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["replace", "insert", "cut"]))
        if kind == "replace":
            content[place] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            content.insert(place, data.draw(st.integers(0, 255)))
        else:
            del content[max(place, 1) :]
    path.write_bytes(content)
    try:
        read = read_idx(path)
    except DataError:
        return
    plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else bytes(content)
    assert idx(read) == plain


def test_descriptions():
    assert describe(b"%PDF-1.7") == "a PDF document"
    assert describe(b"\xef\xbb\xbflabel,").startswith("text")
    assert describe(b"<?xml ?>") == "XML or HTML text"


@pytest.mark.skipif(not os.environ.get("FASTDIGIT_DATA"), reason="FASTDIGIT_DATA is not set")
def test_real_mnist():
    folder = os.environ["FASTDIGIT_DATA"]
    train, test = load_data(folder), load_data(folder, subset="test")
    assert train.images.shape == (60_000, 784)
    assert test.images.shape == (10_000, 784)
    assert train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert test.labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert np.count_nonzero(train.images) == 8_994_156
