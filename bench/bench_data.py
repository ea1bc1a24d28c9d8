"""How long do reading a CSV file, drawing digits and splitting a data set take?"""

import numpy as np
import pandas as pd
import pytest

import fastdigit as fd


@pytest.fixture(scope="session")
def table(tmp_path_factory, digits, timing):
    """Return the path of a Kaggle train.csv, and the digits in it."""
    data = digits.head(42_000 if timing else 300)
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    columns = ["label", *(f"pixel{i}" for i in range(data.images.shape[1]))]
    rows = np.column_stack([data.labels, data.images])
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path, data


def read_with_pandas(path):
    rows = pd.read_csv(path, dtype=np.uint8).to_numpy()
    return rows[:, 1:], rows[:, 0]


def read_with_fastdigit(path):
    data = fd.load_data(path)
    return data.images, data.labels


@pytest.mark.parametrize("reader", [read_with_pandas, read_with_fastdigit])
def bench_csv(benchmark, table, reader):
    path, data = table
    images, labels = reader(path)
    assert np.array_equal(images, data.images)
    assert np.array_equal(labels, data.labels)
    benchmark.group = f"read a CSV file of {len(data)} images"
    benchmark.pedantic(reader, args=(path,), rounds=5, iterations=1, warmup_rounds=1)


def bench_make_digits(benchmark, timing):
    count = 60_000 if timing else 200
    assert np.array_equal(fd.make_digits(count).images[:100], fd.make_digits(100).images)
    benchmark.group = f"draw {count} digits"
    benchmark.pedantic(fd.make_digits, args=(count,), rounds=3, iterations=1)


def bench_split(benchmark, digits):
    dev = len(digits) // 10
    train, held_out = digits.split(dev=dev)
    assert len(train) + len(held_out) == len(digits)
    benchmark.group = f"split {len(digits)} images"
    benchmark.pedantic(digits.split, kwargs={"dev": dev}, rounds=5, iterations=1)
