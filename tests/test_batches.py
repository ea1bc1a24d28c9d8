"""Training with batches beside peers: equal before it is timed; whole trainings; the commands."""

import json
import platform
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fastdigit as fd
from fastdigit.measure import batches, paired
from fastdigit.measure.accuracy import ByFit, ByLoop, Command, Goal, task_of
from fastdigit.measure.paired import Budget, Entrant, Topic
from fastdigit.measure.suites import epochs

ROOT = Path(__file__).parents[1]
ROWS = 300
"""Two whole batches and a shorter one."""
MORE = {"nesterov": True, "label_smoothing": 0.05, "schedule": "linear", "learning_rate": 0.3}
PEER_MODULES = {"jax", "jaxlib", "torch", "sklearn"}

# All libraries in one process, which is not that of the tests: some of them start threads that
# forbid a fork, and importing them takes seconds.
PEERS = """
import functools, json
from fastdigit.measure import threads
threads.limit(1)  # two would wait for each other where the tests have no core of their own
import test_batches
from fastdigit.measure.batches import PEERS

if PEERS["torch-compile"].installed:
    import torch
    # Inductor calls a C++ compiler, for minutes.
    torch.compile = functools.partial(torch.compile, backend="eager")

found = {}
for name, peer in PEERS.items():
    if peer.installed:
        more = {} if name == "sklearn" else test_batches.MORE
        loop = peer(test_batches.task((784, 9, 7, 10), **more))
        check = loop.check()
        turn = loop.step(2)
        found[name] = [check, len(turn.seconds), min(turn.seconds), loop.check()]
print(json.dumps(found))
"""


def digits():
    return fd.make_digits(ROWS, seed=3)


def task(sizes=(784, 20, 10), **more):
    given = digits()
    return batches.Task(given.images, given.labels, sizes, 5, 1, **more)


@pytest.fixture(scope="module")
def peers(output_of):
    return json.loads(output_of(PEERS)[-1])


class TestPeers:
    @pytest.mark.parametrize("name", batches.PEERS)
    def test_learns_what_the_twin_learns(self, name, request):
        pytest.importorskip(batches.PEERS[name].package)
        check, turns, seconds, again = request.getfixturevalue("peers")[name]
        assert check["difference"] <= check["allowed"] == batches.WITHIN["float32"]
        assert (turns, check) == (2, again)
        assert seconds > 0

    def test_none_is_imported_before_it_is_built(self, output_of):
        loaded = output_of(
            "import sys\n"
            "from fastdigit.measure import accuracy, batches\n"
            "[peer.installed for peer in batches.PEERS.values()]\n"
            "print(*sys.modules, sep='\\n')"
        )
        assert PEER_MODULES.isdisjoint(loaded)

    def test_scikit_learn_refuses_what_it_cannot_do(self):
        pytest.importorskip("sklearn")
        with pytest.raises(ValueError, match="cannot make these updates"):
            batches.PEERS["sklearn"](task(**MORE))


class TestContenders:
    @pytest.mark.parametrize("more", [{}, MORE], ids=["plain", "more"])
    @pytest.mark.parametrize("name", batches.CONTENDERS)
    def test_learns_what_the_twin_learns(self, name, more):
        check = batches.CONTENDERS[name](task(**more)).check()
        assert check["difference"] <= check["allowed"]

    def test_floats(self):
        given = task()
        floats = np.random.RandomState(0).rand(*given.images.shape).astype(np.float32)
        given = given._replace(images=floats)
        assert epochs.base(given) == "dense-f32"
        assert "sparse-f32" not in {one.name for one in epochs.entrants(given, peers=True)}
        check = batches.CONTENDERS["dense-f32"](given).check()
        assert check["difference"] <= check["allowed"]

    def test_epochs_are_those_of_fit(self):
        given = task(epochs=3, **MORE)
        network = fd.Network(given.sizes, seed=given.seed)
        fd.fit(
            network,
            digits(),
            epochs=3,
            batch_size=128,
            optimizer="nesterov",
            seed=given.seed,
            threads=1,
            storage="sparse",
            progress=False,
            **{name: MORE[name] for name in ("label_smoothing", "schedule", "learning_rate")},
        )
        loop = batches.CONTENDERS["sparse-f32"](given)
        assert len(loop.step(3).seconds) == 3
        assert np.array_equal(loop.parameters(), network.parameters)

    def test_begins_anew_after_its_epochs(self):
        loop = batches.CONTENDERS["dense-f32"](task(epochs=2))
        loop.step(1)
        first = loop.parameters()
        loop.step(1)
        assert not np.array_equal(loop.parameters(), first)
        loop.step(1)
        assert np.array_equal(loop.parameters(), first)

    def test_question_of_the_suite(self):
        plan = epochs.plan(task(), peers=False)
        assert plan.topic.suite == "training"
        assert plan.topic.name == "784-20-10, batches of 128"
        assert [one.name for one in plan.entrants] == list(batches.CONTENDERS)
        assert plan.base == "sparse-f32"


