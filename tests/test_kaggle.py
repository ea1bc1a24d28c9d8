"""Kaggle's CSV: read exactly, or refused with the line that is wrong."""

import gzip
import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdigit.data import kaggle, load_data
from fastdigit.data.csv_parser import parse_lines
from fastdigit.errors import DataError

FEATURES = 5


def table(rows, features=FEATURES, seed=0):
    """Rows with a label first; half of the pixels are zero, and 0, 9, 10, 99, 100, 255 occur."""
    random = np.random.default_rng(seed)
    pixels = random.choice([0, 0, 0, 0, 9, 10, 99, 100, 255, 37], size=(rows, features))
    return np.column_stack([np.arange(rows) % 10, pixels])


def csv(rows, end="\n", names=None):
    """The text of a table, in Kaggle's layout."""
    rows = np.asarray(rows)
    if names is None:
        names = ["label", *(f"pixel{i}" for i in range(rows.shape[1] - 1))]
    lines = [",".join(names)] if names else []
    lines += [",".join(map(str, row)) for row in rows.tolist()]
    return "".join(line + end for line in lines).encode()


def write(folder, content, name="train.csv"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture(params=[None, 64, 100])
def block_bytes(request, monkeypatch):
    """Read in blocks so small that lines are cut between them, too."""
    if request.param:
        monkeypatch.setattr(kaggle, "BLOCK_BYTES", request.param)
    return request.param


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_kaggle_layout(tmp_path, end, mark, pack, block_bytes):
    rows = table(40)
    data = load_data(write(tmp_path, pack(mark + csv(rows, end))))
    np.testing.assert_array_equal(data.images, rows[:, 1:])
    np.testing.assert_array_equal(data.labels, rows[:, 0])
    assert data.source.endswith("train.csv")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("features", [1, 2, 784])
def test_numpy_and_pandas_agree(tmp_path, end, features):
    text = csv(table(50, features), end)
    data = load_data(write(tmp_path, text))
    by_numpy = np.loadtxt(io.BytesIO(text), delimiter=",", skiprows=1, dtype=np.int64)
    by_pandas = pd.read_csv(io.BytesIO(text))
    np.testing.assert_array_equal(data.images, by_numpy[:, 1:])
    np.testing.assert_array_equal(data.labels, by_numpy[:, 0])
    np.testing.assert_array_equal(data.images, by_pandas.drop(columns="label"))
    np.testing.assert_array_equal(data.labels, by_pandas["label"])


def test_every_byte_and_leading_zeros(tmp_path):
    rows = np.column_stack([np.arange(256), np.arange(256)[::-1]])
    data = load_data(write(tmp_path, csv(rows)))
    assert data.labels.tolist() == list(range(256))
    assert data.images[:, 0].tolist() == list(range(255, -1, -1))
    assert load_data(write(tmp_path, b"label,pixel0\n007,00\n")).labels.tolist() == [7]


def test_test_set_without_labels(tmp_path):
    rows = table(7)[:, 1:]
    names = [f"pixel{i}" for i in range(FEATURES)]
    data = load_data(write(tmp_path, csv(rows, names=names), "test.csv"))
    assert data.labels is None
    np.testing.assert_array_equal(data.images, rows)


@pytest.mark.parametrize(
    ("names", "label_column", "label"),
    [
        (list("abcdef"), "first", 0),
        (list("abcdef"), "last", 5),
        (list("abcdef"), "c", 2),
        (list("abcdef"), 3, 3),
        (list("abcdef"), -1, 5),
        (list("abcdef"), None, None),
        (["Label", *"bcdef"], "auto", 0),
        ([*"abcde", "label"], "label", 5),
        ([], "first", 0),
        ([], "last", 5),
        ([], 2, 2),
        ([], None, None),
    ],
)
def test_columns_as_the_caller_says(tmp_path, names, label_column, label, block_bytes):
    rows = table(30)
    path = write(tmp_path, csv(rows, names=names))
    data = load_data(path, header=bool(names), label_column=label_column)
    pixels = rows if label is None else np.delete(rows, label, axis=1)
    np.testing.assert_array_equal(data.images, pixels)
    if label is None:
        assert data.labels is None
    else:
        np.testing.assert_array_equal(data.labels, rows[:, label])


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {}, "line 1: holds numbers where the names.*header=False"),
        ([], {"header": False}, "without a header nothing shows"),
        ([], {"header": False, "label_column": "label"}, "no column is named 'label'"),
        (list("abcdef"), {}, "no column is named label"),
        ([*"abcde", "label"], {}, "column 6: is the label, not the first"),
        (list("abcdef"), {"label_column": "x"}, "no column is named 'x'"),
        (list("abcdef"), {"label_column": 6}, "label_column is 6, but there are 6"),
        (list("abcdef"), {"label_column": -7}, "label_column is -7"),
        (list("abcdea"), {"label_column": 0}, "column 6: the name 'a' occurs twice"),
        (['"label"', *"abcde"], {}, "column 1: .* is not a plain name"),
        (["label", " b", *"cdef"], {}, "column 2: ' b' is not a plain name"),
        (["label", "", *"cdef"], {}, "column 2: '' is not a plain name"),
        (["label", "pixel0", "pixel2", "pixel1", "pixel3", "pixel4"], {}, "pixel2 comes after"),
        (["label\0", *"bcdef"], {}, "line 1: holds bytes that are no text"),
        (["label;a;b"], {}, "separated by ';'"),
        (["label\ta\tb"], {}, "tabs"),
        (["label"], {}, "no column of pixels"),
    ],
)
def test_headers_that_are_refused(tmp_path, names, options, message):
    path = write(tmp_path, csv(table(3), names=names))
    with pytest.raises(DataError, match=message) as caught:
        load_data(path, **options)
    assert str(path) in str(caught.value)


