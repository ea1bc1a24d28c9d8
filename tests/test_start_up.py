"""What starts cost, each in a process of its own."""

import pytest

from fastdigit.measure.start_up import STARTERS, TRIVIAL, Starter, cold, start
from fastdigit.measure.suites.start_up import LEFT_OUT, SHOWN, starters


def test_without_a_cache_and_with_one(tmp_path):
    starter = STARTERS[TRIVIAL]
    first = start(starter, tmp_path, 1)
    compiled = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    later = start(starter, tmp_path, 1)
    assert compiled
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")} == compiled
    assert 0 < later.first_seconds < first.first_seconds
    for found in (first, later):
        assert found.import_seconds > 0
        assert found.import_seconds + found.first_seconds < found.process_seconds


def test_the_first_iteration_is_part_of_it():
    found = cold(STARTERS["reference-f64"], 1)
    assert found.first_seconds > 0


def test_failures_are_told(tmp_path):
    missing = Starter("none", "float32", "no_such_package")
    assert not missing.installed
    assert not Starter("none", "float32", "no_such.package").installed
    assert all(starter.installed for starter in STARTERS.values())
    with pytest.raises(ChildProcessError, match="No module named 'no_such_package'"):
        start(missing, tmp_path, 1)


def test_who_is_started():
    assert list(starters(peers=False)) == list(SHOWN)
    everyone = starters(peers=True)
    assert {"PyTorch", "JAX"} <= {starter.library for starter in everyone.values()}
    assert everyone.keys().isdisjoint(LEFT_OUT)
