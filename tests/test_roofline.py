"""What the machine can do: probes that do what they say, limits by hand, tables and the chart."""

import io
import math
import shutil

import numpy as np
import pytest

from fastdigit import cli
from fastdigit.kernels import Problem, probes
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.transposition import lanes_of
from fastdigit.measure import limits, roofline
from fastdigit.measure.limits import Iteration, Work, dense_limit, sparse_limit
from fastdigit.measure.roofline import Probe, Rates, Roofline
from fastdigit.reporting import roofline as shown

ONE = Rates(
    threads=1,
    clock=2e9,
    multiply_adds={"float32": 64e9, "float64": 32e9},
    loads=4e9,
    updates=2e9,
    bandwidth={"L1": 256e9, "L2": 100e9, "L3": 20e9, "memory": 10e9},
)
TWO = ONE._replace(
    threads=2,
    clock=1.9e9,
    multiply_adds={"float32": 120e9, "float64": 60e9},
    bandwidth={"L1": 512e9, "L2": 200e9, "L3": 40e9, "memory": 12e9},
)
MACHINE = Roofline({"L1": 2**15, "L2": 2**20, "L3": 2**25}, (ONE, TWO))
CLASSIC = Work(1000, 150_000, (784, 10, 10), "float32", 1, 784.0)


def of_ones(elements, dtype=np.float32):
    array = aligned(elements, dtype)
    array.fill(1)
    return array


class TestProbes:
    def test_additions(self):
        assert probes.add_integers(3, 5) == 3 * 5 * probes.ADDITIONS

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("chains", [3, 6, 12])
    def test_multiply_adds(self, dtype, chains):
        lanes = lanes_of(dtype)
        numbers = of_ones(lanes * chains, dtype)
        numbers *= 0.5
        assert probes.multiply_add(numbers, (0,) * chains, 10) == chains * lanes * (0.5 + 10 * 0.25)

    def test_every_row_is_read(self):
        numbers = np.arange(1, 257, dtype=np.float32)
        array = aligned(256, np.float32)
        array[:] = numbers
        rows = numbers.view(np.uint32).reshape(-1, 4, 16)
        once, twice = rows[0].copy(), rows[0].copy()
        for group in rows:
            once ^= group
        expected = once.view(np.float32).sum(dtype=np.float64)
        assert probes.read(array, 1) == pytest.approx(expected)
        # Exclusive or with everything twice changes nothing.
        assert probes.read(array, 2) == twice.view(np.float32).sum()

    def test_update(self):
        array = of_ones(64)
        probes.update(array, 3)
        np.testing.assert_allclose(array, 1 + 3e-6, rtol=1e-6)


