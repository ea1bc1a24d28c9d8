"""Other libraries: each learns and finds the same as the reference, and the commands time them."""

import argparse
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastdigit.errors import DivergenceError
from fastdigit.measure.contenders import (
    BASE,
    CONTENDERS,
    REFERENCE,
    WEIGHTS_WITHIN,
    Notebook,
    Task,
)
from fastdigit.measure.machine import machine
from fastdigit.measure.paired import Entrant, Topic
from fastdigit.measure.peers import PACKAGES, PEERS
from fastdigit.measure.predictors import PREDICTORS
from fastdigit.measure.suites.iteration import agreement

ROOT = Path(__file__).parents[1]
PEER_MODULES = {"jax", "jaxlib", "torch", "scipy", "sklearn", "onnx", "onnxruntime"}

# All libraries in one process, which is not that of the tests: some of them start threads that
# forbid a fork, and importing them takes seconds.
EVERYTHING = """
import functools, json
from fastdigit.measure import threads
threads.limit(1)  # two would wait for each other where the tests have no core of their own
import numpy as np
import fastdigit as fd
from fastdigit.measure import predictors
from fastdigit.measure.contenders import BASE, CONTENDERS, REFERENCE, Task
from fastdigit.measure.peers import PEERS

if PEERS["torch-compile-f32"].installed:
    import torch
    # Inductor calls a C++ compiler, for minutes.
    torch.compile = functools.partial(torch.compile, backend="eager")

digits = fd.make_digits(150, seed=3)
floats = np.random.RandomState(0).rand(*digits.images.shape).astype(np.float32)
trained = {}
for kind, images in (("bytes", digits.images), ("floats", floats)):
    task = Task(images, digits.labels, (784, 10, 10), 7, 0.1, 1)
    right = CONTENDERS[REFERENCE](task)
    right.step(5)
    for name, build in {BASE: CONTENDERS[BASE], **PEERS}.items():
        if not getattr(build, "installed", True) or (kind == "floats" and name.endswith("f64")):
            continue
        contender = build(task)
        turns = contender.step(3), contender.step(2)
        parameters = contender.parameters()
        trained[f"{name} {kind}"] = {
            "dtypes": [contender.dtype, str(parameters.dtype)],
            "seconds": [len(turn.seconds) for turn in turns],
            "positive": all(second > 0 for turn in turns for second in turn.seconds),
            "difference": float(np.abs(parameters - right.parameters()).max()),
            "prepared": contender.prepare_seconds >= 0 and contender.compile_seconds >= 0,
        }

predictors.CHUNKS = 64, 256
network = fd.Network([784, 10, 10], seed=1)
expected = np.resize(network.predict(digits.images, backend="numpy"), 700)
predicted = {}
for name, entry in predictors.PREDICTORS.items():
    if entry.installed:
        predictor = entry(predictors.Question(digits.images, 700, network, 1))
        turn = predictor.step(2)
        right = (predictor.labels() == expected).mean()
        predicted[name] = [float(right), len(turn.seconds), predictor.chunk_size()]
print(json.dumps([trained, predicted]))
"""


