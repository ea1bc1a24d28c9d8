"""What a person sees while a network is trained."""

import io
import sys

import pytest

from fastdigit import progress
from fastdigit.history import History, Validation


def told(reporter, iterations, validation=False, final=True):
    """Report so many iterations, as training does."""
    history = History("numpy", "floats", None)
    with reporter as report:
        for iteration in range(iterations):
            if validation:
                history.validation.append(Validation(iteration, 1.0, 0.123456))
            history.loss.append(2.0 - iteration / 100)
            history.accuracy.append(iteration / 100)
            history.seconds.append(1.0)
            history.steps += 1
            report(history)
        if final:
            if validation:
                history.validation.append(Validation(iterations, 1.0, 0.98765))
            history.final_loss, history.final_accuracy = 0.25, 0.75
            report(history, finished=True)
    return history


def test_describe():
    history = told(progress.silence(), 3, final=False)
    assert progress.describe(history) == {"loss": "1.9800", "accuracy": "0.0200"}
    history = told(progress.silence(), 3, validation=True)
    assert progress.describe(history) == {"loss": "0.2500", "accuracy": "0.7500", "dev": "0.9877"}


def test_lines_every_so_many_iterations_and_at_the_end(capsys):
    told(progress.lines(8, 3), 8)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "iteration     0/8  loss 2.0000  accuracy 0.0000  7 s left",
        "iteration     3/8  loss 1.9700  accuracy 0.0300  4 s left",
        "iteration     6/8  loss 1.9400  accuracy 0.0600  1 s left",
        "iteration     8/8  loss 0.2500  accuracy 0.7500  0 s left",
    ]


@pytest.mark.parametrize("unit", ["iteration", "epoch"])
@pytest.mark.parametrize("together", [1, 2, 4, 7])
def test_no_line_is_left_out_or_said_twice(together, unit, capsys):
    """Reports come after one record, then after several at a time; of epochs, more often."""
    history = History("numpy", "floats", None, unit=unit)
    expected = []
    for begin, end in ((0, 20), (20, 31)):
        with progress.lines(31, 5) as report:
            if unit == "epoch":
                report(history)
            while len(history) < end:
                first = len(history)
                steps = 1 if first == begin else min(together, end - first)
                history.extend([(2 - n / 100, n / 100) for n in range(first, first + steps)], 1.0)
                report(history)
                report(history)
        marks = range(begin, end, 5) if unit == "iteration" else range(begin + 5, end + 1, 5)
        if unit == "epoch" and begin:
            marks = [begin, *marks]
        expected += [(mark, mark - (unit == "epoch")) for mark in marks]
    found = [line.split()[:6] for line in capsys.readouterr().err.splitlines()]
    assert found == [
        f"{unit} {mark}/31 loss {2 - n / 100:.4f} accuracy {n / 100:.4f}".split()
        for mark, n in expected
    ]


def test_lines_with_validation(capsys):
    told(progress.lines(1, 1), 1, validation=True)
    first, last = capsys.readouterr().err.splitlines()
    assert "dev 0.1235" in first
    assert "dev 0.9877" in last


def test_no_iterations(capsys):
    told(progress.lines(0, 1), 0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("iteration     0/0  loss 0.2500")
    told(progress.bar(0), 0)
    assert "loss=0.2500" in capsys.readouterr().err


def test_bar_ends_with_the_last_scores(capsys):
    told(progress.bar(40), 40, validation=True)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.split("\r")[-1]
    assert "training: 100%" in last
    assert "40/40" in last
    assert "loss=0.2500, accuracy=0.7500, dev=0.9877" in last


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
