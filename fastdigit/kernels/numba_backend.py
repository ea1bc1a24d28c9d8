"""The fused kernels as a backend: their memory, and one call for each pass."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import sweep
from fastdigit.kernels.interface import Problem, Score
from fastdigit.kernels.layout import aligned, pack, plan, unpack
from fastdigit.kernels.parallel import PIECES, available_threads, checked_threads, run
from fastdigit.kernels.simd import LANES
from fastdigit.kernels.sparse import MOST_FEATURES, Compressed, compress

Floats = npt.NDArray[Any]

BYTE = 1 / 255
"""What a byte of a pixel is multiplied by."""


def whole_vectors(elements: int) -> int:
    """Return the count rounded up to whole vectors, so that what follows stays aligned."""
    return -(-elements // LANES) * LANES


SPARSE_BELOW = 0.3
"""Share of pixels that are not 0, below which compressed rows are faster."""


def chosen_storage(storage: str, images: npt.NDArray[Any]) -> str:
    """Return "dense" or "sparse" for the name of a storage; "auto" goes by the density.

    Raises
    ------
    ValueError
        For other names, and for images that cannot be compressed.
    """
    if storage not in ("auto", "dense", "sparse"):
        raise ValueError(f"storage={storage!r}; the storages are 'auto', 'dense', 'sparse'")
    possible = images.dtype == np.uint8 and images.shape[1] <= MOST_FEATURES
    if storage == "sparse" and not possible:
        raise ValueError(
            f"storage='sparse' takes integer pixels of at most {MOST_FEATURES} features, "
            f"but the images are {images.dtype} of {images.shape[1]}"
        )
    if storage == "auto":
        # A sample: counting all takes as long as an iteration.
        sample = images[:: max(1, len(images) // 1000)]
        dense = np.count_nonzero(sample) > SPARSE_BELOW * sample.size
        return "dense" if dense or not possible else "sparse"
    return storage


class Pass:
    """A pass of a network over images: the memory that the kernels work in."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        dtype: np.dtype[Any],
        images: npt.NDArray[Any],
        storage: str,
        threads: int | None,
        gradients: bool,
    ) -> None:
        self.threads = checked_threads(threads)
        as_bytes = images.dtype == np.uint8
        self.scale = BYTE if as_bytes else 1.0
        self.count = len(images)
        self.storage = chosen_storage(storage, images)
        images = np.ascontiguousarray(images if as_bytes else images.astype(dtype, copy=False))
        self._images = (
            compress(images, self.threads)
            if self.storage == "sparse"
            else Compressed(images, np.empty(0, np.uint16), np.empty(0, np.int64))
        )
        self._layout, extents = plan(sizes, sweep.TILE)
        tile = whole_vectors(sweep.scratch_size(sizes[0], extents.activations))
        parts = {
            "scale": LANES,
            "blocked": extents.blocked,
            "transposed": extents.transposed,
            "zeros": whole_vectors(max(sizes)),
            "scratch": tile * available_threads(),
            "gradients": extents.blocked * PIECES if gradients else 0,
        }
        offsets = dict(zip(parts, np.cumsum([0, *parts.values()]), strict=False))
        self.floats = aligned(sum(parts.values()), dtype)
        self.floats[:2] = self.scale, 1
        self._job = sweep.Job(
            images=self.count,
            features=sizes[0],
            outputs=sizes[-1],
            layers=len(sizes) - 1,
            learning=False,
            sparse=self.storage == "sparse",
            scratch_size=tile,
            activations=extents.activations,
            gradient_size=extents.blocked,
            **offsets,
        )

    def run(
        self, kernel: Any, parameters: Floats, learning: bool, *arrays: npt.NDArray[Any]
    ) -> None:
        """Take over flat parameters and call a kernel for all pieces of the images."""
        blocked = self.floats[self._job.blocked : self._job.transposed]
        pack(parameters, self._layout, blocked, self.floats[self._job.transposed :])
        words = np.array([*self._job._replace(learning=learning), *self._layout.flat], np.int64)
        run(kernel, [words, self.floats, *self._images, *arrays], PIECES, self.threads)
        if learning and self._job.gradients < len(self.floats):
            run(sweep.combine, [words, self.floats], PIECES, self.threads)

    def gradient(self, parameters: Floats) -> Floats:
        """Return the gradient of the mean loss that the last pass left, shaped like parameters."""
        first = self._job.gradients
        total = self.floats[first : first + self._job.gradient_size]
        gradient = np.empty_like(parameters)
        share = 1 / self.count
        unpack(total, self._layout, self.scale * share, share, gradient)
        return gradient


class NumbaObjective:
    """The mean loss of a data set as a function of the parameters."""

    backend = "numba"

    def __init__(self, problem: Problem, storage: str, threads: int | None) -> None:
        self._pass = Pass(
            problem.sizes, problem.dtype, problem.images, storage, threads, gradients=True
        )
        self.storage = self._pass.storage
        self._labels = np.ascontiguousarray(problem.labels)
        self._results = np.zeros((PIECES, 2))
        self.threads = self._pass.threads

    def evaluate(self, parameters: Floats) -> Score:
        """Return the mean loss and the accuracy of these parameters."""
        return self._score(parameters, learning=False)

    def gradient(self, parameters: Floats) -> tuple[Score, Floats]:
        """Return the score of these parameters and the gradient of the loss, flat."""
        score = self._score(parameters, learning=True)
        return score, self._pass.gradient(parameters)

    def _score(self, parameters: Floats, learning: bool) -> Score:
        self._pass.run(sweep.learn, parameters, learning, self._labels, self._results)
        # fsum rounds once, so NumPy's choice of vector instructions cannot show.
        loss, correct = (math.fsum(column) / len(self._labels) for column in self._results.T)
        return Score(loss, correct)


def classify(
    parameters: Floats,
    sizes: tuple[int, ...],
    images: npt.NDArray[Any],
    probabilities: bool,
    threads: int | None = None,
) -> tuple[npt.NDArray[np.uint8], Floats | None]:
    """Return the label of each image and, if asked for, the probabilities (n, outputs)."""
    # Compressing takes longer than one dense pass.
    forward = Pass(sizes, parameters.dtype, images, "dense", threads, gradients=False)
    labels = np.empty(len(images), np.uint8)
    filled = np.empty((len(images) if probabilities else 0, sizes[-1]), parameters.dtype)
    forward.run(sweep.classify, parameters, probabilities, labels, filled)
    return labels, filled if probabilities else None
