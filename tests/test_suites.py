"""The suites: before anything is timed, what is right is found right, and what is wrong, wrong."""

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import planted
import pytest

from fastdigit.errors import DivergenceError
from fastdigit.kernels.parallel import available_threads
from fastdigit.measure.comparison import train_side_by_side
from fastdigit.measure.contenders import CONTENDERS, Task, learned
from fastdigit.measure.predictors import PREDICTORS, Entry
from fastdigit.measure.suites import SUITES, iteration, pairs, plans, predict, training, trials
from fastdigit.measure.suites.plan import OURS, Setting
from fastdigit.measure.suites.tolerance import distance

ROOT = Path(__file__).parents[1]
THREADS = min(2, available_threads())
needs_two_threads = pytest.mark.skipif(available_threads() < 2, reason="needs two threads")
WRONG = [
    pytest.param(name, marks=needs_two_threads if "threads" in name else ())
    for name in planted.WRONG
]


def setting(images=60, **more):
    drawn, labels = trials.images(images, 784)
    return Setting(drawn, labels, 1, 0, peers=False)._replace(**more)


def is_wrong(check):
    return not check["difference"] <= check["allowed"]


class TestTolerance:
    def test_close_and_not(self):
        expected = np.array([3.0, 4.0])
        assert distance(expected, expected, "float64").close
        assert not distance(expected + 1e-11, expected, "float64").close
        assert distance(expected + 1e-11, expected, "float64", magnitude=1e4).close
        assert not distance(expected * np.nan, expected, "float32").close
        assert distance(expected * np.nan, expected, "float32").share == np.inf
        with pytest.raises(ValueError, match="shape"):
            distance(expected[:1], expected, "float64")


class TestTrials:
    def test_right_contenders_pass(self):
        check = trials.put_to(partial(learned, CONTENDERS["sparse-f64"]), "float64", THREADS)
        assert not is_wrong(check)
        assert check["difference"] > 0

    def test_what_they_reveal(self):
        counts = [len(trial.task.images) for trial in trials.trials(2)]
        assert {count % trials.LANES for count in counts} >= {0, 1, 3}
        assert max(counts) > trials.TILES
        assert {trial.task.threads for trial in trials.trials(2)} == {1, 2}
        assert any(trial.large for trial in trials.trials(2))

    @pytest.mark.parametrize("name", WRONG)
    def test_wrong_ones_fail(self, name):
        try:
            check = trials.put_to(partial(learned, planted.WRONG[name]), "float32", THREADS)
        except DivergenceError:
            return
        assert is_wrong(check)

    def test_the_notebook_overflows_and_is_known_to(self):
        learn = partial(learned, CONTENDERS["notebook"])
        with pytest.raises(DivergenceError):
            trials.put_to(learn, "float64", 1)
        assert not is_wrong(trials.put_to(learn, "float64", 1, overflows=True))


class TestPairs:
    GIVEN = pairs.Inputs(*trials.images(200, 784), "float32")

    @pytest.mark.parametrize(
        "pair",
        [
            planted.in_place_of("linear_relu", planted.no_last_row),
            planted.in_place_of("linear_relu", planted.no_last_lane),
            planted.in_place_of("softmax_cross_entropy", planted.no_row_at_a_tile_edge),
            planted.naive_softmax,
        ],
    )
    def test_wrong_ones_fail(self, pair):
        assert is_wrong(pairs.furthest(pair, self.GIVEN))

    def test_right_ones_pass(self):
        check = pairs.furthest(pairs.softmax_cross_entropy, self.GIVEN)
        assert not is_wrong(check)
        assert not is_wrong(pairs.furthest(pairs.softmax_cross_entropy, self.GIVEN, twin=True))


class TestPredict:
    WORK = predict.Work(trials.images(50, 784)[0], 120, 0, 1)

    def test_right_and_wrong(self):
        right = predict.Proved(PREDICTORS["fastdigit"], True, self.WORK)
        assert not is_wrong(right.check())
        wrong = predict.Proved(Entry(planted.LastLabelWrong), True, self.WORK)
        assert is_wrong(wrong.check())
        assert not is_wrong(predict.Proved(PREDICTORS["reference"], False, self.WORK).check())


class TestTraining:
    def test_right_and_wrong(self):
        task = iteration.task_of(setting())
        way = training.WAYS["fit-f32"]
        contender = training.Training(task, way, iterations=2)
        assert not is_wrong(contender.check())
        assert len(contender.step(3).seconds) == 3

        def forgets(task, iterations):
            kept = max(1, len(task.images) - 1)
            less = task._replace(images=task.images[:kept], labels=task.labels[:kept])
            return way.learn(less, iterations)

        assert is_wrong(training.Training(task, way._replace(learn=forgets), 2).check())


class TestPlans:
    @pytest.mark.parametrize("name", SUITES)
    def test_questions(self, name):
        found = plans(name, setting())
        asked = [(plan.topic.name, str(plan.topic.parameters)) for plan in found]
        assert len(set(asked)) == len(asked) > 0
        for plan in found:
            assert plan.topic.suite == name
            assert plan.topic.parameters["threads"] == 1
            assert plan.weight > 0
            if name == "start-up":
                assert plan.base in plan.starters
                continue
            names = [entrant.name for entrant in plan.entrants]
            assert plan.base in names
            assert len(set(names)) == len(names)
            assert any(entrant.library == OURS for entrant in plan.entrants)
            for entrant in plan.entrants:
                pickle.dumps((entrant.make, plan.task))

    def test_numbers_of_threads_are_asked_together(self):
        first, *_ = plans("scaling", setting(threads=2))
        assert "threads" not in first.topic.parameters
        assert {e.name: e.threads for e in first.entrants} == {
            "dense-f32, 1 thread": 1,
            "dense-f32, 2 threads": 2,
        }
        assert first.base == "dense-f32, 1 thread"

    def test_peers(self):
        (plan,) = plans("iteration", setting(peers=True))
        assert {"PyTorch", "JAX", "SciPy", "scikit-learn"} <= {e.library for e in plan.entrants}


class TestNoTime:
    """Wrong kernels in the ways to run that are not the command bench; see test_bench."""

    def test_in_pytest(self, monkeypatch):
        monkeypatch.setitem(CONTENDERS, "sparse-f32", planted.last_lane_wrong)
        task = iteration.task_of(setting(threads=THREADS))
        assert is_wrong(iteration.prove("sparse-f32", task))

    def test_the_benchmark_fails(self):
        variables = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "FASTDIGIT_PLANTED": "last_row_missed",
        }
        words = ["-p", "planted", "bench/bench_training.py", "-k", "iteration and sparse-f32-1"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, "-p", "no:cacheprovider", "--no-header"],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 1, done.stdout
        assert "1 failed" in done.stdout
        assert "step of" in done.stdout

    def test_in_compare(self, monkeypatch):
        monkeypatch.setitem(CONTENDERS, "sparse-f32", planted.softmax_without_maximum)
        drawn, labels = trials.images(50, 784)
        task = Task(drawn, labels, (784, 10, 10), 0, 0.1, 1)
        seen = []
        with pytest.raises(ValueError, match="contender sparse-f32 is wrong, so nothing is timed"):
            train_side_by_side(task, ["sparse-f32"], 5, seen.append, seen.append)
        assert seen == []
