"""Threads: as many as are allowed, the same bits from any of them, and no harm from forks."""

import importlib.util
import os

import numpy as np
import pytest

from fastdigit import processors
from fastdigit.jit import njit
from fastdigit.kernels.parallel import run
from fastdigit.threads import available_threads

LAYERS = ["omp", "workqueue"]
if importlib.util.find_spec("tbb"):
    LAYERS.append("tbb")

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")


# --- how many ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {}, None),
        ("0::/", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/", {"cpu.max": "max 100000\n"}, None),
        ("0::/", {"cpu.max": "garbage"}, None),
        ("0::/", {"cpu.max": "0 0"}, None),
        ("0::/a/b", {"a/b/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "5000 10000"}, 0.5),
        ("0::/a", {"b/cpu.max": "100000 100000"}, None),
        # A container sees its own group at the mount, whatever the name of it.
        ("0::/system.slice/docker-1.scope", {"cpu.max": "200000 100000"}, 2),
        ("0::/../../other", {"cpu.max": "200000 100000"}, 2),
        ("0::/a:b", {"a:b/cpu.max": "100000 50000"}, 2),
        (
            "4:cpu,cpuacct:/job",
            {"cpu/job/cpu.cfs_quota_us": "250000\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
            2.5,
        ),
        (
            "4:cpuacct,cpu:/job",
            {"cpuacct,cpu/cpu.cfs_quota_us": "100000", "cpuacct,cpu/cpu.cfs_period_us": "100000"},
            1,
        ),
        (
            "1:cpu:/job\n0::/",
            {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"},
            None,
        ),
        (
            "1:cpuset:/\n0::/job",
            {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"},
            None,
        ),
        ("1:name=systemd:/\n0::/job", {"unified/job/cpu.max": "300000 100000"}, 3),
        ("", {"cpu.max": "200000 100000"}, None),
        ("nonsense\n", {}, None),
    ],
)
def test_quota(groups, files, expected, tmp_path):
    mount, process = tmp_path / "mount", tmp_path / "process"
    process.mkdir()
    (process / "cgroup").write_text(groups)
    for name, content in files.items():
        file = mount / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    assert processors.quota(mount, process) == expected


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert processors.quota(tmp_path, tmp_path / "none") is None


@pytest.mark.parametrize(
    ("quota", "expected"), [(None, 64), (2.0, 2), (2.9, 2), (0.3, 1), (128.0, 64)]
)
def test_a_quota_is_rounded_down(quota, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(processors, "quota", lambda: quota)
    assert processors.allowed() == expected


ONE_PROCESSOR = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from fastdigit import Network, fit
from fastdigit.threads import available_threads
data = np.zeros((3, 2), np.uint8), [0, 1, 0]
history = fit(Network([2, 2]), data, iterations=1, progress=False)
print(available_threads(), history.threads)
"""


@needs_affinity
@pytest.mark.parametrize(("given", "expected"), [(None, "1 1"), ("3", "3 3")])
def test_affinity_counts_unless_a_number_is_given(given, expected, output_of):
    assert output_of(ONE_PROCESSOR, environment={"NUMBA_NUM_THREADS": given}) == [expected]


# --- who does what -------------------------------------------------------------------------------


@njit()
def _note(done, by, _c, _d, _e, _f, _g, piece, thread):
    """Count how often a piece is done, and by whom: a kernel."""
    done[piece] += 1
    by[piece] = thread


@pytest.mark.parametrize("pieces", [0, 1, 3, 64])
@pytest.mark.parametrize("count", [1, available_threads()])
def test_each_piece_is_done_once_by_a_thread_that_exists(pieces, count):
    for _ in range(50):
        done, by = np.zeros(64, np.int64), np.full(64, -1)
        run(_note, [done, by], pieces, count)
        assert done.tolist() == [1] * pieces + [0] * (64 - pieces)
        assert set(by[:pieces]) <= set(range(count))


def test_the_number_of_threads_of_other_code_stays(output_of):
    program = """
import threading
import numba
import numpy as np
from fastdigit import Network
network = Network([2, 2])
numba.set_num_threads(2)
network.predict(np.zeros((100, 2), np.uint8), threads=3)
print(numba.get_num_threads())
def other():
    numba.set_num_threads(1)
    network.predict(np.zeros((100, 2), np.uint8), threads=3)
    print(numba.get_num_threads())
thread = threading.Thread(target=other)
thread.start()
thread.join()
print(numba.get_num_threads())
"""
    assert output_of(program, environment={"NUMBA_NUM_THREADS": "3"}) == ["2", "1", "2"]


# --- forks and Python's own threads --------------------------------------------------------------

WORK = """
import json, multiprocessing, os, signal, sys, threading, time, zlib
from concurrent.futures import ProcessPoolExecutor
import numba
import numpy as np
from fastdigit import Network, fit, make_digits

def crc(array):
    return zlib.crc32(np.ascontiguousarray(array).tobytes())

def work(threads=None):
    data = make_digits(400, seed=1)
    network = Network([784, 10, 10], seed=0)
    history = fit(network, data, validation=data, iterations=4, threads=threads, progress=False)
    assert network.accuracy(data.images, data.labels, threads=threads) == history.final_accuracy
    return [
        crc(data.images), crc(network.parameters), crc(network.predict_proba(data.images)),
        history.threads,
    ]

def forked(function, seconds=60):
    # Ends a child that hangs: its exit code is then that of a signal.
    pid = os.fork()
    if pid == 0:
        signal.alarm(seconds)
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@needs_fork
@pytest.mark.parametrize("layer", LAYERS)
def test_a_forked_child_works_with_one_thread(layer, output_of):
    program = """
expected = work()

def child():
    for threads in (None, 2, 1):
        *bits, used = work(threads)
        assert bits == expected[:3] and used == 1
    assert forked(lambda: work(2)) == 0  # a grandchild

print(forked(child))
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    print(json.dumps(pool.map(work, [None, 2, 1])))
with ProcessPoolExecutor(2, mp_context=context) as pool:
    print(json.dumps(list(pool.map(work, [None, 2, 1]))))
assert work() == expected
print(json.dumps(expected), numba.threading_layer())
"""
    environment = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    lines = output_of(WORK + program, environment=environment)
    assert lines[3].endswith(f"2] {layer}")
    child = lines[3].replace(f"2] {layer}", "1]")
    assert lines[:3] == ["0", f"[{child}, {child}, {child}]", f"[{child}, {child}, {child}]"]


@needs_fork
def test_a_child_forked_before_any_work_has_threads_of_its_own(output_of):
    program = """
def child():
    assert work()[3] == 2
    assert forked(lambda: work()) == 0

print(forked(child))
assert work()[3] == 2
"""
    assert output_of(WORK + program, environment={"NUMBA_NUM_THREADS": "2"}) == ["0"]


@pytest.mark.parametrize("layer", LAYERS)
def test_python_threads_train_at_once(layer, output_of):
    program = """
results = []
# The first calls start Numba's threads and load the kernels: that is at once, too.
together = [threading.Thread(target=lambda: results.append(work())) for _ in range(8)]
together += [threading.Thread(target=lambda: results.append(work(1)[:3] + [2]))]
for thread in together:
    thread.start()
for thread in together:
    thread.join()
assert len(results) == 9
assert results == [work()] * 9, results
print(numba.threading_layer())
"""
    environment = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    assert output_of(WORK + program, environment=environment) == [layer]


@needs_fork
@pytest.mark.parametrize("layer", LAYERS)
def test_forks_while_other_threads_train_and_compile(layer, output_of):
    program = """
expected = work()
stop = False

def train():
    while not stop:
        work()

def compile():
    while not stop:
        numba.njit(lambda x: x + 1)(1)

others = [threading.Thread(target=target) for target in (train, train, compile)]
for thread in others:
    thread.start()

def child():
    assert work()[:3] == expected[:3]
    assert numba.njit(lambda x: x + 2)(1) == 3

codes = {forked(child) for _ in range(10)}
stop = True
for thread in others:
    thread.join()
print(codes)
"""
    environment = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    assert output_of(WORK + program, environment=environment) == ["{0}"]
