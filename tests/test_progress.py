"""What a person sees while a network is trained."""

import io
import sys

import pytest

from fastdigit import progress
from fastdigit.history import History, Validation


def told(reporter, iterations, validation=False):
    """Report so many iterations, as training does."""
    history = History("numpy", "floats", None)
    with reporter as report:
        for iteration in range(iterations):
            if validation:
                history.validation.append(Validation(iteration, 1.0, 0.123456))
            history.loss.append(2.0 - iteration / 100)
            history.accuracy.append(iteration / 100)
            history.seconds.append(1.0)
            report(history)
    return history


def test_describe():
    history = told(progress.silence(), 3)
    assert progress.describe(history) == {"loss": "1.9800", "accuracy": "0.0200"}
    history.validation.append(Validation(3, 1.0, 0.98765))
    assert progress.describe(history)["dev"] == "0.9877"


def test_lines_every_so_many_iterations_and_at_the_end(capsys):
    told(progress.lines(8, 3), 8)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "iteration     0/8  loss 2.0000  accuracy 0.0000  7 s left",
        "iteration     3/8  loss 1.9700  accuracy 0.0300  4 s left",
        "iteration     6/8  loss 1.9400  accuracy 0.0600  1 s left",
        "iteration     7/8  loss 1.9300  accuracy 0.0700  0 s left",
    ]


def test_lines_with_validation(capsys):
    told(progress.lines(1, 1), 1, validation=True)
    assert "dev 0.1235" in capsys.readouterr().err


def test_bar_ends_with_the_last_scores(capsys):
    told(progress.bar(40), 40, validation=True)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.split("\r")[-1]
    assert "training: 100%" in last
    assert "40/40" in last
    assert "loss=1.6100, accuracy=0.3900, dev=0.1235" in last


def test_bar_is_closed_when_training_stops_early(capsys):
    def fail():
        with progress.bar(10) as report:
            report(History("numpy", "floats", None, [1.0], [0.5], [0.1]))
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert capsys.readouterr().err.endswith("\n")


def test_silence(capfd):
    told(progress.silence(), 5)
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "watched"), [
    (Terminal(), True),
    (io.StringIO(), False),
    (None, False),
])  # fmt: skip
def test_interactive(stream, watched, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    assert progress.interactive() is watched
