"""The command ``fastdigit bench``: what it measures, writes, refuses, and how it ends."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import planted
import pytest

import fastdigit
from fastdigit import cli
from fastdigit.cli import bench_table
from fastdigit.cli.bench import suites
from fastdigit.errors import DataError
from fastdigit.kernels.parallel import available_threads
from fastdigit.measure import regression
from fastdigit.measure.from_pytest import BUSY, from_pytest, is_from_pytest
from fastdigit.measure.result import SCHEMA, Contender, Question, Result

ROOT = Path(__file__).parents[1]
UNACCOUNTED = 0.03
SLACK = 0.3
"""Seconds: so short a run has few to spare."""
PLANTED = """
import sys, planted
from fastdigit.cli import main
planted.in_the_table()
sys.exit(main(sys.argv[1:]))
"""
ONE_OF_OURS = """

def _plain(task: Task) -> Contender:
    return Kernels(task, "numpy", "float32")


for _name in set(CONTENDERS) - {BASE, REFERENCE}:
    del CONTENDERS[_name]  # type: ignore[attr-defined]
CONTENDERS["ours"] = _plain  # type: ignore[index]
"""
"""Written below the table of contenders: one that needs no compiler, to make the test short."""
SLOWED = """

def _slowed(given):
    def slowly(*arguments):
        import time

        time.sleep(0.01)
        return given(*arguments)

    return slowly


sgd = _slowed(sgd)
"""
"""Written below the optimizers."""


def run(words, places=(ROOT,), **options):
    paths = os.pathsep.join(map(str, [*places, ROOT / "tests"]))
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (300, 784)) * (random.rand(300, 784) < 0.2)
    np.savez(path, images=images.astype(np.uint8), labels=(np.arange(300) % 10).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def ran(data, tmp_path_factory):
    """One run of the notebook, one that is right, and some that are wrong."""
    output = tmp_path_factory.mktemp("result") / "result.json"
    words = ["--suite", "iteration", "--seconds", "0.5", "--threads", available_threads()]
    done = run(["-c", PLANTED, "bench", data, *words, "-o", output])
    assert "Traceback" not in done.stderr, done.stderr
    return done, json.loads(output.read_text())


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository of fastdigit with one contender of ours, slowed down since the commit."""
    root = tmp_path_factory.mktemp("repository")
    package = Path(fastdigit.__file__).parent
    shutil.copytree(package, root / "fastdigit", ignore=shutil.ignore_patterns("__pycache__"))
    with (root / "fastdigit/measure/contenders.py").open("a") as file:
        file.write(ONE_OF_OURS)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "before"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    with (root / "fastdigit/optimizers.py").open("a") as file:
        file.write(SLOWED)
    return root


