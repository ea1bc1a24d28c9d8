"""The command line, run as people run it: in a process of its own."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastdigit as fd
from fastdigit import cli
from fastdigit.cli.arguments import column, rate, whole
from fastdigit.cli.evaluate import class_table, confusion, most_frequent
from fastdigit.cli.predict import submission
from fastdigit.measure import threads

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "fastdigit"]
ENDLESS = ["--iterations", "1000000000", "--backend", "numpy", "--dev", "10"]
QUICK = ["--iterations", "20", "--backend", "numpy", "--dev", "10"]
HEAVY = ("numpy", "numba", "pandas", "matplotlib", "tqdm", "safetensors", "multiprocessing")


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if name != "FASTDIGIT_DATA"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def run(*words, expect=0, **more):
    """Run the command, compare its exit code, and see that no traceback came out."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(**more),
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == expect, done.stderr
    return done


def begin(*words):
    """Start the command so that Ctrl-C reaches it, even where the tests themselves ignore it."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def digits(rows, seed=0):
    """Ten patterns with noise: learned in a moment, and drawn without a compiler."""
    labels = np.arange(rows) % 10
    patterns = 200 * (np.arange(784) % 10 == np.arange(10)[:, None])
    noise = np.random.RandomState(seed).randint(0, 20, (rows, 784))
    return (patterns[labels] + noise).astype(np.uint8), labels


def write_csv(path, images, labels=None, end="\n"):
    heading = [] if labels is None else ["label"]
    rows = images if labels is None else np.column_stack([labels, images])
    lines = [",".join(heading + [f"pixel{i}" for i in range(784)])]
    lines += [",".join(map(str, row)) for row in rows.tolist()]
    path.write_text("\n".join(lines) + end)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    images, labels = digits(400)
    np.savez(path, images=images, labels=labels)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    images, labels = digits(400)
    network = fd.Network([784, 10, 10], seed=1)
    fd.fit(network, (images, labels), iterations=60, backend="numpy", progress=False)
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    network.save(path)
    assert network.accuracy(images, labels, backend="numpy") > 0.9
    return path


class TestProgram:
    def test_version(self):
        assert run("--version").stdout == f"fastdigit {fd.__version__}\n"

    @pytest.mark.parametrize("command", [[], ["train"], ["compare"], ["predict"], ["info"]])
    def test_help_imports_nothing_heavy(self, command):
        code = (
            "import sys; from fastdigit.cli import main; code = main(sys.argv[1:]); "
            f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr); "
            "sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *command, "--help"],
            capture_output=True,
            text=True,
            env=environment(),
        )
        assert (done.returncode, done.stderr) == (0, "[]\n")
        assert done.stdout.startswith("usage: fastdigit")

    @pytest.mark.parametrize(
        "words",
        [
            [],
            ["fly"],
            ["train", "--iterations", "-1"],
            ["train", "--iterations", "2.5"],
            ["train", "--lr", "nan"],
            ["train", "--lr", "0"],
            ["train", "--hidden", "0"],
            ["train", "--dtype", "float16"],
            ["train", "--backend", "torch"],
            ["train", "--seed", "4294967296"],
            ["train", "--threads", "0"],
            ["train", "--threads", "9" * 20],
            ["train", "--iterations", "9" * 20],
            ["train", "--classes", "257"],
            ["train", "--dropout", "0.995"],
            ["train", "--monitor", "accuracy"],
            ["train", ""],
            ["train", "a.csv", "--data", "b.csv"],
            ["compare", "--contenders", "notebook,torch"],
            ["compare", "--contenders", "notebook,notebook"],
            ["evaluate"],
        ],
    )
    def test_wrong_arguments(self, words, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert cli.main(words) == 2
        assert "error: " in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_no_signal_handler_off_the_main_thread(self, capsys):
        before = signal.getsignal(signal.SIGTERM)
        codes = []
        thread = threading.Thread(target=lambda: codes.append(cli.main(["--version"])))
        thread.start()
        thread.join()
        assert codes == [0]
        assert signal.getsignal(signal.SIGTERM) is before

    def test_handler_is_taken_away(self):
        before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
        assert cli.main(["--version"]) == 0
        after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
        assert after == before

    def test_what_is_ignored_stays_ignored(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with cli.termination_as_interrupt():
                os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(cli.Terminated), cli.termination_as_interrupt():
                os.kill(os.getpid(), signal.SIGTERM)
        finally:
            signal.signal(signal.SIGHUP, before)


class TestTrain:
    def test_all_outputs(self, data, tmp_path):
        model, history, plot = (tmp_path / name for name in ("m.safetensors", "h.csv", "p.png"))
        done = run(
            *("train", data, "--rows", 300, "--dev", 100, "--iterations", 30, "--hidden", 12, 11),
            *("--init", "he", "--dtype", "float64", "--backend", "numpy", "--seed", 3),
            *("--save-model", model, "--history", history, "--plot", plot),
        )
        network = fd.Network.load(model)
        assert network.sizes == (784, 12, 11, 10)
        assert network.dtype == np.float64
        expected = fd.Network([784, 12, 11, 10], dtype="float64", seed=3, init="he")
        train, dev = fd.load_data(data).head(300).split(100, 3)
        fd.fit(expected, train, iterations=30, backend="numpy", progress=False)
        np.testing.assert_allclose(network.parameters, expected.parameters, rtol=0, atol=1e-10)
        share = expected.accuracy(dev.images, dev.labels, backend="numpy")
        assert f"held-out accuracy {share:.2%} of 100 images" in done.stdout
        assert "200 for training, 100 held out" in done.stdout
        assert history.read_text().count("\n") == 32
        assert plot.read_bytes().startswith(b"\x89PNG")
        assert "iteration    10/30" in done.stderr
        *_, last = done.stderr.splitlines()
        assert last.startswith("iteration    30/30")
        assert f"dev {share:.4f}" in last

    def test_fused_kernels(self, data, tmp_path):
        path = tmp_path / "m.safetensors"
        words = ("train", data, "--iterations", 12, "--dev", 50, "--quiet", "--save-model", path)
        first = run(*words, "--threads", 1)
        one = fd.Network.load(path).parameters
        run(*words, "--threads", 2)
        assert first.stderr == ""
        assert fd.Network.load(path).parameters.tobytes() == one.tobytes()

    @pytest.mark.parametrize("backend", ["numpy", "numba"])
    def test_only_what_is_needed_is_imported(self, backend, tmp_path, output_of):
        path = write_csv(tmp_path / "train.csv", *digits(30))
        words = ["train", str(path), "--dev", "9", "--iterations", "2", "--backend", backend]
        lines = output_of(
            f"import sys; from fastdigit.cli import main; main({words!r})\nprint(*sys.modules)"
        )
        loaded = set(lines[-1].split())
        assert "numpy" in loaded
        assert loaded.isdisjoint({"pandas", "matplotlib", "tqdm", "safetensors", "PIL"})

    def test_nothing_held_out_and_no_iterations(self, data, tmp_path, capsys):
        plot = tmp_path / "p.png"
        words = ["--dev", "0", "--iterations", "0", "--backend", "numpy", "--plot", str(plot)]
        assert cli.main(["train", str(data), *words]) == 0
        assert "held-out accuracy" not in capsys.readouterr().out
        assert plot.exists()

    @pytest.mark.parametrize(
        ("fault", "words"),
        [
            ("300", ["line 3", "300"]),
            ("nine", ["line 3", "nine"]),
            ("NaN", ["line 3"]),
        ],
    )
    def test_bad_cell(self, fault, words, tmp_path):
        images, labels = digits(5)
        path = write_csv(tmp_path / "bad.csv", images, labels)
        lines = path.read_text().splitlines()
        cells = lines[2].split(",")
        cells[17] = fault
        lines[2] = ",".join(cells)
        path.write_text("\n".join(lines) + "\n")
        done = run("train", path, "--dev", 1, "--backend", "numpy", expect=1)
        assert done.stderr.startswith("fastdigit: error: ")
        for word in [str(path), *words]:
            assert word in done.stderr

    @pytest.mark.parametrize("content", [None, b"", b"<html></html>", b"\x80\x04pickle"])
    def test_no_data(self, content, tmp_path, capsys):
        path = tmp_path / "there.csv"
        if content is not None:
            path.write_bytes(content)
        assert cli.main(["train", str(path)]) == 1
        errors = capsys.readouterr().err
        assert errors.startswith("fastdigit: error: ")
        assert str(path) in errors

    def test_what_was_learned_from_is_no_test(self, data, capsys):
        assert cli.main(["train", str(data), *QUICK, "--test"]) == 1
        assert "holds no test images of its own" in capsys.readouterr().err

    @pytest.mark.parametrize("how", ["variable", "folder"])
    def test_data_are_not_written_over(self, how, tmp_path, capsys, monkeypatch):
        path = write_csv(tmp_path / "train.csv", *digits(30))
        content = path.read_bytes()
        words = ["train", *QUICK, "--dev", "5", "--save-model", str(path)]
        if how == "variable":
            monkeypatch.setenv("FASTDIGIT_DATA", str(path))
        else:
            words.append(str(tmp_path))
        assert cli.main(words) == 2
        assert "is also read" in capsys.readouterr().err
        assert path.read_bytes() == content

    def test_score_is_that_of_the_weights_kept(self, tmp_path, capsys):
        images, labels = digits(300)
        path = write_csv(tmp_path / "d.csv", images, labels)
        model = tmp_path / "m.safetensors"
        words = ["--dev", "60", "--epochs", "100", "--batch-size", "16", "--lr", "0.5"]
        words += ["--patience", "2", "--optimizer", "adam", "--hidden", "16"]
        assert cli.main(["train", str(path), *words, "--save-model", str(model)]) == 0
        said = re.search(r"held-out accuracy (\S+)% of 60 images(.*)", capsys.readouterr().out)
        _, held_out = fd.load_data(path).split(60, 0)
        share = fd.Network.load(model).accuracy(held_out.images, held_out.labels)
        assert float(said[1]) == pytest.approx(100 * share, abs=0.005)
        assert "stopped early, after" in said[2]

    @pytest.mark.parametrize("option", ["--save-model", "--history", "--plot"])
    def test_missing_directory_is_said_before_training(self, data, tmp_path, option, capsys):
        assert cli.main(["train", str(data), option, str(tmp_path / "none" / "file.png")]) == 1
        output, errors = capsys.readouterr()
        assert "cannot be written" in errors
        assert "iteration" not in errors
        assert output == ""

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_read_only_directory_is_said_before_training(self, data, tmp_path, capsys):
        tmp_path.chmod(0o500)
        assert cli.main(["train", str(data), "--plot", str(tmp_path / "p.png")]) == 1
        output, errors = capsys.readouterr()
        assert "cannot be written" in errors
        assert output == ""

    @pytest.mark.parametrize("command", ["train", "compare"])
    def test_a_label_too_many_hints_at_the_option(self, command, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        images, _ = digits(30)
        path = write_csv(tmp_path / "letters.csv", images, np.arange(30) % 12)
        words = ["--dev", "5", "--iterations", "1"]
        if command == "train":
            words += ["--backend", "numpy"]
        assert cli.main([command, str(path), *words]) == 1
        errors = capsys.readouterr().err
        assert f"{path}: row 11 has label 11" in errors
        assert "--classes 12" in errors
        if command == "train":
            assert cli.main([command, str(path), *words, "--classes", "12"]) == 0

    def test_divergence_saves_the_last_finite_weights(self, data, tmp_path):
        path = tmp_path / "m.safetensors"
        done = run(
            *("train", data, *QUICK, "--lr", "1e30", "--quiet", "--save-model", path),
            expect=1,
        )
        assert "the last finite weights are in" in done.stderr
        assert "smaller learning rate" in done.stderr
        assert np.isfinite(fd.Network.load(path).parameters).all()

    def test_warning_is_one_line(self, data):
        done = run(
            *("train", data, "--lr", "1e-9", "--iterations", 101, "--dev", 10, "--quiet"),
            *("--backend", "numpy"),
        )
        (line,) = done.stderr.splitlines()
        assert line.startswith("fastdigit: warning: accuracy is ")

    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
    )
    def test_interrupt_saves_the_last_iteration(self, data, tmp_path, number, code):
        path = tmp_path / "m.safetensors"
        with begin("train", data, *ENDLESS, "--save-model", path) as process:
            for line in process.stderr:
                if line.startswith("iteration    20/"):
                    break
            process.send_signal(number)
            sent = time.perf_counter()
            output, errors = process.communicate(timeout=60)
            took = time.perf_counter() - sent
        assert process.returncode == code
        assert "Traceback" not in errors
        assert f"the last weights are in {path}" in errors
        assert f"saved {path}" in output
        assert np.isfinite(fd.Network.load(path).parameters).all()
        assert took < 5
        whole_iterations = int(errors.split("stopped after ")[1].split()[0])
        expected = fd.Network([784, 10, 10], init="uniform")
        train, _ = fd.load_data(data).split(10, 0)
        fd.fit(expected, train, iterations=whole_iterations, backend="numpy", progress=False)
        found = fd.Network.load(path).parameters
        # The signal may have come between an update and its record.
        if not np.allclose(found, expected.parameters, rtol=0, atol=1e-5):
            fd.fit(expected, train, iterations=1, backend="numpy", progress=False)
            np.testing.assert_allclose(found, expected.parameters, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("gap", [0.0, 0.003, 0.01, 0.02])
    def test_interrupting_again_loses_nothing(self, data, tmp_path, gap):
        """Whenever the second signal comes, the weights are saved and said to be."""
        path = tmp_path / "m.safetensors"
        with begin("train", data, *ENDLESS, "--save-model", path) as process:
            for line in process.stderr:
                if line.startswith("iteration    20/"):
                    break
            for _ in range(3):
                process.send_signal(signal.SIGINT)
                time.sleep(gap)
            _, errors = process.communicate(timeout=60)
        assert f"the last weights are in {path}" in errors
        assert np.isfinite(fd.Network.load(path).parameters).all()

    def test_interrupt_before_the_first_iteration(self, data, tmp_path):
        path = tmp_path / "m.safetensors"
        with begin("train", data, *ENDLESS, "--save-model", path) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors

    def test_default_data_from_the_environment(self, data):
        done = run(
            *("train", *QUICK),
            FASTDIGIT_DATA=str(data),
        )
        assert f"uses what FASTDIGIT_DATA names: {data}" in done.stdout


class TestCsv:
    @pytest.fixture
    def bare(self, tmp_path):
        """Return a file without a header and without a last line end, the labels last."""
        images, labels = digits(60)
        rows = np.column_stack([images, labels]).tolist()
        path = tmp_path / "bare.csv"
        path.write_text("\n".join(",".join(map(str, row)) for row in rows))
        return path

    def test_hints_are_followed_until_it_works(self, bare, model, capsys):
        words = ["evaluate", str(model), str(bare), "--backend", "numpy"]
        for option in ("--no-header", "--label-column first", "--allow-missing-newline"):
            assert cli.main(words) == 1
            errors = capsys.readouterr().err
            assert f"pass {option}" in errors
            assert "header=" not in errors
            words += option.replace("first", "last").split()
        assert cli.main(words) == 0
        assert "(60 of 60 right)" in capsys.readouterr().out

    def test_train(self, bare, capsys):
        words = ["--no-header", "--label-column=-1", "--allow-missing-newline", *QUICK]
        assert cli.main(["train", str(bare), *words]) == 0
        assert "50 for training, 10 held out" in capsys.readouterr().out

    def test_predict(self, bare, model, capsys):
        words = ["--no-header", "--allow-missing-newline", "--backend", "numpy"]
        assert cli.main(["predict", str(model), str(bare), *words, "--label-column", "last"]) == 0
        assert capsys.readouterr().out.split() == [str(row % 10) for row in range(60)]
        assert cli.main(["predict", str(model), str(bare), *words, "--label-column", "none"]) == 1
        assert "785 pixels" in capsys.readouterr().err

    def test_a_file_must_be_named(self, data, capsys, monkeypatch):
        monkeypatch.setenv("FASTDIGIT_DATA", str(data))
        assert cli.main(["train", "--no-header"]) == 2
        assert "need DATA" in capsys.readouterr().err


class TestStreams:
    @pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs terminals")
    def test_terminal_closed(self, data, tmp_path):
        """Whoever logs out finds the weights of the last whole iteration."""
        path = tmp_path / "m.safetensors"
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        command = [*COMMAND, "train", data, *ENDLESS, "--save-model", path]
        with subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        ) as process:
            os.close(theirs)
            killer = threading.Timer(60, process.kill)
            killer.start()
            seen = b""
            while b"loss=" not in seen:
                seen += os.read(ours, 1000)
            os.close(ours)
            assert process.wait() == 129
            killer.cancel()
        assert np.isfinite(fd.Network.load(path).parameters).all()

    def test_reader_gone(self, data, tmp_path):
        path = tmp_path / "m.safetensors"
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*COMMAND, "train", data, *QUICK, "--save-model", path],
            stdout=writing,
            stderr=writing,
            env=environment(),
            timeout=60,
        )
        os.close(writing)
        assert done.returncode == 0
        assert path.exists()

    def test_reader_gone_says_nothing_on_stderr(self, data, model):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*COMMAND, "predict", model, data, "--backend", "numpy"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=60,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
    def test_closed(self, data, model, closing):
        command = f'"$0" -m fastdigit predict "$1" "$2" --backend numpy {closing}'
        done = subprocess.run(
            ["sh", "-c", command, sys.executable, str(model), str(data)],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_full_disk(self, data, model):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*COMMAND, "predict", model, data, "--backend", "numpy"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
                timeout=60,
            )
        assert done.returncode == 1
        assert done.stderr == "fastdigit: error: No space left on device\n"

    def test_not_utf8(self, tmp_path):
        done = run("train", tmp_path / "zażółć.csv", expect=1, PYTHONIOENCODING="ascii")
        assert "za???.csv" in done.stderr or "za" in done.stderr

    @pytest.mark.parametrize(
        "words", [("train", "--plot"), ("evaluate", "--picture"), ("info", "-o")]
    )
    def test_pictures_are_png_files(self, words, capsys):
        assert cli.main([*words, "curves.pdf"]) == 2
        assert "'curves.pdf' does not end in .png" in capsys.readouterr().err


class TestEvaluate:
    def test_scores(self, data, model, tmp_path):
        picture = tmp_path / "confusion.png"
        done = run("evaluate", model, data, "--backend", "numpy", "--picture", picture)
        network = fd.Network.load(model)
        images, labels = digits(400)
        share = network.accuracy(images, labels, backend="numpy")
        assert f"accuracy {share:.2%} (" in done.stdout
        assert picture.read_bytes().startswith(b"\x89PNG")

    def test_rows_and_missing_classes(self, data, model, capsys):
        words = ["evaluate", str(model), str(data), "--backend", "numpy", "--rows", "3"]
        assert cli.main(words) == 0
        assert "3 images" in capsys.readouterr().out

    def test_no_labels(self, model, tmp_path, capsys):
        path = write_csv(tmp_path / "test.csv", digits(3)[0])
        assert cli.main(["evaluate", str(model), str(path), "--backend", "numpy"]) == 1
        assert "has no labels" in capsys.readouterr().err

    def test_no_model(self, data, tmp_path, capsys):
        assert cli.main(["evaluate", str(tmp_path / "none"), str(data)]) == 1
        assert "there is no such file" in capsys.readouterr().err

    def test_tables(self):
        labels = np.array([0, 0, 1, 2, 2], np.uint8)
        found = np.array([0, 1, 1, 0, 0])
        counts = confusion(labels, found, 4)
        assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]
        assert most_frequent(counts) == [(2, 0, 2), (0, 1, 1)]
        lines = [line.split() for line in class_table(counts).splitlines()[2:]]
        assert lines == [
            ["0", "2", "1", "33.3%", "50.0%"],
            ["1", "1", "1", "50.0%", "100.0%"],
            ["2", "2", "0", "-", "0.0%"],
            ["3", "0", "0", "-", "-"],
        ]

    def test_counts_of_many_classes_do_not_wrap(self):
        labels = np.array([255, 254], np.uint8)
        counts = confusion(labels, np.array([255, 0]), 256)
        assert counts[255, 255] == counts[254, 0] == 1


class TestPredict:
    def test_tables_with_and_without_labels(self, model, tmp_path, capsys):
        images, labels = digits(20, seed=5)
        expected = fd.Network.load(model).predict(images, backend="numpy").tolist()
        np.savez(tmp_path / "bare.npz", images=images)
        for path in (
            write_csv(tmp_path / "with.csv", images, labels),
            write_csv(tmp_path / "without.csv", images),
            tmp_path / "bare.npz",
        ):
            assert cli.main(["predict", str(model), str(path), "--backend", "numpy"]) == 0
            assert capsys.readouterr().out == "\n".join(map(str, expected)) + "\n"

    def test_submission(self, model, tmp_path, capsys):
        path = write_csv(tmp_path / "test.csv", digits(4)[0])
        out = tmp_path / "submission.csv"
        words = ["predict", str(model), str(path), "-o", str(out), "--backend", "numpy"]
        assert cli.main(words) == 0
        lines = out.read_text().splitlines()
        assert lines[0] == "ImageId,Label"
        assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3", "4"]
        assert capsys.readouterr().out == ""
        assert submission(np.array([7, 0])) == b"ImageId,Label\n1,7\n2,0\n"

    def test_pictures(self, model, tmp_path):
        from PIL import Image

        image = digits(4)[0][3].reshape(28, 28)
        Image.fromarray(image).save(tmp_path / "three.png")
        Image.fromarray(255 - image).resize((56, 56), 0).save(tmp_path / "dark.png")
        done = run("predict", model, tmp_path / "three.png", "--backend", "numpy")
        probability = fd.Network.load(model).predict_proba(image.reshape(1, -1), backend="numpy")
        assert done.stdout == f"{tmp_path / 'three.png'}: 3 ({probability[0, 3]:.1%})\n"
        done = run("predict", model, tmp_path / "dark.png", "--invert", "--backend", "numpy")
        assert ": 3 (" in done.stdout
        assert "is 56 x 56 pixels, resized to 28 x 28" in done.stderr

    def test_bright_picture_is_warned_of(self, model, tmp_path):
        from PIL import Image

        Image.new("RGB", (28, 28), "white").save(tmp_path / "paper.jpg")
        done = run("predict", model, tmp_path / "paper.jpg", "--backend", "numpy")
        assert "use --invert" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.parametrize("kind", ["transparent", "sixteen bits", "cut", "huge"])
    def test_doubtful_pictures_are_refused(self, kind, model, tmp_path, capsys):
        from PIL import Image

        path = tmp_path / "doubtful.png"
        if kind == "transparent":
            Image.new("RGBA", (28, 28), (0, 0, 0, 0)).save(path)
        elif kind == "sixteen bits":
            Image.fromarray(np.zeros((28, 28), np.uint16)).save(path)
        elif kind == "cut":
            Image.fromarray(digits(1)[0].reshape(28, 28)).save(path)
            path.write_bytes(path.read_bytes()[:200])
        else:
            Image.new("1", (30_000, 10_000)).save(path)
        assert cli.main(["predict", str(model), str(path), "--backend", "numpy"]) == 1
        assert capsys.readouterr().err.startswith(f"fastdigit: error: {path}: ")

    def test_opaque_alpha_is_accepted(self, model, tmp_path, capsys):
        from PIL import Image

        path = tmp_path / "opaque.png"
        Image.new("RGBA", (28, 28), (9, 9, 9, 255)).save(path)
        assert cli.main(["predict", str(model), str(path), "--backend", "numpy"]) == 0
        capsys.readouterr()

    def test_arguments_that_do_not_go_together(self, data, model, tmp_path, capsys):
        model, data, out = str(model), str(data), str(tmp_path / "o.csv")
        assert cli.main(["predict", model, data, data, "-o", out]) == 2
        assert "one INPUT" in capsys.readouterr().err
        assert cli.main(["predict", model, data, "--invert"]) == 2
        assert "is for pictures" in capsys.readouterr().err

    def test_missing_input(self, model, tmp_path, capsys):
        assert cli.main(["predict", str(model), str(tmp_path / "none.png")]) == 1
        assert "there is no such file" in capsys.readouterr().err

    def test_images_of_another_size(self, model, tmp_path, capsys):
        path = tmp_path / "small.npz"
        np.savez(path, images=np.zeros((2, 9), np.uint8))
        assert cli.main(["predict", str(model), str(path), "--backend", "numpy"]) == 1
        assert "9 pixels" in capsys.readouterr().err


class TestOthers:
    @pytest.mark.parametrize("threads", ["0", "-3", "abc", "1.5"])
    def test_numbers_of_threads_that_numba_stops_at(self, threads):
        done = run("info", expect=2, NUMBA_NUM_THREADS=threads)
        (line,) = done.stderr.splitlines()
        assert f"NUMBA_NUM_THREADS={threads} in the environment; it must be a whole" in line

    @pytest.mark.parametrize("schedule", ["linear", "cosine", "step", "constant"])
    def test_more_steps_than_can_be_counted(self, data, schedule):
        many = ("--epochs", 2**62, "--schedule", schedule)
        done = run("train", data, "--recipe", "98", *many, expect=1)
        assert f"epochs={2**62} of " in done.stderr

    def test_info(self, data):
        done = run("info", FASTDIGIT_DATA=str(data), NUMBA_NUM_THREADS="1")
        facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line[0] != " ")
        assert facts["threads"] == "1 (NUMBA_NUM_THREADS=1)"
        assert facts["python"].startswith("3.")
        assert "400 images" in facts["data"]
        assert facts["matrix"].startswith("unit ")

    def test_info_with_data_that_cannot_be_read(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setenv("FASTDIGIT_DATA", str(tmp_path / "none"))
        assert cli.main(["info"]) == 0
        assert "cannot be used" in capsys.readouterr().out

    def test_download_of_something_else(self):
        run("download", "imagenet", expect=2)

    def test_download_into_a_file(self, tmp_path):
        (tmp_path / "file").write_text("")
        done = run("download", "mnist", tmp_path / "file", expect=1)
        assert "cannot be made" in done.stderr

    def test_numbers(self):
        assert whole(0)("0") == 0
        assert rate("1e-4") == 1e-4

    def test_columns(self):
        given = ("first", "label", "12", "-1", "none", "None")
        assert [column(text) for text in given] == ["first", "label", 12, -1, None, None]

    def test_threads(self, monkeypatch):
        monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
        assert threads.allowed() == 3
        monkeypatch.setenv("NUMBA_NUM_THREADS", "many")
        assert threads.allowed() >= 1
        for variable in threads.VARIABLES:
            monkeypatch.setenv(variable, "9")
        threads.limit(2)
        assert {os.environ[variable] for variable in threads.VARIABLES} == {"2"}
