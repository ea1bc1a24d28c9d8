"""Tables and pictures, also of odd and hostile results."""

import io

import numpy as np
import pytest
from PIL import Image

from fastdigit.reporting import pictures
from fastdigit.reporting.comparison import doubts, headline, report, rows, terminal
from fastdigit.reporting.tables import escape, markdown_table, pairs, text_table

HOSTILE = "<script>alert(1)</script> | [x](javascript:y) `z` *b*\nnext"


def record(name="numba-f32", ratio=40.0, **more):
    return {
        "name": name,
        "dtype": "float32",
        "compile_seconds": 0.0,
        "training_seconds": 1.0,
        "milliseconds_median": 2.0,
        "ratio": ratio,
        "milliseconds_quartiles": [1.9, 2.1],
        "ratio_quartiles": [39.0, 41.0],
        "accuracy_training": 0.5,
        "accuracy_held_out": 0.25,
        "weight_difference": None,
        "threading_layer": None,
        "rounds": [{"milliseconds_median": 2.0}] * 4,
        **more,
    }


def document(**more):
    return {
        "settings": {
            "threads": 2,
            "sizes": [784, 10, 10],
            "init": "uniform",
            "seed": 0,
            "iterations": 10,
            "iterations_a_turn": 5,
            "learning_rate": 0.1,
            "command": "fastdigit compare",
        },
        "data": {
            "source": HOSTILE,
            "rows": 9,
            "training": 8,
            "held_out": 1,
            "fingerprint": "0123456789abcdef0123",
        },
        "machine": {
            "date": "2000-01-01",
            "system": "Linux",
            "cpu": {
                "model": "CPU | fast",
                "cores_allowed": 2,
                "vectors": [],
                "caches": {},
                "hypervisor": None,
                "governor": "unknown",
            },
            "memory": {"total_gb": None, "available_gb": None},
            "load_average": None,
            "versions": {"python": "3", "numba": None},
            "blas": {"name": "b", "version": "1"},
            "git_revision": None,
        },
        "verdict": {"agrees": True, "sentences": ["Same accuracy."]},
        "contenders": [record("notebook", 1.0), record()],
        **more,
    }


def png(figure, path):
    pictures.save(figure, path)
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def test_text_table():
    table = text_table(("name", "ms"), [["a", "1.50"], ["longer", "22.00"]])
    assert table.splitlines() == [
        "name       ms",
        "------  -----",
        "a        1.50",
        "longer  22.00",
    ]
    assert text_table(("a", "b"), []).splitlines()[0] == "a  b"


def test_markdown_table_holds_what_is_in_it():
    lines = markdown_table(("name", "ms"), [[HOSTILE, "1"]]).splitlines()
    assert lines[:2] == ["| name | ms |", "| --- | ---: |"]
    (line,) = lines[2:]
    assert "<" not in line
    assert line.replace("\\|", "").count("|") == 3
    assert markdown_table(("a", "b"), [], numbers=False).endswith("| --- | --- |")


def test_escape():
    assert escape("a_b <i> & | `c` [d]") == "a\\_b &lt;i&gt; &amp; \\| \\`c\\` \\[d\\]"


def test_pairs():
    assert pairs([("a", "1"), ("long", "2\n3")]) == "a     1\nlong  2\n      3"
    assert pairs([]) == ""


def test_report_of_a_hostile_document():
    found = report(document(), [("Times", "times.png")])
    assert "<script>" not in found
    assert "CPU \\| fast" in found
    assert "![Times](times.png)" in found
    assert "numba-f32 trains 40.0 times as fast as the notebook" in found
    assert "39.0 to 41.0" in found


def test_terminal_table_is_no_wider_than_a_terminal():
    wide = record("reference-f64", 0.1234, weight_difference=1.2e-13, training_seconds=1234.5)
    lines = terminal(document(contenders=[record("notebook", 1.0), wide])).splitlines()
    assert max(map(len, lines)) <= 120
    assert "1.2e-13" in lines[3]


def test_headline_without_the_notebook():
    assert "not compared" in headline(document(contenders=[record(ratio=None)]))
    assert rows(document(contenders=[record(ratio=None)]))[0][6] == "-"


def test_doubts():
    assert doubts(document()) == []
    scattered = document(contenders=[record(milliseconds_quartiles=[1.0, 3.0])])
    assert "numba-f32 took 1 to 3 ms" in doubts(scattered)[0]
    busy = document()
    busy["machine"]["load_average"] = [2.5, 0.0, 0.0]
    assert "load average 2.5 on 2 cores" in doubts(busy)[0]
    assert doubts(busy)[0] in terminal(busy)
    assert doubts(busy)[0] in report(busy, [])


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("length", [0, 1, 20])
def test_learning_curves(timed, length, tmp_path):
    values = [1 / (step + 1) for step in range(length)]
    seconds = [step + 1.0 for step in range(length)] if timed else []
    curves = [
        pictures.Curve(name, range(length), values, values, seconds) for name in ("a", "b", "c")
    ]
    assert png(pictures.learning_curves(curves, "title"), tmp_path / "p.png")[1] > 300


@pytest.mark.parametrize("count", [1, 9])
def test_time_bars(count, tmp_path):
    bars = [pictures.Bar(f"contender {i}", i + 1.0, [i + 0.9, i + 1.3], "x") for i in range(count)]
    assert png(pictures.time_bars(bars, "title"), tmp_path / "p.png")[0] > 600


@pytest.mark.parametrize("count", [1, 7])
def test_predictions_grid(count, tmp_path):
    images = np.zeros((count, 784), np.uint8)
    labels = np.zeros(count, np.uint8)
    figure = pictures.predictions_grid(images, labels, np.arange(count) % 2, "title")
    assert png(figure, tmp_path / "p.png")[0] > 600


@pytest.mark.parametrize("shape", [(10, 784), (1, 784), (3, 10)])
def test_weight_images(shape, tmp_path):
    weights = np.linspace(-1, 1, shape[0] * shape[1]).reshape(shape)
    assert png(pictures.weight_images(weights, "title"), tmp_path / "p.png")[0] > 600


def test_weights_that_are_all_zero(tmp_path):
    assert png(pictures.weight_images(np.zeros((2, 784)), "title"), tmp_path / "p.png")


@pytest.mark.parametrize("classes", [2, 10, 47])
def test_confusion_matrix(classes, tmp_path):
    counts = np.arange(classes**2).reshape(classes, classes)
    assert png(pictures.confusion_matrix(counts, "title"), tmp_path / "p.png")[0] > 500
    nothing = np.zeros((classes, classes), np.int64)
    assert png(pictures.confusion_matrix(nothing, "title"), tmp_path / "q.png")


def test_save_leaves_nothing_beside_it(tmp_path):
    class Broken:
        def savefig(self, file: io.BytesIO, **more):
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        pictures.save(Broken(), tmp_path / "p.png")
    assert list(tmp_path.iterdir()) == []
