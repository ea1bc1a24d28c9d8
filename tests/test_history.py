"""History: its length, its CSV file and its picture."""

import csv

import matplotlib
import numpy as np
import pytest

from fastdigit import History, Network, fit
from fastdigit.history import Validation

matplotlib.use("Agg")


def example(validation=True):
    history = History("numba", "dense", 2)
    history.loss = [2.5, 1.25, 0.1]
    history.accuracy = [0.1, 0.5, 1 / 3]
    history.seconds = [0.01, 0.02, 0.03]
    if validation:
        history.validation = [Validation(0, 2.0, 0.25), Validation(2, 1.5, 0.5)]
        history.validation.append(Validation(3, 1.0, 0.75))
    return history


def test_length_is_the_number_of_iterations():
    assert len(example()) == 3
    assert len(History("numpy", "floats", None)) == 0


def test_csv_has_a_line_for_each_iteration_and_one_after_the_last(tmp_path):
    path = tmp_path / "history.csv"
    example().to_csv(path)
    assert path.read_bytes().decode() == (
        "iteration,loss,accuracy,seconds,dev_loss,dev_accuracy\n"
        "0,2.5,0.1,0.01,2.0,0.25\n"
        "1,1.25,0.5,0.02,,\n"
        "2,0.1,0.3333333333333333,0.03,1.5,0.5\n"
        "3,,,,1.0,0.75\n"
    )


def test_csv_without_validation_and_without_iterations(tmp_path):
    path = tmp_path / "history.csv"
    example(validation=False).to_csv(path)
    assert len(path.read_text().splitlines()) == 4
    History("numpy", "floats", None).to_csv(str(path))
    assert path.read_text() == "iteration,loss,accuracy,seconds,dev_loss,dev_accuracy\n"


def test_csv_of_a_training_holds_its_exact_numbers(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (30, 6)).astype(np.uint8)
    data = images, np.arange(30) % 3
    history = fit(Network([6, 4, 3]), data, validation=data, iterations=5, every=2, progress=False)
    path = tmp_path / "history.csv"
    history.to_csv(path)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows[:-1]] == history.loss
    assert [float(row["accuracy"]) for row in rows[:-1]] == history.accuracy
    assert [row["iteration"] for row in rows if row["dev_loss"]] == ["0", "2", "4", "5"]
    # The data are the same, so are the scores; only whether a gradient follows differs.
    assert all(row["dev_loss"] == row["loss"] for row in rows[:-1] if row["dev_loss"])


@pytest.fixture
def pyplot():
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def lines_of(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}


def test_plot_draws_training_and_held_out_lines(pyplot):
    loss, accuracy = example().plot()
    assert lines_of(loss) == {
        "training": [[0, 2.5], [1, 1.25], [2, 0.1]],
        "held out": [[0, 2], [2, 1.5], [3, 1]],
    }
    assert lines_of(accuracy) == {
        "training": [[0, 10], [1, 50], [2, pytest.approx(100 / 3)]],
        "held out": [[0, 25], [2, 50], [3, 75]],
    }
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == [
        "training",
        "held out",
    ]
    assert loss.get_xlabel() == "iteration"
    assert accuracy.get_ylabel().endswith("(%)")


def test_plot_without_validation_on_given_axes(pyplot):
    given = pyplot.subplots(2, 1)[1]
    axes = example(validation=False).plot((given[0], given[1]))
    assert axes == (given[0], given[1])
    assert [len(lines_of(part)) for part in axes] == [1, 1]
    assert axes[1].get_legend() is None
    assert len(pyplot.get_fignums()) == 1


def test_plot_of_no_iterations(pyplot):
    loss, _ = History("numpy", "floats", None).plot()
    loss.figure.canvas.draw()