GOOD = "1,2,3,4,5,6"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,4,5", r"has 5 cell\(s\), expected 6"),
        ("1,2,3,4,5,6,7", r"has 7 cell\(s\), expected 6"),
        ("1,2,3,4,5,6,", r"has 7 cell\(s\), expected 6"),
        ("1,2,x,4,5,6", r"column 3 \(pixel1\): 'x' is not a number"),
        ("1,2,,4,5,6", r"column 3 \(pixel1\): the cell is empty"),
        ("1,2,3,4,5,", r"column 6 \(pixel4\): the cell is empty"),
        ("1,2,300,4,5,6", r"column 3 \(pixel1\): '300' is too large"),
        ("1,2,256,4,5,6", "'256' is too large"),
        ("1,2,3,4,5,256", "'256' is too large"),
        ("1,2,0000,4,5,6", "'0000' is too large or has too many digits"),
        ("1,2,44444444444444444444444444,4,5,6", "'44444444444444444444...' is too large"),
        ("256,2,3,4,5,6", r"column 1 \(label\): '256' is too large"),
        ("1,2,-1,4,5,6", "'-1' is negative"),
        ("1,2,0.5,4,5,6", "'0.5' is a fraction"),
        ("1,2,1e2,4,5,6", "'1e2' is not a number"),
        ("1,2,+3,4,5,6", "'.3' is not a number"),
        ("1,2, 3,4,5,6", "' 3' has spaces"),
        ("1,2,3 ,4,5,6", "'3 ' has spaces"),
        ('1,2,"3",4,5,6', "is in quotes"),
        ("1;2;3;4;5;6", "separated by ';'"),
        ("label,pixel0,pixel1,pixel2,pixel3,pixel4", "is the header again"),
        ("1,2,\0,4,5,6", "NUL"),
        ("", "is empty"),
        ("1,2,\u0663,4,5,6", "is not a number"),
        ("1,2,3\r,4,5,6", "has spaces around it"),
        ("nan,2,3,4,5,6", r"\(label\): 'nan' is not a number"),
    ],
)
@pytest.mark.parametrize("place", [0, 9, 19])
def test_lines_that_are_refused(tmp_path, line, message, place, block_bytes):
    lines = csv(table(20)).decode().splitlines()
    lines.insert(1 + place, line)
    path = write(tmp_path, ("\n".join(lines) + "\n").encode())
    expected = re.escape(f"{path}: line {place + 2}")
    with pytest.raises(DataError, match=f"{expected}.*{message}"):
        load_data(path)