def needs(*packages):
    for package in packages:
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def everything():
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class TestPeers:
    def test_none_is_imported_before_it_is_built(self, output_of):
        loaded = output_of(
            "import sys\n"
            "from fastdigit.measure import contenders, onnx_model, peers, predictors\n"
            "[peer.installed for peer in peers.PEERS.values()]\n"
            "[entry.installed for entry in predictors.PREDICTORS.values()]\n"
            "print(*sys.modules, sep='\\n')"
        )
        assert "fastdigit.measure.peers" in loaded
        assert PEER_MODULES.isdisjoint(loaded)

    def test_names(self):
        assert not PEERS.keys() & CONTENDERS.keys()
        for name, peer in PEERS.items():
            assert peer.dtype == {"f32": "float32", "f64": "float64"}[name[-3:]]

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            *((name, "bytes") for name in (BASE, *PEERS)),
            *((name, "floats") for name in (BASE, *PEERS) if not name.endswith("f64")),
        ],
    )
    def test_learns_what_the_reference_learns(self, everything, name, kind):
        trained, _ = everything
        if f"{name} {kind}" not in trained:
            pytest.skip(f"{PEERS[name].package} is not installed")
        found = trained[f"{name} {kind}"]
        dtype = "float64" if name == BASE else PEERS[name].dtype
        assert found["dtypes"] == [dtype, dtype]
        assert found["seconds"] == [3, 2]
        assert found["positive"]
        assert found["prepared"]
        assert found["difference"] <= WEIGHTS_WITHIN[dtype]

    def test_divergence_is_found(self):
        needs("scipy")
        images = np.full((20, 784), 255, np.uint8)
        labels = (np.arange(20) % 10).astype(np.uint8)
        task = Task(images, labels, (784, 10, 10), 0, 1e300, 1)
        with np.errstate(all="ignore"), pytest.raises(DivergenceError):
            PEERS["scipy-csr-f32"](task).step(20)

    def test_a_library_that_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "jax", None)
        assert not PEERS["jax-jit-f32"].installed
        assert not PREDICTORS["jax"].installed

    def test_versions_of_packages(self):
        found = machine([*PACKAGES, "no-such-package"])["versions"]
        assert set(PACKAGES) <= found.keys()
        assert found["no-such-package"] is None


class TestPredictors:
    @pytest.mark.parametrize("name", PREDICTORS)
    def test_labels(self, everything, name):
        _, predicted = everything
        if name not in predicted:
            pytest.skip(f"{' or '.join(PREDICTORS[name].packages)} is not installed")
        right, turns, chunk = predicted[name]
        assert right == 1
        assert turns == 2
        assert chunk in {"fastdigit": {700}, "reference": {4096}}.get(name, {64, 256})

    def test_onnx_model_is_one_that_runtimes_take(self):
        needs("onnx")
        import onnx

        import fastdigit as fd
        from fastdigit.measure.onnx_model import onnx_model

        for takes, nodes in (("uint8", 6), ("float32", 4)):
            model = onnx.load_from_string(onnx_model(fd.Network([9, 3, 2]), takes))
            assert 8 <= model.ir_version <= 10
            assert 13 <= model.opset_import[0].version <= 17
            assert len(model.graph.node) == nodes


# --- the commands --------------------------------------------------------------------------------