@pytest.fixture(scope="module")
def document(data, tmp_path_factory):
    output = tmp_path_factory.mktemp("pytest") / "result.json"
    chosen = "bench_iteration and 41000 and (notebook or sparse-f32)"
    # Beside other workers of pytest nothing would be timed.
    alone = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    words = ["-m", "pytest", "bench/bench_training.py", "-k", chosen, "--benchmark-only"]
    words += [f"--benchmark-json={output}", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=alone | {"PYTHONPATH": str(ROOT), "FASTDIGIT_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return json.loads(output.read_text())


@pytest.fixture
def result(ran):
    return copy.deepcopy(ran[1])


def contenders(result):
    return {c["name"]: c for c in result["questions"][0]["contenders"]}


class TestRun:
    def test_wrong_kernels_get_no_time(self, ran, result):
        done, _ = ran
        assert done.returncode == 1
        assert "fastdigit: error: no time for " in done.stderr
        found = contenders(result)
        wrong = planted.some()
        assert {name for name, c in found.items() if c["refused"]} == wrong
        for name in wrong:
            assert found[name]["median_seconds"] is None
            assert found[name]["rounds"] == []
            assert f"{name} has no time" in done.stdout

    def test_right_ones_get_one(self, ran, result):
        for name in ("notebook", "sparse-f32"):
            found = contenders(result)[name]
            assert found["median_seconds"] > 0
            assert found["check"]["difference"] <= found["check"]["allowed"]
            assert f"\n{name}" in ran[0].stdout
        assert contenders(result)["sparse-f32"]["ratio"]["median"] > 0

    def test_written_as_the_schema_says(self, data, result):
        assert result.keys() == Result.__annotations__.keys()
        assert result["schema"] == SCHEMA
        (question,) = result["questions"]
        assert question.keys() == Question.__annotations__.keys()
        for found in question["contenders"]:
            assert found.keys() == Contender.__annotations__.keys()
        loaded = fastdigit.load_data(data)
        assert result["data"]["fingerprint"] == loaded.fingerprint
        assert result["data"]["images"] == 300
        assert result["settings"]["command"].startswith("fastdigit bench digits.npz --suite")
        assert str(data.parent) not in json.dumps(result)

    def test_where_the_time_went(self, ran, result):
        whole = result["wall_seconds"]
        rest = whole - sum(result["parts"].values())
        assert abs(rest) <= UNACCOUNTED * whole + SLACK, result["parts"]
        assert min(result["parts"].values()) >= 0
        assert result["parts"].keys() >= {"start", "data", "build", "check", "wait", "time"}
        assert "in none of these parts)" in ran[0].stdout

    def test_progress(self, ran):
        assert "1 of 1: iteration: 784-10-10, full batch; about " in ran[0].stderr


class TestArguments:
    def test_suites(self):
        assert suites("start-up, iteration") == ["iteration", "start-up"]
        assert len(suites("all")) == 6

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--suite", "nonsense"], "no suite 'nonsense'"),
            (["--against", "everyone"], "invalid choice"),
            (["--threshold", "-5"], "not a positive number"),
            (["--threshold", "3"], "needs a --baseline"),
            (["--seconds", "0"], "not a positive number"),
        ],
    )
    def test_wrong_ones(self, words, said, capsys):
        assert cli.main(["bench", *words]) == 2
        assert said in capsys.readouterr().err

    def test_an_output_that_is_read(self, data, capsys):
        assert cli.main(["bench", str(data), "-o", str(data)]) == 2
        assert "is also read" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"{", "is no JSON"),
            (b"[1]", "is no result of fastdigit bench"),
            (b'{"questions": [], "schema": 1}', "has schema 1"),
            (b'{"questions": [], "schema": 2, "data": {}}', "is damaged: kind is not what"),
        ],
    )
    def test_baselines_that_cannot_be_read(self, data, tmp_path, content, said, capsys):
        (tmp_path / "old.json").write_bytes(content)
        words = ["--suite", "iteration", "--baseline", str(tmp_path / "old.json")]
        assert cli.main(["bench", str(data), *words]) == 1
        assert said in capsys.readouterr().err

    def test_no_labels(self, tmp_path, capsys):
        heading = ",".join(f"pixel{i}" for i in range(784))
        row = ",".join("0" * 784)
        (tmp_path / "test.csv").write_text(f"{heading}\n{row}\n")
        assert cli.main(["bench", str(tmp_path / "test.csv")]) == 1
        assert "has no labels" in capsys.readouterr().err


def slower(result, name, times):
    """Return a result in which one contender took so many times as long."""
    changed = copy.deepcopy(result)
    found = contenders(changed)[name]
    found["median_seconds"] *= times
    for turn in found["rounds"]:
        turn["counted"] *= times
    for interval in (found["ratio"], found["ratio"]["paired"]):
        for end in ("median", "low", "high"):
            interval[end] /= times
    return changed