def test_blank_line_at_the_end(tmp_path):
    with pytest.raises(DataError, match="line 5 is empty"):
        load_data(write(tmp_path, csv(table(3)) + b"\n"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_cut_is_noticed(tmp_path, end):
    """No file cut short is read, wherever it was cut; at a line's end nothing can show it."""
    whole = csv(table(3), end)
    for length in range(len(whole)):
        path = write(tmp_path, whole[:length])
        lines = whole[:length].count(b"\n")
        if length and whole[length - 1 : length] == b"\n" and lines > 1:
            assert len(load_data(path)) == lines - 1
            continue
        with pytest.raises(DataError):
            load_data(path)


def test_missing_line_end_may_be_allowed(tmp_path, block_bytes):
    for end in ("\n", "\r\n"):
        rows = table(20)
        path = write(tmp_path, csv(rows, end)[:-1])
        with pytest.raises(DataError, match=r"line 21 .*no line end.*allow_missing_newline"):
            load_data(path)
        data = load_data(path, allow_missing_newline=True)
        np.testing.assert_array_equal(data.images, rows[:, 1:])
    with pytest.raises(DataError, match="line 21"):
        load_data(write(tmp_path, csv(rows)[:-4]), allow_missing_newline=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"\n", "line 1: is empty"),
        (csv(table(0)), "no line of pixels"),
        (csv(table(0))[:-1], "no line of pixels"),
        ("label,pixel0\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"label,pixel0\r1,2\r", "CR alone"),
        (b"label,\xffpixel0\n1,2\n", "not UTF-8"),
        (b"label,pixel0" * 400_000, "line 1 is longer than"),
        (b"label,pixel0\n" + b"1," * 4_000_000, "line 2 is longer than"),
    ],
)
def test_files_that_are_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        load_data(write(tmp_path, content))


def test_the_first_fault_of_many_is_named(tmp_path, block_bytes):
    lines = csv(table(60)).decode().splitlines()
    for place in (50, 20, 33):
        lines[place] = "x"
    with pytest.raises(DataError, match="line 21 "):
        load_data(write(tmp_path, "\n".join(lines).encode()))


def test_line_that_fills_a_block_to_its_last_byte(tmp_path, monkeypatch):
    """The line end lies in the next block; what follows must not be lost."""
    monkeypatch.setattr(kaggle, "BLOCK_BYTES", 23)
    path = write(tmp_path, b"a,b,c,d,e,f\n100,100,100,100,100,100\n1,1,1,1,1,1\n")
    for allowed in (False, True):
        with pytest.raises(DataError, match="line 2 is longer than 23 bytes"):
            load_data(path, label_column=0, allow_missing_newline=allowed)


@pytest.mark.parametrize("length", [20, 100, -1, -5, -9])
def test_damaged_gzip(tmp_path, length):
    content = gzip.compress(csv(table(2000)))
    with pytest.raises(DataError, match="damaged or cut short"):
        load_data(write(tmp_path, content[:length]))


def test_flipped_gzip_checksum(tmp_path):
    content = bytearray(gzip.compress(csv(table(50))))
    content[-6] ^= 1
    with pytest.raises(DataError, match="damaged"):
        load_data(write(tmp_path, bytes(content)))


def test_gzip_bomb_stops_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(kaggle, "MOST_UNPACKED_BYTES", 1 << 20)
    monkeypatch.setattr(kaggle, "BLOCK_BYTES", 1 << 16)
    bomb = gzip.compress(b"label,pixel0\n" + b"0,0\n" * 1_000_000)
    assert len(bomb) < 20_000
    with pytest.raises(DataError, match="unpacks to more than"):
        load_data(write(tmp_path, bomb))


VALID = csv(table(6, 3), "\r\n")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_mutated_files_are_right_or_refused(tmp_path_factory, data):
    """What is accepted, numpy reads in the same way."""
    content = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        kind = data.draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
        byte = data.draw(st.sampled_from(b'0129,\n\r;-. "x\0\xef'))
        if kind == "insert" or not content:
            content.insert(place, byte)
        elif kind == "replace":
            content[place] = byte
        elif kind == "delete":
            del content[place]
        else:
            del content[max(place, 1) :]
    path = tmp_path_factory.getbasetemp() / "mutated.csv"
    path.write_bytes(content)
    try:
        read = load_data(path)
    except DataError:
        return
    body = io.BytesIO(bytes(content).split(b"\n", 1)[1])
    expected = np.loadtxt(body, delimiter=",", dtype=np.int64, ndmin=2)
    assert expected.min() >= 0
    assert expected.max() <= 255
    columns = [expected] if read.labels is None else [expected[:, 1:]]
    np.testing.assert_array_equal(read.images, columns[0])
    if read.labels is not None:
        np.testing.assert_array_equal(read.labels, expected[:, 0])


def test_parser_twin_in_python():
    """The compiled parser and the Python it was compiled from stop at the same bytes."""
    texts = [b"1,22,255\n0,0,0\r\n", b"1,2\n", b"1,2,3,4\n", b"1,2,256\n", b"1,2,3\nx", b",,\n"]
    for text in texts:
        text = text if text.endswith(b"\n") else text + b"\n"
        array = np.frombuffer(text, np.uint8)
        one, other = (np.zeros((len(text) // 6 + 1, 3), np.uint8) for _ in range(2))
        with np.errstate(over="ignore"):
            plain = parse_lines.py_func(one, array)
        assert tuple(map(int, plain)) == tuple(map(int, parse_lines(other, array)))
        np.testing.assert_array_equal(one, other)
