"""Networks on disk: what comes back, what is refused, and what survives a failure."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from fastdigit import DataError, Network, storage
from fastdigit.kernels.reference import ACTIVATIONS

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def network(dtype="float32", sizes=(6, 4, 3), activation="relu"):
    return Network(sizes, dtype, seed=5, init="uniform", activation=activation)


def saved(path, **arguments):
    network(**arguments).save(path)
    return path


def tensors_of(network):
    names = {}
    for k, (W, b) in enumerate(zip(network.weights, network.biases, strict=True), start=1):
        names |= {f"W{k}": W, f"b{k}": b}
    return names


METADATA = {"format": storage.FORMAT, "activation": "relu"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(6, 4, 3), (1, 1), (784, 10, 10), (9, 7, 5, 3, 2)], ids=str)
def test_round_trip(sizes, dtype, tmp_path):
    before = network(dtype, sizes)
    path = tmp_path / "digits.safetensors"
    before.save(path)
    after = Network.load(path)
    assert after.sizes == before.sizes
    assert after.dtype == before.dtype
    np.testing.assert_array_equal(after.parameters, before.parameters)
    images = np.random.RandomState(0).randint(0, 256, (5, sizes[0])).astype(np.uint8)
    np.testing.assert_array_equal(after.predict_proba(images), before.predict_proba(images))
    assert os.listdir(tmp_path) == ["digits.safetensors"]
    assert Network.load(str(path)).sizes == before.sizes


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activation_comes_back(activation, tmp_path):
    before = network(sizes=(9, 7, 5), activation=activation)
    before.save(tmp_path / "n")
    after = Network.load(tmp_path / "n")
    assert after.activation == activation
    images = np.random.RandomState(0).randint(0, 256, (5, 9)).astype(np.uint8)
    np.testing.assert_array_equal(after.predict_proba(images), before.predict_proba(images))


def test_the_same_network_gives_the_same_bytes(tmp_path):
    contents = {saved(tmp_path / "n", activation="tanh").read_bytes() for _ in range(20)}
    assert len(contents) == 1


def test_files_of_the_first_format_are_networks_with_relu(tmp_path):
    tensors = tensors_of(network())
    after = Network.load(written(tmp_path / "n", tensors, {"format": "fastdigit network 1"}))
    assert after.activation == "relu"
    np.testing.assert_array_equal(after.parameters, network().parameters)


def test_special_numbers_keep_their_bits(tmp_path):
    before = network("float64")
    before.parameters[:4] = [-0.0, 5e-324, 1.7976931348623157e308, -1e-300]
    before.save(tmp_path / "n")
    assert Network.load(tmp_path / "n").parameters.tobytes() == before.parameters.tobytes()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_saved(number, tmp_path):
    """They could not be read again; and what was there stays."""
    path = saved(tmp_path / "n")
    before = path.read_bytes()
    wrong = network()
    wrong.parameters[5] = number
    with pytest.raises(ValueError, match="weights contain NaN or infinity"):
        wrong.save(path)
    assert path.read_bytes() == before


def test_other_programs_can_read_it(tmp_path):
    path = saved(tmp_path / "n")
    tensors = load_file(path)
    assert sorted(tensors) == ["W1", "W2", "b1", "b2"]
    np.testing.assert_array_equal(tensors["W2"], network().weights[1])


@posix
def test_a_saved_file_has_ordinary_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        path = saved(tmp_path / "n")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_saving_replaces_what_was_there(tmp_path):
    path = saved(tmp_path / "n")
    other = Network((2, 2), "float64", seed=9)
    other.save(path)
    np.testing.assert_array_equal(Network.load(path).parameters, other.parameters)
    assert os.listdir(tmp_path) == ["n"]


# --- refused -------------------------------------------------------------------------------------


def written(path, tensors, metadata=None):
    path.write_bytes(to_bytes({name: np.array(value) for name, value in tensors.items()}, metadata))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable safetensors file"),
        (b"\x00" * 100, "not a readable safetensors file"),
        (b"\xff" * 100, "not a readable safetensors file"),
        (pickle.dumps({"W1": [1.0]}), "not a readable safetensors file"),
        (b"<html>404</html>", "not a readable safetensors file"),
        (b"PK\x03\x04" + bytes(60), "not a readable safetensors file"),
    ],
)
def test_foreign_files_are_refused(content, message, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        Network.load(path)
    assert str(path) in str(raised.value)


def test_missing_files_and_directories_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"gone: there is no such file"):
        Network.load(tmp_path / "gone")
    with pytest.raises(DataError, match="not a readable safetensors file"):
        Network.load(tmp_path)


def test_every_truncation_is_refused(tmp_path):
    content = saved(tmp_path / "whole", sizes=(3, 2)).read_bytes()
    path = tmp_path / "part"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            Network.load(path)
    path.write_bytes(content + b"\x00")
    with pytest.raises(DataError):
        Network.load(path)


def changed(**changes):
    tensors = tensors_of(network()) | changes
    return {name: value for name, value in tensors.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        (changed(), None, "format is None"),
        (changed(), METADATA | {"format": "fastdigit network 99"}, "'fastdigit network 99'"),
        (changed(), {"format": storage.FORMAT}, "activation=''; the activations are 'relu', "),
        (changed(), METADATA | {"activation": "gelu"}, "activation='gelu'; the activations are"),
        (changed(), METADATA | {"format": storage.FIRST_FORMAT, "activation": "a"}, "='a'; the"),
        (changed(W1=network().weights[0].T.copy()), METADATA, r"W1 is \(6, 4\).*expected \(4, 4\)"),
        (changed(b2=np.zeros((3, 1), "f4")), METADATA, r"b2 is \(3, 1\).*expected \(3,\)"),
        (changed(W2=network().weights[1].astype("f8")), METADATA, "W2 is .*float64"),
        (changed(W1=np.zeros((4, 6), "i4")), METADATA, "int32"),
        (changed(W1=np.full((4, 6), np.nan, "f4")), METADATA, "W1 contains NaN or infinity"),
        (changed(b1=np.full(4, -np.inf, "f4")), METADATA, "b1 contains NaN or infinity"),
        (changed(b2=None), METADATA, "it holds .*expected"),
        (changed(b2=None, c2=np.zeros(3, "f4")), METADATA, "it holds .*'c2'.*expected .*'b2'"),
        (changed(W1=None), METADATA, "it holds .*expected .*'W1'"),
        (changed(b3=np.zeros(3, "f4")), METADATA, "it holds .*'b3'"),
        (changed(W1=np.zeros(6, "f4")), METADATA, r"W1 has shape \(6,\)"),
    ],
)  # fmt: skip
def test_damaged_networks_are_refused(tensors, metadata, message, tmp_path):
    path = written(tmp_path / "model", tensors, metadata)
    with pytest.raises(DataError, match=message) as raised:
        Network.load(path)
    assert str(path) in str(raised.value)


def with_header(header, body):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    "dtype",
    [
        "BF16",
        "I64",
        "BOOL",
        pytest.param("F8_E4M3"),
    ],
)  # fmt: skip
def test_tensors_of_other_types_are_refused(dtype, tmp_path):
    size = {"BF16": 2, "I64": 8}.get(dtype, 1)
    header = {
        "__metadata__": {"format": storage.FORMAT, "activation": "relu"},
        "W1": {"dtype": dtype, "shape": [2, 2], "data_offsets": [0, 4 * size]},
        "b1": {"dtype": dtype, "shape": [2], "data_offsets": [4 * size, 6 * size]},
    }
    path = tmp_path / "model"
    path.write_bytes(with_header(header, bytes(6 * size)))
    with pytest.raises(DataError):
        Network.load(path)


def test_duplicate_names_are_refused(tmp_path):
    path = saved(tmp_path / "model")
    path.write_bytes(path.read_bytes().replace(b'"b1"', b'"W1"'))
    with pytest.raises(DataError):
        Network.load(path)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_bits_load_as_a_network_or_are_refused(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "flipped"
    content = bytearray(saved(path).read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    flips = st.integers(0, 8 * header - 1) | st.integers(0, 8 * len(content) - 1)
    for bit in data.draw(st.lists(flips, min_size=1, max_size=3, unique=True)):
        content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    try:
        loaded = Network.load(path)
    except DataError:
        return
    assert loaded.sizes == (6, 4, 3)
    assert np.isfinite(loaded.parameters).all()


def test_every_single_flip_of_the_header_loads_the_same_or_is_refused(tmp_path):
    path = saved(tmp_path / "model", sizes=(3, 2), activation="tanh")
    content = path.read_bytes()
    expected = Network.load(path).parameters
    header = 8 + int.from_bytes(content[:8], "little")
    refused = 0
    for bit in range(8 * header):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            loaded = Network.load(path)
            np.testing.assert_array_equal(loaded.parameters, expected)
            assert loaded.activation == "tanh"
        except DataError:
            refused += 1
    assert refused > 4 * header


# --- failures while writing ----------------------------------------------------------------------


def test_directory_is_missing(tmp_path):
    with pytest.raises(OSError, match="gone"):
        network().save(tmp_path / "gone" / "n")
    assert os.listdir(tmp_path) == []


def test_a_directory_is_in_the_way(tmp_path):
    (tmp_path / "n").mkdir()
    with pytest.raises(OSError, match="n"):
        network().save(tmp_path / "n")
    assert os.listdir(tmp_path) == ["n"]


LIMITED = """
import resource, signal, sys
from fastdigit import Network
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    Network((64, 32, 10), seed=1).save(sys.argv[2])
except OSError as error:
    print(error)
    sys.exit(1)
