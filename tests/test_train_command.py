"""bench/train_command.py: it runs, and what it writes names no person and no place."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def bench(folder, data, *words):
    """Run the benchmark in a folder."""
    return subprocess.run(
        [sys.executable, str(ROOT / "bench" / "train_command.py"), str(data), *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return the folder with the results of two short rounds, and what was printed."""
    folder = tmp_path_factory.mktemp("bench")
    random = np.random.RandomState(0)
    labels = np.arange(1300) % 10
    patterns = 200 * (np.arange(784) % 10 == np.arange(10)[:, None])
    images = (patterns[labels] + random.randint(0, 20, (1300, 784))).astype(np.uint8)
    np.savez(folder / "digits.npz", images=images, labels=labels)
    done = bench(
        folder, folder / "digits.npz", "--rounds", "2", "--iterations", "3", "--out", "out"
    )
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


def test_results(measured):
    folder, printed = measured
    document = json.loads((folder / "results.json").read_text())
    found, runs = document["findings"], document["runs"]
    assert list(runs) == ["notebook as a script", "fastdigit train"]
    for several in runs.values():
        assert len(several) == 2
        assert len({(run["training"], run["held_out"]) for run in several}) == 1
    ours = runs["fastdigit train"]
    assert list(ours[0]["parts"]) == ["start", "load", "prepare", "train", "save", "total"]
    assert found["ratio_range"][0] <= found["ratio_of_medians"] <= found["ratio_range"][1]
    assert found["unaccounted_median"] <= found["unaccounted_largest"] < 0.5
    assert document["data"]["rows"] == 1300
    assert "round 2/2" in printed
    assert f"notebook {found['ratio_of_medians']:.1f} times as long" in printed


def test_report(measured):
    folder, _ = measured
    text = (folder / "README.md").read_text()
    for part in ("start", "load", "prepare", "train", "save"):
        assert re.search(rf"\| {part} \| \d+\.\d{{3}} \| \d+\.\d{{3}} \| \d+\.\d% \|", text)
    assert "is in none of them" in text


def test_neither_hosts_nor_places_are_named(measured):
    folder, _ = measured
    for name in ("results.json", "README.md"):
        text = (folder / name).read_text()
        for place in (ROOT, folder.parent, sys.prefix):
            assert str(place) not in text
        assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)


def test_different_results_are_not_timed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import train_command as command

    same = command.Run(1.0, 1.0, {}, 80.0, 79.0)
    command.check_agreement({"a": same, "b": same._replace(held_out=78.9)})
    with pytest.raises(SystemExit, match="do not learn the same"):
        command.check_agreement({"a": same, "b": same._replace(held_out=70.0)})
