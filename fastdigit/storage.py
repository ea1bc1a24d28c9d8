"""Networks on disk: safetensors files, written as a whole or not at all."""

import json
import os
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from fastdigit.errors import DataError
from fastdigit.network import Network

FORMAT = "fastdigit network 1"


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network as tensors W1, b1, W2, b2 and so on; see `Network.save`."""
    tensors = {}
    for number, (W, b) in enumerate(zip(network.weights, network.biases, strict=True), start=1):
        tensors[f"W{number}"] = W
        tensors[f"b{number}"] = b
    metadata = {"format": FORMAT, "sizes": json.dumps(network.sizes)}
    write_whole(Path(path), to_bytes(tensors, metadata))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there, complete."""
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
    directory = Path(path).parent
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
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not a readable safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise DataError(
            f"{path} holds tensors, but no network of this version of fastdigit: its format is "
            f"{metadata.get('format')!r}, expected {FORMAT!r}"
        )
    try:
        sizes = json.loads(metadata["sizes"])
        network = Network(sizes, dtype=tensors["W1"].dtype)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: the description of the network is damaged: {error}") from error
    if len(tensors) != 2 * len(network.weights):
        raise DataError(f"{path}: {len(tensors)} tensors, expected {2 * len(network.weights)}")
    for number, (inputs, outputs) in enumerate(pairwise(network.sizes), start=1):
        for name, target, shape in (
            (f"W{number}", network.weights[number - 1], (outputs, inputs)),
            (f"b{number}", network.biases[number - 1], (outputs,)),
        ):
            tensor = tensors.get(name)
            if tensor is None or tensor.shape != shape or tensor.dtype != network.dtype:
                found = "missing" if tensor is None else f"{tensor.shape} {tensor.dtype}"
                raise DataError(f"{path}: {name} is {found}, expected {shape} {network.dtype}")
            if not np.isfinite(tensor).all():
                raise DataError(f"{path}: {name} contains NaN or infinity")
            target[:] = tensor
    return network
