"""load_data: which reader a path goes to, and what is said when there is none."""

import gzip
import os
import stat

import numpy as np
import pytest

from fastdigit.data import Dataset, default_data, load_data, memory
from fastdigit.data.default import downloaded
from fastdigit.data.download import MNIST, default_folder
from fastdigit.errors import DataError

CSV = b"label,pixel0,pixel1\n3,0,255\n4,7,8\n"
IDX_IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 7, 8])
IDX_LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 4])


def save_npz(path):
    with path.open("wb") as file:
        np.savez(file, images=np.array([[0, 255], [7, 8]], np.uint8), labels=[3, 4])


def save_idx(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(IDX_IMAGES)
    (folder / "train-labels-idx1-ubyte").write_bytes(IDX_LABELS)


def is_expected(data):
    assert isinstance(data, Dataset)
    assert data.images.tolist() == [[0, 255], [7, 8]]
    assert data.labels.tolist() == [3, 4]
    return True


def test_content_decides_not_the_name(tmp_path):
    save_npz(tmp_path / "a.csv")
    (tmp_path / "b.npz").write_bytes(CSV)
    (tmp_path / "c-images.csv").write_bytes(IDX_IMAGES)
    (tmp_path / "c-labels.csv").write_bytes(gzip.compress(IDX_LABELS))
    for name in ("a.csv", "b.npz", "c-images.csv"):
        assert is_expected(load_data(tmp_path / name))
        assert is_expected(load_data(str(tmp_path / name)))
        packed = tmp_path / f"packed-{name}"
        packed.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    (tmp_path / "packed-c-labels.csv").write_bytes(IDX_LABELS)
    for name in ("a.csv", "b.npz", "c-images.csv"):
        assert is_expected(load_data(tmp_path / f"packed-{name}"))


def test_folders(tmp_path):
    for name in ("kaggle", "packed", "numpy", "idx"):
        (tmp_path / name).mkdir()
    (tmp_path / "kaggle" / "train.csv").write_bytes(CSV)
    (tmp_path / "kaggle" / "test.csv").write_bytes(b"pixel0,pixel1\n9,9\n")
    (tmp_path / "packed" / "train.csv.gz").write_bytes(gzip.compress(CSV))
    save_npz(tmp_path / "numpy" / "mnist.npz")
    save_idx(tmp_path / "idx")
    for name in ("kaggle", "packed", "numpy", "idx"):
        assert is_expected(load_data(tmp_path / name))
    test = load_data(tmp_path / "kaggle", subset="test")
    assert test.images.tolist() == [[9, 9]]
    assert test.labels is None


def test_folder_with_several_data_sets(tmp_path):
    save_idx(tmp_path)
    (tmp_path / "train.csv").write_bytes(CSV)
    with pytest.raises(DataError, match=r"several data sets \(train\.csv, train-images-idx3"):
        load_data(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match=r"expected train\.csv, mnist\.npz .* holds nothing"):
        load_data(tmp_path)
    for number in range(20):
        (tmp_path / f"file{number:02}").touch()
    with pytest.raises(DataError, match=r"test\.csv.*file00, .*, file07 and 12 more"):
        load_data(tmp_path, subset="test")
    with pytest.raises(DataError, match=r"train\.csv: does not exist; .* holds file00"):
        load_data(tmp_path / "train.csv")
    with pytest.raises(DataError, match="does not exist; nor does its folder"):
        load_data(tmp_path / "folder" / "train.csv")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        load_data(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes(CSV)
    path.chmod(stat.S_IWUSR)
    with pytest.raises(DataError, match=r"train\.csv: cannot be read: Permission denied"):
        load_data(path)


@pytest.mark.parametrize("subset", ["dev", "", None])
def test_unknown_subset(tmp_path, subset):
    with pytest.raises(DataError, match="expected 'train' or 'test'"):
        load_data(tmp_path, subset=subset)
    with pytest.raises(DataError, match="expected 'train' or 'test'"):
        default_data(subset)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><body>Sign in", "this is an HTML page"),
        (b"\x89HDF\r\n\x1a\n", "this is an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (b"", "this is an empty file"),
        (bytes(100), "expected an IDX file|unknown data"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_other_formats_are_named(tmp_path, content, message, pack):
    path = tmp_path / "train.csv"
    path.write_bytes(pack(content))
    with pytest.raises(DataError, match=message) as caught:
        load_data(path, label_column=None)
    assert str(path) in str(caught.value)


def test_memory_is_asked_first():
    available = memory.available_memory()
    assert available > 1e6
    memory.require_memory(1000, "nothing much")
    with pytest.raises(DataError, match=r"big\.csv would need 1000000\.0 GB of memory, but"):
        memory.require_memory(10**15, "big.csv")


def test_csv_larger_than_memory(tmp_path):
    """A file of a petabyte, or as large as the file system lets it seem."""
    path = tmp_path / "train.csv"
    path.write_bytes(CSV)
    try:
        os.truncate(path, 1 << 50)
    except OSError:
        os.truncate(path, 1 << 43)
    with pytest.raises(DataError, match="GB of memory"):
        load_data(path)


def test_default_is_what_the_environment_names(tmp_path, monkeypatch):
    save_idx(tmp_path)
    monkeypatch.setenv("FASTDIGIT_DATA", str(tmp_path))
    assert is_expected(default_data())
    assert str(tmp_path) in default_data().source
    with pytest.raises(DataError, match=r"test set are missing.*\(named by FASTDIGIT_DATA\)"):
        default_data("test")
    save_npz(tmp_path / "one.npz")
    monkeypatch.setenv("FASTDIGIT_DATA", str(tmp_path / "one.npz"))
    assert is_expected(default_data())
    (tmp_path / "train.csv").write_bytes(CSV)
    monkeypatch.setenv("FASTDIGIT_DATA", str(tmp_path / "train.csv"))
    assert is_expected(default_data())
    with pytest.raises(DataError, match="no test set of its own"):
        default_data("test")


def test_default_is_what_was_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDIGIT_DATA", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = default_folder()
    folder.mkdir(parents=True)
    for name in MNIST:
        assert downloaded() is None
        content = IDX_IMAGES if "images" in name else IDX_LABELS
        (folder / name).write_bytes(gzip.compress(content))
    for subset in ("train", "test"):
        assert is_expected(default_data(subset))
    assert str(folder) in default_data().source


def test_default_without_any_file(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDIGIT_DATA", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    data = default_data("test")
    assert data.images.shape == (10_000, 784)
    assert data.labels.shape == (10_000,)
    assert data.source != "memory"
