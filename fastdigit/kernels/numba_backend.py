"""The fused kernels as a backend: their memory, and one call for each pass."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import chunks, exact_learning, groups, prediction, sweep
from fastdigit.kernels.cells import Cells
from fastdigit.kernels.chunks import Chunks
from fastdigit.kernels.compilation import compile_beside, kinds_of
from fastdigit.kernels.exact_memory import ExactMemory
from fastdigit.kernels.groups import Groups, group
from fastdigit.kernels.interface import Problem, Score
from fastdigit.kernels.iterations import MOST, Iterations, score_of
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.matrix import DEPTH, MOST_PRODUCTS, ROWS
from fastdigit.kernels.memory import Memory
from fastdigit.kernels.parallel import PIECES, Call, available_threads, checked_threads, run
from fastdigit.kernels.pixels import BYTE
from fastdigit.kernels.steps import Learning
from fastdigit.kernels.transposition import own_order
from fastdigit.kernels.tree import begin

Floats = npt.NDArray[Any]

MULTIPLICATIONS_AT_ONCE = 2**36
"""In a call that labels images: about half a second."""
FEWEST_AT_ONCE = 8192
"""Images in such a call."""

SPARSE_BELOW = 0.5
"""Share of pixels that are not 0, below which blocks of zeros are left out: above it are few."""


def chosen_storage(storage: str, images: npt.NDArray[Any]) -> str:
    """Return "dense" or "sparse" for the name of a storage; "auto" goes by the density."""
    if storage == "auto":
        # A sample: counting all takes as long as an iteration.
        sample = images[:: max(1, len(images) // 1000)]
        return "dense" if np.count_nonzero(sample) > SPARSE_BELOW * sample.size else "sparse"
    return storage


def kernel_images(images: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return images as kernels read them: C-contiguous, bytes or floats of this type.

    Bytes of so many columns that a sum of whole numbers could overflow are made floats.
    """
    if images.dtype == np.uint8:
        if images.shape[1] <= MOST_PRODUCTS:
            return np.ascontiguousarray(images)
        images = np.multiply(images, BYTE, dtype=dtype)
    return np.ascontiguousarray(images.astype(dtype, copy=False))


class NumbaObjective:
    """The mean loss of a data set as a function of the parameters."""

    backend = "numba"

    def __init__(self, problem: Problem, storage: str, threads: int | None) -> None:
        self.threads = checked_threads(threads)
        self.storage = chosen_storage(storage, problem.images)
        images = kernel_images(problem.images, problem.dtype)
        every = self.storage == "dense"
        as_bytes = images.dtype == np.uint8
        kernel = exact_learning.learn if as_bytes else sweep.learn
        if self.threads > 1:
            dtype = problem.dtype
            kinds = np.int64, dtype, images.dtype, np.uint32, dtype, np.float64, np.int64
            compile_beside([kernel], kinds_of(*kinds))
        self._images: Cells | Chunks | Groups
        self._memory: Memory
        if as_bytes:
            self._images = exact_learning.stored(images, every, self.threads)
            self._memory = ExactMemory(
                problem.sizes,
                problem.dtype,
                self._images.shape,
                self._images.columns,
                self.threads,
                chunks.MOST_IN_TILE + 1,
                gradients=True,
                activation=problem.activation,
            )
        else:
            self._images = group(images, every, self.threads)
            self._memory = Memory(
                problem.sizes,
                problem.dtype,
                self._images.shape,
                1.0,
                groups.MOST_IN_TILE,
                gradients=True,
                activation=problem.activation,
            )
        order = self._images.order
        self._labels = aligned(len(order), problem.dtype)
        self._labels[:] = problem.labels[order]
        # Images that only fill up the last group do not count.
        self._labels[len(images) :] = -1
        pieces = self._images.shape.pieces
        self._results = np.zeros((pieces, 2))
        memory = self._memory
        given = [memory.floats, self._images.blocks, self._images.index]
        given += [self._labels, self._results, memory.tree]
        self._passes = [
            Call(kernel, [memory.numbers(learning), *given], pieces, self.threads)
            for learning in (False, True)
        ]
        self._iterations = Iterations(
            memory, problem.sizes, kernel, given[1:4], pieces, self.threads
        )

    def evaluate(self, parameters: Floats) -> Score:
        """Return the mean loss and the accuracy of these parameters."""
        return self._score(parameters, learning=False)

    def gradient(self, parameters: Floats) -> tuple[Score, Floats]:
        """Return the score of these parameters and the gradient of the loss, flat."""
        score = self._score(parameters, learning=True)
        return score, self._memory.gradient()

    def _score(self, parameters: Floats, learning: bool) -> Score:
        self._memory.load(parameters)
        begin(self._memory.tree)
        self._passes[learning]()
        return score_of(self._results, self._memory.count)

    def descend(
        self,
        parameters: Floats,
        remembered: Sequence[Floats],
        learning: Learning,
        rates: npt.NDArray[np.float64],
        done: int,
    ) -> list[Score]:
        """Make an update for each learning rate; returns the score before each."""
        scores: list[Score] = []
        for first in range(0, len(rates), MOST):
            some = rates[first : first + MOST]
            arguments = parameters, remembered, learning, some, done + first
            scores += self._iterations.run(*arguments)
        return scores


