"""Where the time of `fastdigit train` went: parts that add up, seen from inside and outside."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastdigit.cli import timing
from fastdigit.cli.timing import Parts, since_process_start

ROOT = Path(__file__).parents[1]


def seconds(line):
    """Return the seconds of each part in a line of parts."""
    return {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+) s\b", line)}


def test_each_part_is_timed_on_its_own():
    parts = Parts()
    parts.add("start", since_process_start())
    with parts.part("load"):
        time.sleep(0.02)
    parts.add("train", 0.25)
    parts.add("train", 0.5)
    time.sleep(0.05)
    found = seconds(parts.describe())
    assert list(found) == ["start", "load", "train", "total"]
    assert 0.02 <= found["load"] < 0.05
    assert found["train"] == 0.75
    assert found["total"] >= found["start"] + 0.07 - 0.002


def test_what_no_part_covers_is_said(monkeypatch):
    monkeypatch.setattr(timing, "since_process_start", lambda: 2.0)
    parts = Parts()
    parts.add("load", 1.5)
    assert parts.describe() == "load 1.500 s, total 2.000 s (25.0% in none of these parts)"


def test_a_part_that_fails_is_timed_too():
    parts = Parts()
    with pytest.raises(KeyError), parts.part("load"):
        raise KeyError
    assert "load" in seconds(parts.describe())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_start_of_the_process_is_known(output_of):
    program = "from fastdigit.cli.timing import since_process_start; print(since_process_start())"
    began = time.perf_counter()
    (line,) = output_of(f"import time; time.sleep(0.3); {program}")
    assert 0.3 < float(line) < time.perf_counter() - began + 0.02


@pytest.mark.parametrize("content", [None, "", "1 (python) S", "1 (a b) S " + "9" * 30 + " 0" * 40])
def test_elsewhere_time_counts_from_the_import(content, monkeypatch):
    def read_text(path):
        if content is None:
            raise FileNotFoundError(path)
        return content

    monkeypatch.setattr(timing.Path, "read_text", read_text)
    monkeypatch.setattr(timing.time, "clock_gettime", lambda clock: 0.0)
    monkeypatch.setattr(timing, "_IMPORTED", time.perf_counter() - 5)
    assert 5 <= since_process_start() < 6


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_parts_cover_the_whole_process(backend, tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (3000, 784)).astype(np.uint8)
    np.savez(tmp_path / "digits.npz", images=images, labels=np.arange(3000) % 10)
    words = ["train", tmp_path / "digits.npz", "--iterations", "30", "--dev", "500", "--quiet"]
    words += ["--backend", backend, "--save-model", tmp_path / "m.safetensors"]
    words += ["--plot", tmp_path / "p.png"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "fastdigit", *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    took = time.perf_counter() - began
    *_, last = done.stdout.splitlines()
    parts = seconds(last)
    total = parts.pop("total")
    assert list(parts) == ["start", "load", "prepare", "train", "save"]
    assert all(value > 0 for value in parts.values())
    assert abs(total - sum(parts.values())) < 0.03 * total + 0.01
    # What is left is the end of the process, and the noise of a busy machine.
    assert -0.02 < took - sum(parts.values()) < 0.03 * took + 0.3