def calm(result):
    """Return a result as of a machine that nothing disturbed, with the same times all over."""
    changed = copy.deepcopy(result)
    (question,) = changed["questions"]
    question["busy"], question["noise_floor"] = None, 0.01
    for found in question["contenders"]:
        if found["refused"]:
            continue
        for turn in found["rounds"]:
            turn["counted"] = found["median_seconds"]
        if ratio := found["ratio"]:
            middle = ratio["median"]
            ratio.update(low=0.995 * middle, high=1.005 * middle)
            ratio["paired"] = {end: ratio[end] for end in ("median", "low", "high")}
    return changed


def change_of(changes, name):
    return next(change for change in changes if change.contender == name)


class TestAgainstAResult:
    @pytest.mark.parametrize(
        ("times", "verdict", "regressed"),
        [
            (1.0, "too close to call", False),
            (1.04, "slower", False),
            (1.2, "slower", True),
            (0.5, "faster", False),
        ],
    )
    def test_verdicts(self, result, times, verdict, regressed):
        before = calm(result)
        now = slower(before, "sparse-f32", times)
        change = change_of(regression.since_result(now, before), "sparse-f32")
        assert change.verdict == verdict
        assert change.regressed(0.05) == regressed
        assert change.speed["median"] == pytest.approx(1 / times)
        assert f"{1 / times:.3f}" in bench_table.changes([change], "old.json")

    def test_a_slow_day_is_no_regression(self, result):
        before = calm(result)
        now = calm(result)
        for found in contenders(now).values():
            for turn in found["rounds"]:
                turn["counted"] *= 1.3
        change = change_of(regression.since_result(now, before), "sparse-f32")
        assert change.verdict == "too close to call"

    def test_another_machine_is_compared_by_ratios(self, result):
        before = calm(result)
        now = slower(before, "sparse-f32", 1.2)
        for found in contenders(now).values():
            for turn in found["rounds"]:
                turn["counted"] /= 3
        now["machine"]["cpu"]["model"] = "another"
        assert not regression.same_machine(now, before)
        change = change_of(regression.since_result(now, before), "sparse-f32")
        assert change.verdict == "slower"
        assert change.regressed(0.05)

    def test_noise_and_refusals(self, result):
        before, now = calm(result), slower(calm(result), "sparse-f32", 1.2)
        now["questions"][0]["noise_floor"] = 0.5
        changes = regression.since_result(now, before)
        assert change_of(changes, "sparse-f32").verdict == "too close to call"
        assert change_of(changes, "last_row_missed").why.startswith("refused: ")
        assert not change_of(changes, "last_row_missed").regressed(0.05)
        now["questions"][0]["busy"] = "machine busy"
        change = change_of(regression.since_result(now, before), "sparse-f32")
        assert (change.verdict, change.why) == (None, "machine busy")
        before["questions"] = []
        change = change_of(regression.since_result(now, before), "sparse-f32")
        assert change.speed is None

    def test_other_data(self, result):
        regression.checked(result, "old.json", result["data"])
        with pytest.raises(DataError, match="other data"):
            regression.checked(result, "old.json", {"fingerprint": "other"})

    @pytest.mark.parametrize(
        ("place", "value"),
        [
            ("machine", None),
            ("questions.0", 3),
            ("questions.0.parameters", 0),
            ("questions.0.noise_floor", "much"),
            ("questions.0.contenders.1.rounds", None),
            ("questions.0.contenders.1.verdict", "much faster"),
            ("questions.0.contenders.1.ratio.median", float("nan")),
        ],
    )
    def test_damage_is_said_where_it_is(self, result, place, value):
        damaged = copy.deepcopy(result)
        *above, last = place.split(".")
        part = damaged
        for key in above:
            part = part[int(key) if key.isdigit() else key]
        part[int(last) if last.isdigit() else last] = value
        said = place.removesuffix(".median")  # a ratio may be None, and so it is wrong as a whole
        with pytest.raises(DataError, match=f"old.json is damaged: {said} is not what"):
            regression.checked(damaged, "old.json", result["data"])

    def test_a_ratio_of_nothing(self, result):
        damaged = copy.deepcopy(result)
        found = next(c for c in damaged["questions"][0]["contenders"] if c["ratio"])
        found["ratio"]["low"] = 0
        with pytest.raises(DataError, match=f"the ratio of {found['name']} in "):
            regression.checked(damaged, "old.json", result["data"])