def classify(
    parameters: Floats,
    sizes: tuple[int, ...],
    images: npt.NDArray[Any],
    probabilities: bool,
    threads: int | None = None,
    activation: str = "relu",
) -> tuple[npt.NDArray[np.uint8], Floats | None]:
    """Return the label of each image and, if asked for, the probabilities (n, outputs).

    Many images are labelled some at a time, so that Ctrl-C does not have to wait for all.
    """
    multiplications = sum(a * b for a, b in itertools.pairwise(sizes))
    several = max(FEWEST_AT_ONCE, MULTIPLICATIONS_AT_ONCE // multiplications)
    found = [
        _classify(parameters, sizes, images[k : k + several], probabilities, threads, activation)
        for k in range(0, max(1, len(images)), several)
    ]
    if len(found) == 1:
        return found[0]
    labels, shares = zip(*found, strict=True)
    return np.concatenate(labels), np.concatenate(shares) if probabilities else None


def _classify(
    parameters: Floats,
    sizes: tuple[int, ...],
    images: npt.NDArray[Any],
    probabilities: bool,
    threads: int | None,
    activation: str,
) -> tuple[npt.NDArray[np.uint8], Floats | None]:
    """Return the same for images that are labelled in one call."""
    threads = checked_threads(threads)
    dtype = parameters.dtype
    images = kernel_images(images, dtype)
    labels = np.empty(len(images), np.uint8)
    filled = np.empty((len(images) if probabilities else 0, sizes[-1]), dtype)
    if images.dtype == np.uint8:
        cut = chunks.shape_of(images, every=True)
        columns = np.arange(cut.features)
        exactly = ExactMemory(sizes, dtype, cut, columns, threads, 2, False, activation)
        exactly.load(parameters)
        weights = prediction.weights_of(exactly)
        _, depths, lefts = exactly.left_tiles().shape[:3]
        room = aligned((available_threads(), 2 * ROWS, 2 * depths + 1 + lefts, DEPTH), np.uint8)
        numbers = exactly.numbers(probabilities)
        given = [numbers, exactly.floats, images, weights, room, labels, filled]
        run(prediction.classify_bytes, given, PIECES, threads)
    else:
        shape = groups.shape_of(images, dtype, every=False)
        memory = Memory(sizes, dtype, shape, 1.0, 1, gradients=False, activation=activation)
        memory.load(parameters)
        space = groups.workspace(shape, dtype)
        numbers = np.concatenate([memory.numbers(probabilities), own_order(len(images), dtype)])
        given = [numbers, memory.floats, images, *space, labels, filled]
        run(prediction.classify, given, PIECES, threads)
    return labels, filled if probabilities else None
