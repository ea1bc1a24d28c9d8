"""Looking at the machine: quickly, leaving nothing behind, and seeing what there is to see."""

import os
import subprocess
import sys
import threading
import time

import pytest

from fastdigit.measure import idle
from fastdigit.measure.idle import RECENT, State, Steal, Watch


@pytest.fixture(scope="module")
def watch():
    return Watch()


class TestLook:
    def test_a_share_of_the_fastest(self, watch):
        speeds = [watch.look().speed for _ in range(20)]
        assert all(0 < speed <= 1 for speed in speeds)

    def test_no_thread_is_left(self, watch):
        before = threading.active_count()
        watch.look()
        assert threading.active_count() == before
        used = time.process_time()
        time.sleep(0.1)
        assert time.process_time() - used < 0.02

    def test_affinity_stays(self, watch):
        os = pytest.importorskip("os")
        if not hasattr(os, "sched_getaffinity"):
            pytest.skip("no affinity here")
        before = os.sched_getaffinity(0)
        watch.look()
        assert os.sched_getaffinity(0) == before

    def test_sees_other_processes(self, watch):
        if watch.look().others is None:
            pytest.skip("nothing tells of other processes here")
        program = "while True: pass"
        busy = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
        try:
            time.sleep(0.2)
            found = [watch.look().others for _ in range(5)]
        finally:
            for process in busy:
                process.kill()
                process.wait()
        assert max(found) >= 2


class TestWait:
    def test_no_longer_than_that(self, watch, monkeypatch):
        monkeypatch.setattr(idle, "UNDISTURBED", 2.0)
        began = time.monotonic()
        state = watch.wait(0.3)
        assert 0.1 < time.monotonic() - began < 3
        assert state.disturbance

    def test_returns_at_once_when_idle(self, watch, monkeypatch):
        monkeypatch.setattr(idle, "UNDISTURBED", 0.0)
        monkeypatch.setattr(idle, "_spare", lambda: 10**6)
        began = time.monotonic()
        assert watch.wait(60).disturbance is None
        assert time.monotonic() - began < 10


class TestState:
    def test_words(self):
        spare = idle._spare()
        assert State(1.0, spare).disturbance is None
        assert State(1.0, None).disturbance is None
        assert State(1.0, spare + 2).disturbance == f"{spare + 2} other processes running"
        assert State(0.5, 0).disturbance == "a processor at 0.50 of its full speed"


STAT = """cpu  40 0 0 0 0 0 0 {both} 0 0
cpu0 20 0 0 0 0 0 0 {first} 0 0
cpu1 20 0 0 0 0 0 0 {second} 0 0
procs_running 4
"""


class TestSteal:
    def test_of_the_processors_allowed(self, tmp_path, monkeypatch):
        if idle._stolen() is None:
            pytest.skip("nothing tells of steal here")
        file = tmp_path / "stat"
        monkeypatch.setattr(idle, "STAT", file)
        monkeypatch.setattr(idle.os, "sched_getaffinity", lambda pid: {1})
        file.write_text(STAT.format(both=5, first=3, second=2))
        steal = Steal()
        file.write_text(STAT.format(both=10**6, first=10**6, second=2))
        assert steal.share() == 0
        file.write_text(STAT.format(both=10**9, first=0, second=10**9))
        assert steal.share() == 1

    def test_of_late(self, tmp_path, monkeypatch):
        now = 0.0
        monkeypatch.setattr(idle.time, "monotonic", lambda: now)
        monkeypatch.setattr(idle.processors, "allowed", lambda: 1)
        stolen = 0
        monkeypatch.setattr(idle, "_stolen", lambda: stolen)
        steal = Steal()
        now, stolen = 0.5 * RECENT, 1
        assert steal.recent() is None
        tick = 1 / os.sysconf("SC_CLK_TCK")
        now, stolen = 1.0 * RECENT, 2
        assert steal.recent() == pytest.approx(2 * tick / RECENT)
        # What lies further back counts no longer.
        now = 1.5 * RECENT
        assert steal.recent() == pytest.approx(1 * tick / RECENT)
        now = 10 * RECENT
        assert steal.recent() == 0.0

    def test_where_nothing_tells(self, tmp_path, monkeypatch, watch):
        monkeypatch.setattr(idle, "STAT", tmp_path / "none")
        assert Steal().share() is None
        assert watch.look().others is None
        (tmp_path / "none").write_text("cpu0 1 2\n")
        assert Steal().share() is None