class Forgetful(batches.Kernels):
    """Leaves the last image out, and so changes one batch."""

    def advance(self, order, rates):
        super().advance(order[:-1], rates)


class Unmoved(batches.Kernels):
    """Forgets the velocity between two calls."""

    def advance(self, order, rates):
        half = 128
        super().advance(order[:half], rates[:1])
        self.load(fd.Network(self.task.sizes, self.dtype, self.seed))
        super().advance(order[half:], rates[1:])


class TestWrong:
    @pytest.mark.parametrize("wrong", [Forgetful, Unmoved])
    def test_gets_no_time(self, wrong):
        right = Entrant("right", "numpy", "float32", batches.CONTENDERS["reference-f32"])
        make = partial(wrong, backend="numpy", dtype="float32")
        question = paired.ask(
            Topic("training", "planted", "epoch", {}),
            [right, Entrant("wrong", "numpy", "float32", make)],
            task(),
            epochs.check,
            "right",
            budget=Budget(0.0, 1, most_rounds=1, repetitions=1, patience=0.0),
            progress=False,
        )
        found = {contender["name"]: contender for contender in question["contenders"]}
        assert found["right"]["median_seconds"] > 0
        assert found["wrong"]["median_seconds"] is None
        assert "weights after 3 updates off by" in found["wrong"]["refused"]
        # Far from what rounding does: the allowance is not what decides.
        assert found["wrong"]["check"]["difference"] > 10 * batches.WITHIN["float32"]


@pytest.fixture(scope="module")
def goal():
    train, test = digits(), fd.make_digits(200, seed=4)
    return Goal(train.images, train.labels, test.images, test.labels, 1)


class TestTrainings:
    @pytest.mark.parametrize("recipe", ["98", "98.5"])
    def test_a_recipe(self, goal, recipe):
        training = ByFit(goal, recipe)
        check = training.check()
        assert check["difference"] <= check["allowed"]

    def test_scores(self, goal):
        training = ByFit(goal, "98")
        scores = [training.score() for _ in range(2)]
        assert [score.seed for score in scores] == [0, 1]
        network = training.train(1).network
        assert scores[1].accuracy == network.accuracy(goal.test_images, goal.test_labels)
        assert all(0 < score.training_seconds < score.whole_seconds for score in scores)
        assert len(training.step(2).seconds) == 2

    def test_a_loop_learns_what_fit_learns(self, goal):
        loop = ByLoop(goal, "98", 3, batches.CONTENDERS["sparse-f32"])
        right = ByFit(goal, "98")
        for seed in (0, 1):
            found = loop.train(seed).network.parameters
            assert np.array_equal(found, right.train(seed).network.parameters)
        assert loop.check()["difference"] <= batches.WITHIN["float32"]

    @pytest.mark.parametrize("recipe", ["classic", "99", "99.3"])
    def test_what_a_loop_cannot_do(self, goal, recipe):
        with pytest.raises(ValueError, match="more than all contenders can do"):
            task_of(goal, recipe, 1)

    def test_a_process(self, goal):
        command = Command(goal, ["-c", "pass"])
        assert command.check()["difference"] == 0
        (seconds,) = command.step(1).seconds
        assert seconds > 0
        with pytest.raises(ChildProcessError, match="exit code 3"):
            Command(goal, ["-c", "raise SystemExit(3)"]).step(1)

    def test_a_saved_model_is_compared(self, goal, tmp_path):
        network = ByFit(goal, "98").train(0).network
        network.save(tmp_path / "model")
        command = Command(goal, ["-c", "pass"], "98", tmp_path / "model")
        assert command.check()["difference"] == 0
        network.weights[0][0, 0] += 1e-3
        network.save(tmp_path / "model")
        assert command.check()["difference"] > 0


# --- the commands --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    train, test = digits(), fd.make_digits(200, seed=4)
    named = {"x_train": train.images, "y_train": train.labels}
    np.savez(path, **named, x_test=test.images, y_test=test.labels)
    return path


