"""Who predicts how fast: bytes in, labels out, in one table of libraries that run the same network.

None of them is imported before it is built. All but fastdigit are given the images in chunks, of
the size that suits them best, and the conversion of bytes is part of their time.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.measure.contenders import Turn
from fastdigit.network import Network

Array = npt.NDArray[Any]

CHUNKS = tuple(2**power for power in range(8, 17))
"""Sizes that are tried, in images."""
TRIED = CHUNKS[-1]
"""Images on which they are tried, each size `TRIALS` times."""
TRIALS = 3


class Question(NamedTuple):
    """The work that every predictor is given."""

    images: npt.NDArray[np.uint8]
    """(rows, features), repeated until there are enough."""
    total: int
    """How many images to predict."""
    network: Network
    """With one hidden layer."""
    threads: int


class Predictor(ABC):
    """A network that labels the images chunk by chunk.

    A subclass prepares its network in `build`, and labels a chunk in `predict`.
    """

    backend: str

    def __init__(self, question: Question) -> None:
        self.dtype = str(question.network.dtype)
        self.threads = question.threads
        self.compile_seconds = 0.0
        self._images = np.resize(question.images, (question.total, question.images.shape[1]))
        self._labels = np.empty(question.total, np.uint8)
        started = time.perf_counter()
        self.build(question.network)
        self.prepare_seconds = time.perf_counter() - started
        self._size = self._best_size()

    @abstractmethod
    def build(self, network: Network) -> None:
        """Prepare a network with these weights."""

    @abstractmethod
    def predict(self, chunk: npt.NDArray[np.uint8]) -> Array:
        """Return the labels of images (n, features)."""

    def _best_size(self) -> int:
        """Return the size of chunks that is fastest on the first images."""
        tried = min(len(self._images), TRIED)
        seconds: dict[int, float] = {}
        for size in CHUNKS:
            if size < 2 * tried or not seconds:
                self._label(tried, size)
                seconds[size] = min(self._label(tried, size) for _ in range(TRIALS))
        return min(seconds, key=lambda size: seconds[size])

    def _label(self, count: int, size: int) -> float:
        """Label the first images, and return the seconds."""
        started = time.perf_counter()
        for first in range(0, count, size):
            last = min(first + size, count)
            self._labels[first:last] = self.predict(self._images[first:last])
        return time.perf_counter() - started

    def step(self, iterations: int) -> Turn:
        """Label all images so many times."""
        count = len(self._images)
        return Turn([], [], [self._label(count, self._size) for _ in range(iterations)])

    def labels(self) -> npt.NDArray[np.uint8]:
        """Return the labels that were found last."""
        return self._labels

    def chunk_size(self) -> int:
        """Return the number of images that are given at a time."""
        return self._size

    def label(self, images: npt.NDArray[np.uint8], threads: int) -> Array:
        """Return the labels of other images, with so many threads if it can be told."""
        return self.predict(images)


class Fastdigit(Predictor):
    """`Network.predict`, given all images at once."""

    backend = "fastdigit"

    def build(self, network: Network) -> None:
        """Compile, or load what is compiled."""
        self._network = network
        self.predict(self._images[:1])

    def _best_size(self) -> int:
        return len(self._images)

    def predict(self, chunk: npt.NDArray[np.uint8]) -> Array:
        """Return the labels."""
        return self.label(chunk, self.threads)

    def label(self, images: npt.NDArray[np.uint8], threads: int) -> Array:
        """Return the labels of other images."""
        return self._network.predict(images, threads=threads)


class Reference(Predictor):
    """`Network.predict` with the NumPy reference, chunk by chunk."""

    backend = "numpy"

    def build(self, network: Network) -> None:
        """Keep the network."""
        self._network = network

    def _best_size(self) -> int:
        # On one thread, 1,024 to 4,096 take the same time, and 65,536 take 1.7 times as long.
        return 4096

    def predict(self, chunk: npt.NDArray[np.uint8]) -> Array:
        """Return the labels."""
        return self._network.predict(chunk, backend="numpy")


class Onnxruntime(Predictor):
    """ONNX Runtime; bytes go in, or floats that NumPy has made of them; see `onnx_model`."""

    backend = "onnxruntime"

    def __init__(self, question: Question, takes: str, folded: bool = False) -> None:
        self._takes = takes
        self._folded = folded
        super().__init__(question)

    def build(self, network: Network) -> None:
        """Write the model, and let the runtime optimise it for this number of threads."""
        import onnxruntime

        from fastdigit.measure.onnx_model import onnx_model

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        model = onnx_model(network, self._takes, self._folded)
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def predict(self, chunk: npt.NDArray[np.uint8]) -> Array:
        """Return the labels."""
        pixels = chunk if self._takes == "uint8" else _floats(chunk)
        labels: Array = self._session.run(["labels"], {"images": pixels})[0]
        return labels


class Torch(Predictor):
    """PyTorch: `nn.Sequential` in inference mode.

    ``folded`` divides the weights by 255 once, and not every pixel.
    """

    backend = "torch"

    def __init__(self, question: Question, folded: bool = False) -> None:
        self._folded = folded
        super().__init__(question)

    def build(self, network: Network) -> None:
        """Make the modules."""
        import torch

        torch.set_num_threads(self.threads)
        self._torch = torch
        inputs, hidden, outputs = network.sizes
        self._modules = torch.nn.Sequential(
            torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
        )
        (W1, W2), (b1, b2) = network.weights, network.biases
        with torch.no_grad():
            for mine, trained in zip(self._modules.parameters(), (W1, b1, W2, b2), strict=True):
                mine.copy_(torch.from_numpy(trained))
            if self._folded:
                self._modules[0].weight.div_(255)

    def predict(self, chunk: npt.NDArray[np.uint8]) -> Array:
        """Return the labels."""
        with self._torch.inference_mode():
            X = self._torch.from_numpy(chunk).float()
            if not self._folded:
                X.div_(255)
            labels: Array = self._modules(X).argmax(1).numpy()
        return labels


class Jax(Predictor):
    """JAX: conversion and network in one compiled function."""

    backend = "jax"

    def build(self, network: Network) -> None:
        """Make the function; it is compiled for each size of chunk before the clock starts."""
        # XLA's own variable; read when its first thread starts.
        os.environ["PJRT_NPROC"] = str(self.threads)
        import jax

        jax.config.update("jax_platforms", "cpu")
        W1, W2 = map(jax.numpy.array, network.weights)
        b1, b2 = map(jax.numpy.array, network.biases)

        def predict(chunk: Any) -> Any:
            X = chunk.astype(W1.dtype) / 255
            return (jax.nn.relu(X @ W1.T + b1) @ W2.T + b2).argmax(axis=1)

        self._predict = jax.jit(predict)

    def predict(self, chunk: npt.NDArray[np.uint8]) -> Array:
        """Return the labels."""
        return np.asarray(self._predict(chunk))


class ScikitLearn(Predictor):
    """`MLPClassifier.predict`."""

    backend = "scikit-learn"

    def build(self, network: Network) -> None:
        """Fit to a few images, to have its arrays made, and put the weights in them."""
        from sklearn.neural_network import MLPClassifier

        inputs, hidden, outputs = network.sizes
        self._network = MLPClassifier(hidden_layer_sizes=(hidden,), random_state=0)
        self._network.partial_fit(
            np.zeros((outputs, inputs), network.dtype), range(outputs), classes=range(outputs)
        )
        self._network.coefs_ = [W.T.copy() for W in network.weights]
        self._network.intercepts_ = [b.copy() for b in network.biases]

    def predict(self, chunk: npt.NDArray[np.uint8]) -> Array:
        """Return the labels."""
        labels: Array = self._network.predict(_floats(chunk))
        return labels


def _floats(chunk: npt.NDArray[np.uint8]) -> Array:
    X = chunk.astype(np.float32)
    X /= 255
    return X


class Entry(NamedTuple):
    """A predictor, and what it needs."""

    make: Callable[[Question], Predictor]
    packages: tuple[str, ...] = ()
    """As they are imported."""

    def __call__(self, question: Question) -> Predictor:
        """Build it."""
        return self.make(question)

    @property
    def installed(self) -> bool:
        """Whether all packages are there."""
        return all(find_spec(package) is not None for package in self.packages)


_ONNX = ("onnx", "onnxruntime")

PREDICTORS: Mapping[str, Entry] = {
    "fastdigit": Entry(Fastdigit),
    "reference": Entry(Reference),
    "onnxruntime-bytes": Entry(partial(Onnxruntime, takes="uint8"), _ONNX),
    "onnxruntime-folded": Entry(partial(Onnxruntime, takes="uint8", folded=True), _ONNX),
    "onnxruntime-floats": Entry(partial(Onnxruntime, takes="float32"), _ONNX),
    "torch": Entry(Torch, ("torch",)),
    "torch-folded": Entry(partial(Torch, folded=True), ("torch",)),
    "jax": Entry(Jax, ("jax",)),
    "sklearn": Entry(ScikitLearn, ("sklearn",)),
}
