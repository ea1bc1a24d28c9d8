"""Downloads, from a real server on this machine."""

import gzip
import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from werkzeug import Response

from fastdigit.data import load_data
from fastdigit.data.download import MNIST, Content, download_mnist, find_fault
from fastdigit.errors import DataError

PLAIN = {
    "train-images-idx3-ubyte.gz": bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 7, 8]),
    "train-labels-idx1-ubyte.gz": bytes([0, 0, 8, 1, 0, 0, 0, 1, 5]),
}
REGISTRY = {
    name: Content(len(content), hashlib.sha256(content).hexdigest())
    for name, content in PLAIN.items()
}
FIRST, SECOND = PLAIN


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def serve(httpserver):
    """Serve the files, some of them replaced; return the base URL."""

    def start(prefix="/mnist", **replaced):
        for name, content in PLAIN.items():
            answer = replaced.get(name.split("-")[1], gzip.compress(content))
            if not isinstance(answer, Response):
                answer = Response(answer, content_type="application/x-gzip")
            httpserver.expect_request(f"{prefix}/{name}").respond_with_response(answer)
        return httpserver.url_for(prefix)

    return start


def fetch(folder, *base_urls):
    return download_mnist(folder, base_urls, progress=True, registry=REGISTRY)


def refused(folder, *base_urls):
    """Return the error's message, after checking that nothing wrong was left behind."""
    with pytest.raises(DataError) as caught:
        fetch(folder, *base_urls)
    for path in folder.iterdir():
        assert find_fault(path, REGISTRY[path.name]) == ""
    message = str(caught.value)
    assert "put it at" in message
    assert str(folder / FIRST) in message or str(folder / SECOND) in message
    for url in base_urls:
        assert url in message
    return message


def test_files_are_fetched_checked_and_readable(tmp_path, serve, httpserver, capfd):
    folder = tmp_path / "new" / "mnist"
    assert fetch(folder, serve()) == folder
    assert sorted(path.name for path in folder.iterdir()) == sorted(PLAIN)
    data = load_data(folder)
    assert data.images.tolist() == [[7, 8]]
    assert data.labels.tolist() == [5]
    assert len(httpserver.log) == 2
    # No bar where the error stream is no terminal.
    assert capfd.readouterr().err == ""


def test_right_files_are_not_fetched_again(tmp_path, serve, httpserver):
    url = serve()
    fetch(tmp_path, url)
    fetch(tmp_path, url)
    assert len(httpserver.log) == 2
    (tmp_path / SECOND).unlink()
    fetch(tmp_path, url)
    assert len(httpserver.log) == 3


def test_repacked_files_are_right_too(tmp_path, serve):
    fetch(tmp_path, serve(images=gzip.compress(PLAIN[FIRST], compresslevel=0)))
    assert load_data(tmp_path).images.tolist() == [[7, 8]]


def test_other_file_in_the_way_is_left_alone(tmp_path, serve):
    (tmp_path / SECOND).write_bytes(b"mine")
    with pytest.raises(DataError, match="is there already, but it is not gzip data but text"):
        fetch(tmp_path, serve())
    assert (tmp_path / SECOND).read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Response("no", status=403), "403"),
        (Response("no", status=404), "404"),
        (Response("<!DOCTYPE html><title>Log in"), "not gzip data but an HTML page"),
        (Response(""), "an empty file"),
        (Response(gzip.compress(PLAIN[FIRST])[:-9]), "damaged or cut short"),
        (Response(gzip.compress(PLAIN[FIRST][:-1])), "unpacks to 17 bytes, expected 18"),
        (Response(gzip.compress(PLAIN[FIRST] + bytes(10**7))), "unpacks to more bytes"),
        (Response(gzip.compress(PLAIN[FIRST][::-1])), "its content has SHA-256"),
    ],
)
def test_bad_answers_then_the_next_mirror(tmp_path, serve, answer, message):
    bad = serve("/bad", images=answer)
    assert message in refused(tmp_path, bad)
    fetch(tmp_path, bad, serve("/good"))
    assert load_data(tmp_path).images.tolist() == [[7, 8]]


def test_offline_says_why_for_each_mirror(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    urls = [f"http://127.0.0.1:{port}/mnist/", f"http://127.0.0.1:{port}/other"]
    message = refused(tmp_path, *urls)
    assert message.count(": ConnectionError: ") == 2


def test_nonsense_for_a_url(tmp_path):
    assert "nonsense" in refused(tmp_path, "nonsense")


def test_connection_that_breaks(tmp_path):
    """The server promises 1000 bytes and hangs up after a few."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = server.accept()
        with connection:
            connection.recv(10_000)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
            connection.sendall(head + gzip.compress(PLAIN[FIRST])[:10])

    thread = threading.Thread(target=answer)
    thread.start()
    with server:
        refused(tmp_path, f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(tmp_path, serve):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be made"):
        fetch(tmp_path / "file" / "mnist", serve())


def test_default_folder_is_the_users(tmp_path, serve, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = download_mnist(base_urls=[serve()], registry=REGISTRY)
    assert folder.parts[-2:] == ("fastdigit", "mnist")


def test_without_pooch():
    program = (
        "import sys; sys.modules['pooch'] = None\n"
        "from fastdigit.data.download import download_mnist\n"
        "download_mnist('nowhere')\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode != 0
    assert 'pip install "fastdigit[download]"' in run.stderr


def test_registry_names_mnists_four_files():
    assert sorted(MNIST) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    assert MNIST["train-images-idx3-ubyte.gz"].size == 16 + 60_000 * 784
    assert MNIST["t10k-labels-idx1-ubyte.gz"].size == 8 + 10_000


@pytest.mark.skipif(not os.environ.get("FASTDIGIT_DATA"), reason="FASTDIGIT_DATA is not set")
def test_real_files_are_the_ones_in_the_registry():
    folder = Path(os.environ["FASTDIGIT_DATA"])
    for name, content in MNIST.items():
        assert find_fault(folder / name, content) == ""