class TestAgainstARevision:
    @staticmethod
    def words(data, output):
        words = ["bench", data, "--suite", "iteration", "--baseline", "HEAD", "--seconds", "4"]
        return ["-m", "fastdigit", *words, "--threads", "1", "-o", output]

    @staticmethod
    def worktrees(repository):
        listed = ["git", "-C", repository, "worktree", "list"]
        done = subprocess.run(listed, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    def test_a_planted_slowdown_is_flagged(self, repository, data, tmp_path):
        done = run(self.words(data, tmp_path / "now.json"), [repository], cwd=repository)
        assert "Traceback" not in done.stderr, done.stderr
        (question,) = json.loads((tmp_path / "now.json").read_text())["questions"]
        earlier, now = question["contenders"]
        assert earlier["name"] == question["base"]
        assert now["ratio"]["median"] < 0.8
        if question["busy"]:
            # No verdict where the machine is busy; that there would be one, test_verdicts sees.
            assert done.returncode == 0
            assert "machine busy" in done.stdout
        else:
            assert done.returncode == 1
            assert "ours: slower than the baseline by more than 5%" in done.stderr
        assert len(self.worktrees(repository)) == 1

    def test_interrupted(self, repository, data, tmp_path):
        with subprocess.Popen(
            [sys.executable, *map(str, self.words(data, tmp_path / "now.json"))],
            cwd=repository,
            env=os.environ | {"PYTHONPATH": str(repository)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            for line in process.stderr:
                if "1 of 1" in line:
                    break
            assert len(self.worktrees(repository)) == 2
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert len(self.worktrees(repository)) == 1
        assert list(tmp_path.iterdir()) == []

    def test_no_such_revision(self, repository, data):
        words = ["-m", "fastdigit", "bench", data, "--baseline", "no-such-revision"]
        done = run(words, [repository], cwd=repository)
        assert done.returncode == 1
        assert "error: git rev-parse failed" in done.stderr


class TestFromPytest:
    def test_same_schema(self, document, data):
        assert is_from_pytest(document)
        found = from_pytest(document)
        assert found.keys() == Result.__annotations__.keys()
        (question,) = found["questions"]
        assert question.keys() == Question.__annotations__.keys()
        assert question["busy"] == BUSY
        assert [c["name"] for c in question["contenders"]] == ["notebook", "sparse-f32"]
        for contender in question["contenders"]:
            assert contender.keys() == Contender.__annotations__.keys()
            seconds = [turn["seconds"][0] for turn in contender["rounds"]]
            assert contender["median_seconds"] == np.median(seconds)
            assert len(seconds) == 20
            assert contender["check"]["difference"] <= contender["check"]["allowed"]
        assert found["data"]["fingerprint"] == fastdigit.load_data(data).fingerprint
        assert found["machine"]["cpu"]["cores_allowed"] >= 1
        json.dumps(found, allow_nan=False)

    def test_its_own_clock_is_never_longer_than_that_of_pytest(self, document):
        contender = from_pytest(document)["questions"][0]["contenders"][0]
        outer = document["benchmarks"][0]["stats"]["data"]
        inner = [turn["seconds"][0] for turn in contender["rounds"]]
        assert all(0 < mine < theirs for mine, theirs in zip(inner, outer, strict=True))

    def test_other_documents(self, document, result):
        assert not is_from_pytest(result)
        assert not is_from_pytest([])
        for broken in ({"benchmarks": []}, {"benchmarks": 1}, {**document, "machine_info": {}}):
            with pytest.raises(DataError, match="this is no JSON that pytest"):
                from_pytest(broken)