class TestMeasuring:
    def test_thread_counts(self):
        expected = {1: [1], 2: [1, 2], 3: [1, 2, 3], 4: [1, 2, 4], 6: [1, 2, 4, 6]}
        assert {most: roofline.thread_counts(most) for most in expected} == expected

    def test_cache_sizes(self, monkeypatch):
        facts = {"L1d": "48K", "L1i": "32K", "L2": "2048K", "L3": "32M"}
        monkeypatch.setattr(roofline, "processor", lambda: {"caches": facts})
        assert roofline.cache_sizes() == {"L1": 48 * 2**10, "L2": 2**21, "L3": 2**25}
        facts.clear()
        assert roofline.cache_sizes() == {"L1": 2**15, "L2": 2**19}
        facts["L1d"] = "nonsense"
        assert roofline.cache_sizes() == {"L1": 2**15, "L2": 2**19}

    def test_regions(self):
        buffer = of_ones(2**18)
        parts = roofline.regions(buffer, 300_000, 2, 2**16)
        assert [len(own) for own in parts] == [2, 2]
        flat = [part for own in parts for part in own]
        assert {part.nbytes for part in flat} == {2**16}
        addresses = [part.ctypes.data - buffer.ctypes.data for part in flat]
        assert addresses == [0, 2**16, 2**19, 2**19 + 2**16]
        assert all(part.size % 64 == 0 for part in flat)

    def test_regions_never_leave_the_buffer(self):
        buffer = of_ones(2**12)
        for threads in (1, 3, 4):
            parts = roofline.regions(buffer, 10**9, threads, 1000)
            ends = [own[-1].ctypes.data + own[-1].nbytes for own in parts]
            assert max(ends) <= buffer.ctypes.data + buffer.nbytes
            assert {part.nbytes for own in parts for part in own} == {768}

    def test_threads_that_work_evenly_add_up(self):
        ends = np.arange(11) / 10
        assert roofline.busiest([ends]) == pytest.approx(10)
        assert roofline.busiest([ends, ends / 2]) == pytest.approx(30)

    def test_only_what_happens_at_once_adds_up(self):
        ends = np.arange(11.0)
        assert roofline.busiest([ends, ends + 100]) == pytest.approx(1)
        # The second thread starts in the middle.
        assert roofline.busiest([ends, ends + 5]) == pytest.approx(2)

    def test_a_moment_of_quiet_is_enough(self):
        steps = np.ones(30)
        steps[[3, 20]] = 50
        assert roofline.busiest([np.cumsum(steps)]) == pytest.approx(1)

    def test_each_thread_makes_its_own_calls_in_turn(self):
        made = [[], []]
        calls = [[lambda own=own, name=name: own.append(name) for name in "ab"] for own in made]
        assert roofline.rate(Probe(("test",), 2.0, calls), 0.0) > 0
        assert ["".join(own) for own in made] == ["ababab"[: roofline.SPAN]] * 2

    def test_processors(self, monkeypatch):
        monkeypatch.setattr(roofline.os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
        assert roofline.processors(2) == [{3}, {5}]
        assert roofline.processors(1) == [set()]
        monkeypatch.delattr(roofline.os, "sched_getaffinity")
        assert roofline.processors(2) == [set(), set()]

    def test_numbers_are_consistent(self, monkeypatch):
        monkeypatch.setattr(roofline, "MOST_MEMORY", 2**25)
        told = []
        found = roofline.measure(2, 0.2, told.append)
        assert [rates.threads for rates in found.rates] == [1, 2]
        assert len(told) == 1 + roofline.SWEEPS
        for rates in found.rates:
            assert rates == found.of(rates.threads)
            assert set(rates.multiply_adds) == {"float32", "float64"}
            assert {"L1", "L2", "memory"} <= set(rates.bandwidth)
            numbers = [rates.clock, rates.loads, rates.updates]
            numbers += [*rates.multiply_adds.values(), *rates.bandwidth.values()]
            assert all(number > 0 and math.isfinite(number) for number in numbers)
            assert rates.bandwidth["L1"] == pytest.approx(64 * rates.loads)
        (one, _) = found.rates
        assert one.bandwidth["L1"] > 0.5 * one.bandwidth["memory"]
        with pytest.raises(ValueError, match="3 threads were not measured, but 1, 2 were"):
            found.of(3)


class TestLimits:
    def test_rows(self):
        rows = {("float32", 10): 1, ("float64", 10): 2, ("float32", 17): 2, ("float64", 8): 1}
        for (dtype, hidden), expected in rows.items():
            assert CLASSIC._replace(dtype=dtype, sizes=(784, hidden, 10)).rows == expected

    def test_middle(self):
        assert limits.middle(CLASSIC) == 1000 * (3 * 100 + 22 * 10)
        deep = CLASSIC._replace(sizes=(784, 64, 32, 10), dtype="float64")
        assert limits.middle(deep) == 1000 * (3 * (64 * 32 + 32 * 10) + 28 * 10)
        assert limits.middle(CLASSIC._replace(sizes=(784, 10))) == 1000 * 22 * 10

    def test_sparse_limit(self):
        assert sparse_limit(MACHINE, CLASSIC) == pytest.approx(300_000 / 2e9 + 520_000 / 64e9)
        double = CLASSIC._replace(dtype="float64", threads=2)
        expected = 600_000 / 3.8e9 + 580_000 / 60e9
        assert sparse_limit(MACHINE, double) == pytest.approx(expected)

    def test_dense_limit(self):
        products = 2 * 1000 * 784 * 10 + 520_000
        assert dense_limit(MACHINE, CLASSIC) == pytest.approx(products / 64e9)
        # Floats that do not fit in the last cache, then ones that do.
        large = CLASSIC._replace(image_bytes=200_000.0)
        assert dense_limit(MACHINE, large) == pytest.approx(2e8 / 10e9)
        small = CLASSIC._replace(image_bytes=30_000.0)
        assert dense_limit(MACHINE, small) == pytest.approx(3e7 / 20e9)

    def test_operations_and_bytes(self):
        assert limits.operations(CLASSIC, "sparse") == 2 * (2 * 150_000 * 10 + 520_000)
        assert limits.operations(CLASSIC, "dense") == 2 * (2 * 784_000 * 10 + 520_000)
        assert limits.traffic(CLASSIC, "sparse") == 3 * 64 * 150_000
        assert limits.traffic(CLASSIC._replace(dtype="float64"), "sparse") == 6 * 64 * 150_000
        assert limits.traffic(CLASSIC, "dense") == 784_000

    def test_derived_numbers(self):
        iteration = Iteration("sparse", CLASSIC, 2.0, 0.5)
        assert iteration.percent == 25
        assert iteration.flops == 3_520_000
        assert iteration.limit_flops == 4 * iteration.flops
        assert iteration.intensity == 7_040_000 / 28_800_000


def small_problem(dtype, rows=200):
    random = np.random.RandomState(0)
    images = (random.randint(0, 256, (rows, 784)) * (random.rand(rows, 784) < 0.2)).astype(np.uint8)
    return Problem((784, 10, 10), np.dtype(dtype), images, np.arange(rows, dtype=np.uint8) % 10)


@pytest.mark.parametrize("storage", ["sparse", "dense"])
def test_our_iteration_against_its_limit(storage):
    problem = small_problem("float32")
    found = limits.timed(MACHINE, problem, storage, 1, seconds=0.01)
    nonzeros = np.count_nonzero(problem.images)
    assert found.work[:5] == (200, nonzeros, (784, 10, 10), "float32", 1)
    assert found.work.image_bytes == 784
    assert found.limit == limits.LIMITS[storage](MACHINE, found.work)
    assert found.percent == pytest.approx(100 * found.limit / found.seconds)
    assert found.seconds > 0


def test_images_of_floats_are_kept_in_the_type_of_the_network():
    problem = small_problem("float64")
    problem = problem._replace(images=problem.images / np.float32(255))
    assert limits.work_of(problem, 1).image_bytes == 784 * 8


ITERATIONS = [
    Iteration(storage, work, seconds, limits.LIMITS[storage](MACHINE, work))
    for storage, seconds in (("sparse", 4e-4), ("dense", 1e-3))
    for dtype in ("float32", "float64")
    for threads in (1, 2)
    for work in [CLASSIC._replace(dtype=dtype, threads=threads)]
]


class TestShown:
    def test_machine(self):
        text = shown.machine_table(MACHINE)
        assert "2.00       1.90" in text
        assert "multiply-adds float32, GFLOP/s                 128        240" in text
        assert "vectors of 64 bytes a cycle and thread      2.00       1.97" in text
        assert "reading L2 (1 MB), GB/s                      100.0      200.0" in text
        assert text.endswith("2 threads do 1.88 times the multiply-adds of one")

    def test_a_core_that_threads_share(self):
        pair = TWO._replace(multiply_adds=ONE.multiply_adds)
        assert "share a core" in shown.machine_table(MACHINE._replace(rates=(ONE, pair)))

    def test_one_thread_is_compared_with_nothing(self):
        assert "times" not in shown.machine_table(MACHINE._replace(rates=(ONE,)))

    def test_iterations(self):
        lines = shown.iteration_table(ITERATIONS).splitlines()
        assert lines[2].split() == ["sparse", "float32", "1", "0.40", "0.16", "40", "17.6"]
        assert max(map(len, lines)) <= 100

    @pytest.mark.parametrize("rates", [(ONE,), (ONE, TWO)])
    def test_chart(self, rates):
        figure = shown.chart(MACHINE._replace(rates=rates), ITERATIONS)
        assert len(figure.axes) == len(rates)
        figure.savefig(io.BytesIO(), format="png")
        labels = [text.get_text() for text in figure.axes[0].texts]
        assert "L1, 256 GB/s" in labels
        assert "40 %" in labels

    def test_lines_that_lie_together_share_a_label(self):
        near = ONE._replace(bandwidth=ONE.bandwidth | {"L3": 9e9})
        figure = shown.chart(MACHINE._replace(rates=(near,)), ITERATIONS)
        assert "memory, 10 GB/s; L3, 9 GB/s" in [t.get_text() for t in figure.axes[0].texts]


class TestCommand:
    @pytest.fixture
    def data(self, tmp_path, monkeypatch):
        monkeypatch.delenv("FASTDIGIT_DATA", raising=False)
        problem = small_problem("float32", 60)
        path = tmp_path / "digits.npz"
        np.savez(path, images=problem.images, labels=problem.labels)
        return path

    def test_tables_and_picture(self, data, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(roofline, "MOST_MEMORY", 2**25)
        monkeypatch.setattr(roofline, "SWEEPS", 1)
        picture = tmp_path / "roofline.png"
        assert cli.main(["info", "--roofline", "--data", str(data), "-o", str(picture)]) == 0
        out, err = capsys.readouterr()
        assert "what this machine can do" in out
        assert "60 images, 10 hidden units" in out
        for storage in ("sparse", "dense"):
            for dtype in ("float32", "float64"):
                assert [line for line in out.splitlines() if line.split()[:2] == [storage, dtype]]
        assert "timing iterations, round 3 of 3" in err
        assert picture.read_bytes().startswith(b"\x89PNG")

    def test_without_the_option_it_takes_no_data(self, data, capsys):
        assert cli.main(["info", "--data", str(data)]) == 2
        assert "only for --roofline" in capsys.readouterr().err

    def test_the_data_are_not_overwritten(self, data, tmp_path, capsys):
        named = str(shutil.copy(data, tmp_path / "digits.png"))
        assert cli.main(["info", "--roofline", named, "-o", named]) == 2
        assert "is also read" in capsys.readouterr().err

    def test_a_compiler_is_needed(self, capsys, monkeypatch):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
        assert cli.main(["info", "--roofline"]) == 2
        assert "needs a compiler" in capsys.readouterr().err
