"""Networks on disk: safetensors files, written as a whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from fastdigit.data.signature import describe, is_foreign
from fastdigit.errors import DataError
from fastdigit.network import Network

FORMAT = "fastdigit network 2"
FIRST_FORMAT = "fastdigit network 1"
"""It did not name the activation, which was ReLU."""


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network as tensors W1, b1, W2, b2 and so on; see `Network.save`."""
    tensors = {}
    for number, (W, b) in enumerate(zip(network.weights, network.biases, strict=True), start=1):
        tensors[f"W{number}"] = W
        tensors[f"b{number}"] = b
    metadata = {"format": FORMAT, "activation": network.activation}
    write_whole(Path(path), _in_order(to_bytes(tensors, metadata)))


def _in_order(content: bytes) -> bytes:
    """Return a safetensors file with its metadata sorted: the library writes them in any order."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there, complete.

    A link is followed. What is no ordinary file, such as a pipe or a device, is written to.
    """
    try:
        _write_whole(Path(os.path.realpath(path)), content)
    except OSError as error:
        # A full disk does not say where it is, and a missing directory names the file's first name.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_whole(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp lets only the owner read; a model is an ordinary file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError now if a file could not be written there later."""
    directory = Path(os.path.realpath(path)).parent
    if not directory.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no directory {directory}")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} cannot be written: it is a directory")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{Path(path).name}.", dir=directory)
    except OSError as error:
        raise PermissionError(f"{path} cannot be written: {error.strerror}") from error
    os.close(handle)
    os.unlink(name)


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network in a file; see `Network.load`."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # safetensors says of an unreadable file, too, that it is not there.
    except FileNotFoundError as error:
        if os.path.lexists(path):
            raise DataError(f"{path} cannot be read: {_why(path, error)}") from error
        raise DataError(f"{path}: there is no such file") from None
    # AttributeError: safetensors asks NumPy for types that it does not have.
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not a readable safetensors file: {_why(path, error)}"
        ) from error
    found = metadata.get("format")
    if found not in (FORMAT, FIRST_FORMAT):
        raise DataError(
            f"{path} holds tensors, but no network of this version of fastdigit: its format is "
            f"{found!r}, expected {FORMAT!r}"
        )
    if found == FIRST_FORMAT:
        metadata = {"activation": "relu"} | metadata
    try:
        return _network(tensors, metadata.get("activation", ""))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _why(path: str | os.PathLike[str], error: Exception) -> str:
    """Return what a file is that holds no network, or else what the reader of tensors said."""
    if Path(path).is_dir():
        return "it is a directory"
    try:
        with open(path, "rb") as file:
            first_bytes = file.read(64)
    except OSError as unreadable:
        return str(unreadable.strerror)
    return f"it looks like {describe(first_bytes)}" if is_foreign(first_bytes) else str(error)


def _network(tensors: dict[str, npt.NDArray[Any]], activation: str) -> Network:
    """Return the network of these tensors, or raise ValueError where they do not make one."""
    layers = range(1, max(1, len(tensors) // 2) + 1)
    names = [f"{kind}{layer}" for layer in layers for kind in "Wb"]
    if sorted(tensors) != sorted(names):
        raise ValueError(f"it holds {sorted(tensors)}, expected {sorted(names)}")
    dtype = tensors["W1"].dtype
    if tensors["W1"].ndim != 2:
        raise ValueError(f"W1 has shape {tensors['W1'].shape}, expected (outputs, inputs)")
    sizes = [tensors["W1"].shape[1], *(tensors[f"b{layer}"].size for layer in layers)]
    for layer, inputs, outputs in zip(layers, sizes, sizes[1:], strict=False):
        for name, shape in ((f"W{layer}", (outputs, inputs)), (f"b{layer}", (outputs,))):
            tensor = tensors[name]
            if tensor.shape != shape or tensor.dtype != dtype:
                found = f"{tensor.shape} {tensor.dtype}"
                raise ValueError(f"{name} is {found}, expected {shape} {dtype}")
            if not np.isfinite(tensor).all():
                raise ValueError(f"{name} contains NaN or infinity")
    network = Network(sizes, dtype=dtype, activation=activation)
    for layer in layers:
        network.weights[layer - 1][:] = tensors[f"W{layer}"]
        network.biases[layer - 1][:] = tensors[f"b{layer}"]
    return network
