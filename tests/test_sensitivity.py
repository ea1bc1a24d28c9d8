"""The script that plants a slowdown: what it plants, and that it publishes what it found."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastdigit.measure.contenders import CONTENDERS, Task

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def sensitivity(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    import sensitivity

    return sensitivity


def test_extra_work_is_in_proportion(sensitivity):
    images = np.ones((50, 784), np.uint8)
    task = Task(images, (np.arange(50) % 10).astype(np.uint8), (784, 10, 10), 0, 0.1, 1)
    make, own = CONTENDERS["reference-f32"], []

    def watched(task):
        contender = make(task)
        step = contender.step

        def timed(iterations):
            began = time.perf_counter()
            turn = step(iterations)
            own.extend([time.perf_counter() - began] * iterations)
            return turn

        contender.step = timed
        return contender

    usual, slowed = make(task), sensitivity.Slower(task, watched, 1.0)
    turn = slowed.step(20)
    same = usual.step(20)
    assert turn.loss == same.loss
    assert np.array_equal(slowed.parameters(), usual.parameters())
    assert len(turn.seconds) == len(own) == 20
    assert all(total >= 2 * alone for total, alone in zip(turn.seconds, own, strict=True))


def question(kind, verdict, seconds=9.0):
    ratio = {"median": 0.95, "rounds": 20, "paired": {"median": 0.95, "low": 0.94, "high": 0.96}}
    found = {"name": kind, "verdict": verdict, "ratio": ratio}
    found["turns"] = {"nanoseconds": [1] * 30, "disturbed": []}
    return {
        "name": f"{kind}, run 1",
        "noise_floor": 0.01,
        "busy": None,
        "parameters": {"wall_seconds": seconds},
        "contenders": [{"name": "base"}, found],
    }


@pytest.mark.parametrize(
    ("called", "alarms", "longest", "said"),
    [
        (57, 2, 60, "**Kept.**"),
        (56, 2, 60, "**Not kept.**"),
        (57, 3, 60, "**Not kept.**"),
        (57, 2, 61, "**Not kept.**"),
    ],
)
def test_what_is_promised(sensitivity, monkeypatch, called, alarms, longest, said):
    import contest

    monkeypatch.setattr(contest, "machine_facts", lambda document: [])
    slowed = [question("slowed", "slower")] * called + [question("slowed", None)] * (60 - called)
    same = [question("same", "faster", longest)] * alarms
    same += [question("same", "too close to call")] * (60 - alarms)
    settings = {"contender": "x", "threads": 1, "share": 0.05, "runs": 60}
    settings |= {"width": 0.01, "seconds": 45}
    document = {"settings": settings, "data": {"images": 1}, "questions": slowed + same}
    page = "\n".join(sensitivity.page(document))
    assert said in page
    assert f"**{called} of 60**" in page
    assert f"**{alarms} of 60**" in page


def test_command(tmp_path):
    words = ("--runs", 1, "--seconds", 1, "--images", 100, "--contender", "reference-f32")
    done = subprocess.run(
        [sys.executable, BENCH / "sensitivity.py", *map(str, words), "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "results.json").read_text())
    slowed, same = document["questions"]
    assert [q["contenders"][1]["name"] for q in (slowed, same)] == ["slowed", "same"]
    for q in (slowed, same):
        turns = q["contenders"][1]["turns"]
        assert len(turns["nanoseconds"]) >= 20
        assert min(turns["nanoseconds"]) > 1000
        assert set(turns["disturbed"]) <= set(range(len(turns["nanoseconds"])))
        assert q["contenders"][1]["check"]["difference"] < 1e-5
        assert q["again"]["ratio"]
    page = (tmp_path / "README.md").read_text()
    assert "slowed, run 1: " in page
    assert str(tmp_path) not in page
