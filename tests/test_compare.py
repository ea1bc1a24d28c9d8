"""The comparison: the contenders, their processes, the rounds, the verdict and the report."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

import fastdigit as fd
from fastdigit import cli
from fastdigit.cli import compare_report
from fastdigit.cli.compare_progress import watch
from fastdigit.measure import baseline, worker
from fastdigit.measure.contenders import CONTENDERS, REFERENCE, Task
from fastdigit.measure.verdict import Standing, judge
from fastdigit.reporting import comparison

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "fastdigit", "compare"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
ITERATIONS = 30


def digits(rows):
    labels = np.arange(rows) % 10
    patterns = 200 * (np.arange(784) % 10 == np.arange(10)[:, None])
    noise = np.random.RandomState(0).randint(0, 20, (rows, 784))
    return (patterns[labels] + noise).astype(np.uint8), labels.astype(np.uint8)


def task(learning_rate=0.1, rows=300):
    images, labels = digits(rows)
    return Task(images, labels, (784, 10, 10), 7, learning_rate, 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    images, labels = digits(700)
    np.savez(path, images=images, labels=labels)
    return path


@pytest.fixture(scope="module")
def compared(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared") / "made" / "here"
    words = [data, "--rows", 600, "--dev", 100, "--iterations", ITERATIONS, "--threads", 1]
    done = subprocess.run(
        [*COMMAND, *map(str, words), "-o", folder],
        capture_output=True,
        text=True,
        timeout=180,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    return done, folder


@pytest.fixture(scope="module")
def document(compared):
    return json.loads((compared[1] / "compare.json").read_text())


class TestReport:
    def test_all_files(self, compared):
        _, folder = compared
        assert {path.name for path in folder.iterdir()} == set(compare_report.FILES)
        for path in folder.glob("*.png"):
            assert path.read_bytes().startswith(b"\x89PNG")
            assert f"({path.name})" in (folder / "report.md").read_text()

    def test_table_holds_the_numbers_of_the_json(self, compared, document):
        done, folder = compared
        for row in comparison.rows(document):
            line = "  ".join(row).split()
            assert line in [printed.split() for printed in done.stdout.splitlines()]
            assert f"| {' | '.join(row)} |" in (folder / "report.md").read_text()

    def test_numbers_follow_from_the_records(self, document):
        base = np.median(document["contenders"][0]["seconds"])
        assert [record["name"] for record in document["contenders"]] == list(CONTENDERS)
        for record in document["contenders"]:
            seconds = record["seconds"]
            assert len(seconds) == len(record["loss"]) == len(record["accuracy"]) == ITERATIONS
            assert record["training_seconds"] == pytest.approx(sum(seconds))
            assert record["milliseconds_median"] == pytest.approx(1e3 * np.median(seconds))
            assert record["ratio"] == pytest.approx(base / np.median(seconds))
            low, high = record["milliseconds_quartiles"]
            assert low <= record["milliseconds_median"] <= high
            assert [part["iterations"] for part in record["rounds"]] == [25, 5]
            assert record["blas_threads"] in (1, None)
        orders = np.array([[p["position"] for p in r["rounds"]] for r in document["contenders"]])
        assert np.sort(orders, axis=0).T.tolist() == [[*range(len(CONTENDERS))]] * 2

    def test_results_are_those_of_fit(self, data, document):
        train, dev = fd.load_data(data).head(600).split(100, 0)
        network = fd.Network([784, 10, 10], dtype="float64", init="uniform")
        history = fd.fit(network, train, iterations=ITERATIONS, backend="numpy", progress=False)
        records = {record["name"]: record for record in document["contenders"]}
        for name in ("notebook", "reference-f64", "sparse-f64"):
            np.testing.assert_allclose(records[name]["loss"], history.loss, rtol=0, atol=1e-10)
            np.testing.assert_allclose(
                records[name]["accuracy"], history.accuracy, rtol=0, atol=1e-12
            )
            assert records[name]["weight_difference"] < 1e-10
            share = network.accuracy(dev.images, dev.labels, backend="numpy")
            assert records[name]["accuracy_held_out"] == share

    def test_checksum_is_that_of_fused_training(self, data, document):
        train, _ = fd.load_data(data).head(600).split(100, 0)
        network = fd.Network([784, 10, 10], init="uniform")
        fd.fit(network, train, iterations=ITERATIONS, storage="sparse", progress=False)
        (record,) = (r for r in document["contenders"] if r["name"] == "sparse-f32")
        assert record["weights_crc32"] == f"{zlib.crc32(network.parameters.tobytes()):08x}"

    def test_says_what_was_run(self, compared, data, document):
        assert document["schema"] == 1
        assert document["data"]["fingerprint"] == fd.load_data(data).head(600).fingerprint
        assert document["settings"]["threads"] == 1
        assert str(data.parent) not in json.dumps(document)
        assert document["verdict"]["agrees"]
        assert "iteration 25/30" in compared[0].stderr


class TestFailures:
    def test_divergence_names_the_contender(self, data, tmp_path, capsys):
        words = ["--lr", "1e30", "--contenders", "reference-f32", "--dev", "10"]
        assert cli.main(["compare", str(data), *words, "-o", str(tmp_path)]) == 1
        errors = capsys.readouterr().err
        assert "contender reference-f32 diverged" in errors
        assert "--lr 0.1" in errors

    def test_folder_that_cannot_be_written(self, data, tmp_path, capsys):
        (tmp_path / "file").write_text("")
        assert cli.main(["compare", str(data), "-o", str(tmp_path / "file" / "folder")]) == 1
        assert "Not a directory" in capsys.readouterr().err

    def test_no_labels(self, tmp_path, capsys):
        heading = ",".join(f"pixel{i}" for i in range(784))
        row = ",".join("0" * 784)
        (tmp_path / "test.csv").write_text(f"{heading}\n{row}\n{row}\n")
        words = [str(tmp_path / "test.csv"), "--dev", "1", "-o", str(tmp_path / "out")]
        assert cli.main(["compare", *words]) == 1
        assert "has no labels" in capsys.readouterr().err

    def begin(self, data, folder):
        words = [*COMMAND, data, "--contenders", "notebook,reference-f64", "--dev", "10"]
        return subprocess.Popen(
            [*words, "--iterations", "10000000", "-o", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    @pytest.mark.parametrize(
        ("number", "code", "word", "when"),
        [
            (signal.SIGINT, 130, "interrupted", "is ready"),
            (signal.SIGINT, 130, "interrupted", "iteration 25/"),
            (signal.SIGTERM, 143, "terminated", "iteration 25/"),
        ],
    )
    def test_interrupt_ends_all_processes_quietly(self, data, tmp_path, number, code, word, when):
        with self.begin(data, tmp_path) as process:
            for line in process.stderr:
                if when in line:
                    break
            if number == signal.SIGINT:  # as the terminal sends it: to everyone
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            _, errors = process.communicate(timeout=30)
        assert process.returncode == code
        assert "Traceback" not in errors
        assert errors.splitlines()[-1] == f"fastdigit: {word}"
        assert self.all_gone(process.pid)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
    def test_dead_child_is_named(self, data, tmp_path):
        with self.begin(data, tmp_path) as process:
            for line in process.stderr:
                if "iteration 25/" in line:
                    break
            os.kill(self.contenders(process.pid)[-1], signal.SIGKILL)
            _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "Traceback" not in errors
        assert "the process of contender reference-f64 has died" in errors
        assert self.all_gone(process.pid)

    @pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
    def test_children_do_not_outlive_a_killed_parent(self, data, tmp_path):
        with self.begin(data, tmp_path) as process:
            for line in process.stderr:
                if "iteration 25/" in line:
                    break
            process.kill()
            process.wait()
            assert self.all_gone(process.pid)

    @staticmethod
    def contenders(parent):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [
            int(pid)
            for pid in children
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    @staticmethod
    def all_gone(group):
        """Whether nothing is left in a process group; its last members may need a moment."""
        for _ in range(100):
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.05)
        return False


class TestContenders:
    @pytest.mark.parametrize("name", CONTENDERS)
    def test_agrees_with_the_reference_turn_by_turn(self, name):
        right = CONTENDERS[REFERENCE](task())
        found = CONTENDERS[name](task())
        tolerance = 1e-10 if found.dtype == "float64" else 1e-4
        for count in (1, 0, 12, 3):
            expected, turn = right.step(count), found.step(count)
            assert len(turn.seconds) == count
            np.testing.assert_allclose(turn.loss, expected.loss, rtol=0, atol=tolerance)
            np.testing.assert_allclose(turn.accuracy, expected.accuracy, rtol=0, atol=0.01)
        assert found.parameters().dtype == found.dtype
        np.testing.assert_allclose(found.parameters(), right.parameters(), rtol=0, atol=tolerance)

    @pytest.mark.parametrize("name", CONTENDERS)
    def test_divergence_is_found(self, name):
        rate = 1e300 if name.endswith(("notebook", "f64")) else 1e30
        contender = CONTENDERS[name](task(learning_rate=rate))
        with pytest.raises(fd.DivergenceError, match="no longer finite at iteration"):
            contender.step(20)

    def test_baseline_is_laid_out_as_in_the_notebook(self):
        images, labels = digits(30)
        table = np.column_stack([labels, images]).astype(np.int64)
        X = table.T[1:] / 255.0
        mine = baseline.as_columns(images)
        np.testing.assert_array_equal(mine, X)
        assert (mine.strides, mine.dtype) == (X.strides, X.dtype)

    def test_baseline_knows_ten_classes(self):
        assert baseline.one_hot(np.array([3, 0], np.uint8), 10).shape == (10, 2)


class TestSettling:
    def test_ends_when_all_threads_sleep(self):
        started = time.perf_counter()
        worker._settle()
        assert time.perf_counter() - started < worker.LONGEST_SPIN + 0.5

    def test_waits_for_threads_that_spin(self):
        until = time.perf_counter() + 0.15

        def spin():
            while time.perf_counter() < until:
                pass

        thread = threading.Thread(target=spin)
        thread.start()
        worker._settle()
        assert time.perf_counter() >= until
        thread.join()


class TestVerdict:
    def judge(self, *standings, iterations=500):
        right = Standing(REFERENCE, "float64", 0.8, 0.8, 0.0)
        return judge([right, *standings], REFERENCE, (41_000, 1000), iterations)

    def test_agreement(self):
        verdict = self.judge(
            Standing("a", "float64", 0.8, 0.8, 1e-11), Standing("b", "float32", 0.8, 0.8, 1e-3)
        )
        assert verdict.agrees
        assert "1.0e-11 (a)" in verdict.sentences[0]
        assert "1.0e-03 (b)" in verdict.sentences[1]
        assert verdict.sentences[2].startswith("Same accuracy: every")

    def test_weights_too_far_off(self):
        verdict = self.judge(Standing("a", "float64", 0.8, 0.8, 1.1e-10))
        assert not verdict.agrees
        assert "MORE than" in verdict.sentences[0]

    def test_many_iterations_are_judged_by_accuracy(self):
        assert self.judge(Standing("a", "float64", 0.8, 0.8, 1e-5), iterations=501).agrees

    @pytest.mark.parametrize(
        ("training", "held_out", "agrees"),
        [(0.801, 0.801, True), (0.80105, 0.8, False), (0.8, 0.798, False), (0.799, 0.799, True)],
    )
    def test_accuracy(self, training, held_out, agrees):
        verdict = self.judge(Standing("b", "float32", training, held_out, 1e-5))
        assert verdict.agrees == agrees
        assert ("MORE than" in verdict.sentences[-1]) != agrees

    def test_nothing_to_compare(self):
        assert "nothing was compared" in self.judge().sentences[0]
        alone = Standing("b", "float32", 0.8, 0.8, None)
        assert "did not run" in judge([alone], REFERENCE, (1, 1), 1).sentences[0]


class TestProgress:
    def test_bars_on_a_terminal(self, monkeypatch, capsys):
        from fastdigit.cli import compare_progress
        from fastdigit.measure.comparison import Run
        from fastdigit.measure.contenders import Turn
        from fastdigit.measure.worker import Ready

        monkeypatch.setattr(compare_progress, "interactive", lambda: True)
        ready = Ready("float64", "numpy", 0.0, 0.0, 1, None, 1)
        runs = [Run(name, ready) for name in ("one", "other")]
        with watch(["one", "other"], 4, quiet=False) as shown:
            for run in runs:
                shown.started(run)
                run.turns.append(Turn([0.5] * 4, [0.25] * 4, [0.003] * 4))
                shown.stepped(run)
        errors = capsys.readouterr().err
        assert "loss 0.500, right 25.0%, 3.00 ms" in errors
        assert "100%" in errors

    def test_quiet(self, capsys):
        with watch(["one"], 4, quiet=True) as shown:
            shown.started(None)
            shown.stepped(None)
        assert capsys.readouterr() == ("", "")