"""


@posix
@pytest.mark.parametrize("limit", [0, 1, 5000])
def test_the_old_file_stays_when_the_disk_is_full(limit, tmp_path, python):
    path = saved(tmp_path / "n")
    before = path.read_bytes()
    program = LIMITED.replace("sys.argv[1]", repr(limit)).replace("sys.argv[2]", repr(str(path)))
    run = python(program)
    assert run.returncode == 1, run.stderr
    assert "too large" in run.stdout.lower()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["n"]


SAVING = """
import sys
from fastdigit import Network
networks = [Network((200, 50, 10), seed=seed) for seed in (1, 2)]
networks[0].save(sys.argv[1])
print("ready", flush=True)
while True:
    for network in networks:
        network.save(sys.argv[1])
"""


@posix
def test_kill_while_saving_leaves_a_whole_file(tmp_path):
    path = tmp_path / "n"
    sources = Path(storage.__file__).resolve().parent.parent
    known = [Network((200, 50, 10), seed=seed).parameters.tobytes() for seed in (1, 2)]
    for trial in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", SAVING, str(path)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(sources)},
        ) as child:
            assert child.stdout.readline() == b"ready\n"
            time.sleep(0.003 * trial + 0.001)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        assert Network.load(path).parameters.tobytes() in known


# --- before training -----------------------------------------------------------------------------


def test_check_writable_leaves_nothing_behind(tmp_path):
    path = saved(tmp_path / "old")
    before = path.read_bytes()
    storage.check_writable(path)
    storage.check_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == ["old"]
    assert path.read_bytes() == before


def test_check_writable_says_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        storage.check_writable(tmp_path / "gone" / "n")
    with pytest.raises(IsADirectoryError, match="it is a directory"):
        storage.check_writable(tmp_path)


@posix
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_check_writable_notices_a_read_only_directory(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PermissionError, match="cannot be written"):
            storage.check_writable(tmp_path / "n")
    finally:
        tmp_path.chmod(0o755)


def test_a_link_is_followed_and_a_pipe_is_written_to(tmp_path):
    net = network()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    net.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert Network.load(tmp_path / "real").sizes == net.sizes
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    read: list[bytes] = []
    reader.start()
    net.save(tmp_path / "pipe")
    reader.join()
    assert read == [(tmp_path / "real").read_bytes()]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("content", "words"), [(b"\x80\x04\x95pickle", "pickle"), (b"<html></html>", "HTML")]
)
def test_what_a_foreign_file_is_gets_said(content, words, tmp_path):
    (tmp_path / "model").write_bytes(content + b" " * 100)
    with pytest.raises(DataError, match=words):
        Network.load(tmp_path / "model")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_device_is_named():
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        Network([2, 2]).save("/dev/full")