def run(command, *words):
    return subprocess.run(
        [sys.executable, ROOT / "bench" / command, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    labels = (np.arange(400) % 10).astype(np.uint8)
    patterns = 200 * (np.arange(784) % 10 == np.arange(10)[:, None])
    noise = np.random.RandomState(0).randint(0, 20, (400, 784))
    np.savez(path, images=(patterns[labels] + noise).astype(np.uint8), labels=labels)
    return path


def published(folder):
    """Return what a command has written, which must tell nothing of this machine's places."""
    assert {path.name for path in folder.iterdir()} == {"README.md", "results.json"}
    texts = [path.read_text() for path in folder.iterdir()]
    for text in texts:
        for secret in (str(folder.parent), f"{Path.home()}/", "://"):
            assert secret not in text
        assert platform.node() not in re.findall(r"[\w.-]+", text)
    return json.loads((folder / "results.json").read_text()), (folder / "README.md").read_text()


def timed(document):
    """Return the contenders of the only question by their names."""
    (question,) = document["questions"]
    return {found["name"]: found for found in question["contenders"]}


class TestCommands:
    def test_training(self, data, tmp_path):
        needs("scipy")
        out = tmp_path / "made" / "here"
        words = ("--rows", 300, "--dev", 50, "--rounds", 3, "--iterations", 2, "--threads", 1)
        names = ("--contenders", "scipy-csr-f32,scipy-csr-f64,reference-f32", "--dtype", "float32")
        done = run("peers.py", "--data", data, *words, *names, "--out", out)
        assert done.returncode == 0, done.stderr
        document, page = published(out)
        records = timed(document)
        assert set(records) == {BASE, REFERENCE, "reference-f32", "scipy-csr-f32"}
        times = [record["median_seconds"] for record in records.values()]
        assert times == sorted(times)
        assert document["data"]["images"] == 250
        for name, record in records.items():
            assert [len(turn["seconds"]) for turn in record["rounds"]] == [2, 2, 2]
            assert (record["ratio"] is None) == (name == BASE)
            assert record["check"]["difference"] <= WEIGHTS_WITHIN[record["dtype"]]
            assert f"| {name} |" in page
            assert name in done.stdout
        assert records["scipy-csr-f32"]["import_seconds"] > 0
        assert document["machine"]["versions"]["scipy"] in page
        assert sum(document["parts"].values()) <= document["wall_seconds"]

    def test_training_on_random_floats(self, tmp_path):
        words = ("--rows", 60, "--dev", 10, "--rounds", 1, "--iterations", 1, "--threads", 1)
        names = ("--contenders", "scipy-csr-f32,reference-f32")
        done = run("peers.py", "--data", "random", *words, *names, "--out", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        document, _ = published(tmp_path / "out")
        assert set(timed(document)) == {BASE, REFERENCE, "reference-f32"}
        assert document["data"]["share_of_zeros"] == 0

    def test_prediction(self, data, tmp_path):
        needs("sklearn")
        words = ("--images", 900, "--rounds", 2, "--threads", 1, "--trained", 0)
        names = ("--contenders", "fastdigit,sklearn")
        done = run("predict.py", "--data", data, *words, *names, "--out", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        document, page = published(tmp_path / "out")
        records = timed(document)
        assert set(records) == {"fastdigit", "sklearn"}
        for name, record in records.items():
            assert record["check"]["difference"] <= 1e-4
            assert [len(turn["seconds"]) for turn in record["rounds"]] == [1, 1]
            assert f"| {name} |" in page

    @pytest.mark.parametrize("command", ["peers.py", "predict.py"])
    def test_a_contender_that_does_not_exist(self, data, tmp_path, command):
        done = run(command, "--data", data, "--contenders", "nobody", "--out", tmp_path / "out")
        assert done.returncode == 2
        assert "there is no 'nobody'" in done.stderr
        assert not (tmp_path / "out").exists()


class Forgetful(Notebook):
    """A notebook that leaves out the last image, if there are more."""

    def __init__(self, task):
        count = max(1, len(task.images) - 1)
        super().__init__(task._replace(images=task.images[:count], labels=task.labels[:count]))


class TestContest:
    def test_wrong_ones_get_no_time_and_an_error(self, monkeypatch, tmp_path, capsys):
        monkeypatch.syspath_prepend(ROOT / "bench")
        monkeypatch.setattr(sys, "argv", ["/some/where/peers.py", "--data", "/else/where"])
        import contest

        images = np.random.RandomState(0).randint(0, 256, (30, 784)).astype(np.uint8)
        task = Task(images, (np.arange(30) % 10).astype(np.uint8), (784, 10, 10), 0, 0.1, 1)
        options = argparse.Namespace(
            rounds=1, iterations=1, warm_up=0, seed=0, threads=1, quiet=True
        )
        found = contest.document(
            "test",
            Topic("iteration", "notebooks", "iteration", {}),
            [
                Entrant(BASE, "numpy", "float64", Notebook),
                Entrant("forgetful", "numpy", "float64", Forgetful),
            ],
            task,
            agreement(task),
            BASE,
            options,
            {},
            {},
        )
        with pytest.raises(SystemExit, match="forgetful did not find"):
            contest.publish(tmp_path, found, contest.columns(), "Title", "Words.", [])
        document, page = published(tmp_path)
        wrong = timed(document)["forgetful"]
        assert wrong["median_seconds"] is None
        assert wrong["rounds"] == []
        assert f"forgetful was refused: {wrong['refused'].split(' off')[0]}" in page
        assert "| notebook |" in page
        assert document["settings"]["command"] == "python bench/peers.py --data where"