def run(out, command, *words):
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / command, *map(str, words), "--out", out, "--quiet"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} == {"README.md", "results.json"}
    texts = [path.read_text() for path in out.iterdir()]
    for text in texts:
        for secret in (str(out.parent), f"{Path.home()}/", "://"):
            assert secret not in text
        assert platform.node() not in re.findall(r"[\w.-]+", text)
    return json.loads((out / "results.json").read_text()), (out / "README.md").read_text()


class TestCommands:
    def test_epochs(self, data, tmp_path):
        words = ("--data", data, "--networks", "784-12-10", "--seconds", 0, "--threads", 1)
        names = ("--contenders", "reference-f32")
        document, page = run(tmp_path / "out", "epochs.py", *words, *names)
        (question,) = document["questions"]
        assert {c["name"] for c in question["contenders"]} == {"sparse-f32", "reference-f32"}
        for contender in question["contenders"]:
            assert len(contender["rounds"]) == 10
            assert f"| {contender['name']} | {1e3 * contender['median_seconds']:.1f} |" in page
        assert "Nothing was compared with a peer." in page
        assert sum(document["parts"].values()) <= document["wall_seconds"]

    def test_growth(self, tmp_path):
        words = ("--images", "", "--hidden", 8, "--rows", 150, "--seconds", 0, "--threads", 1)
        document, page = run(tmp_path / "out", "growth.py", *words)
        (question,) = document["questions"]
        assert question["parameters"]["grows"] == "hidden units"
        (large,) = (c for c in question["contenders"] if c["name"] != question["base"])
        assert large["name"] == "150 images, 16 hidden units"
        assert f"| {1 / large['ratio']['paired']['median']:.3f} |" in page
        assert re.search(r"promised 2\.2: (kept|NOT KEPT)\.", page)

    def test_recipes(self, data, tmp_path):
        words = ("--data", data, "--seeds", 2, "--rounds", 2, "--threads", 1)
        names = ("--parts", "recipes", "--recipes", "98")
        document, page = run(tmp_path / "out", "time_to_accuracy.py", *words, *names)
        (contender,) = document["questions"][0]["contenders"]
        scores = contender["facts"]["scores"]
        assert [score["seed"] for score in scores] == [0, 1]
        mean = np.mean([score["accuracy"] for score in scores])
        assert f"| 98 | 128 | 2 | {100 * mean:.2f} |" in page
        # So few images cannot be enough, which has to show.
        assert page.count("| NO |") == 1

    @pytest.mark.parametrize(
        ("command", "words", "said"),
        [
            ("epochs.py", ("--contenders", "nobody"), "there is no 'nobody'"),
            ("epochs.py", ("--networks", "wide"), "'wide' is no network"),
            ("time_to_accuracy.py", ("--recipes", "100"), "there is no '100'"),
        ],
    )
    def test_what_does_not_exist(self, data, command, words, said):
        done = subprocess.run(
            [sys.executable, ROOT / "bench" / command, "--data", data, *words],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert said in done.stderr


class TestReached:
    @pytest.fixture
    def command(self, monkeypatch):
        monkeypatch.syspath_prepend(ROOT / "bench")
        import time_to_accuracy

        return time_to_accuracy

    def test_statistics(self, command):
        scores = [
            {"accuracy": a, "training_seconds": s, "whole_seconds": 2 * s}
            for a, s in ((0.98, 1.0), (0.982, 2.0), (0.984, 9.0))
        ]
        found = command.reached(scores)
        assert found[:4] == pytest.approx((3, 0.982, 0.002, 0.98))
        assert found[4:] == (2.0, 4.0)

    def test_rounding_costs_no_epoch(self, command):
        ours = command.Reached(10, 0.9816, 0.0007, 0.98, 1.0, 1.0)
        assert command.as_good(ours._replace(mean=0.9813), ours)
        assert not command.as_good(ours._replace(mean=0.9800), ours)

    def test_promises(self, command):
        promise = command.PROMISES["98"]
        good = command.Reached(10, 0.9816, 0.0007, 0.9795, 1.0, 1.0)
        assert command.kept(promise, good, 1.0) == "yes"
        assert command.kept(promise, good._replace(least=0.978), 1.0) == "NO"
        assert command.kept(promise, good._replace(mean=0.9805), 1.0) == "NO"
        assert command.kept(command.PROMISES["98.5"], good._replace(mean=0.99), 8.5) == "NO"
