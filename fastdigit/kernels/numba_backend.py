"""The fused kernels as a backend: their memory, their threads, and one call for each pass."""

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.core import config

from fastdigit.kernels import sweep
from fastdigit.kernels.interface import Problem, Score
from fastdigit.kernels.layout import aligned, pack, plan, unpack

Floats = npt.NDArray[Any]

BYTE = 1 / 255
"""What a byte of a pixel is multiplied by."""


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous view that cannot be written to.

    Numba compiles once for arrays that can be written and once for others; here it sees one kind.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def available_threads() -> int:
    """Return how many threads a kernel may use: the processors allowed, or NUMBA_NUM_THREADS."""
    return int(config.NUMBA_NUM_THREADS)


def checked_threads(threads: int | None) -> int:
    """Return the number of threads to use, all that are available by default."""
    available = available_threads()
    if threads is None:
        return available
    if not 1 <= threads <= available:
        raise ValueError(
            f"threads={threads}, but between 1 and {available} can be used here; to use more, set "
            f"NUMBA_NUM_THREADS={max(threads, 1)} in the environment before Python starts"
        )
    return threads


class Workspace:
    """A network as the kernels read it, and the memory that the threads work in."""

    def __init__(self, sizes: tuple[int, ...], dtype: np.dtype[Any], threads: int | None) -> None:
        self.threads = checked_threads(threads)
        layout, extents = plan(sizes, sweep.TILE)
        self.packed = sweep.Packed(
            layout,
            extents.activations,
            aligned(extents.blocked, dtype),
            aligned(extents.transposed, dtype),
            aligned(-(-max(sizes) // 16) * 16, dtype),
        )
        elements = sweep.scratch_size(sizes[0], extents)
        self.scratch = aligned((available_threads(), elements), dtype)

    def load(self, parameters: Floats) -> None:
        """Take over flat parameters, and the threads for the next pass."""
        pack(parameters, self.packed.layout, self.packed.blocked, self.packed.transposed)
        numba.set_num_threads(self.threads)


class NumbaObjective:
    """The mean loss of a data set as a function of the parameters."""

    backend = "numba"
    storage = "dense"

    def __init__(self, problem: Problem, threads: int | None) -> None:
        images = problem.images
        self._scale = BYTE if images.dtype == np.uint8 else 1.0
        if images.dtype != np.uint8:
            images = images.astype(problem.dtype, copy=False)
        self._images = frozen(images)
        self._labels = frozen(problem.labels)
        self._workspace = Workspace(problem.sizes, problem.dtype, threads)
        blocked = self._workspace.packed.blocked.size
        self._gradients = aligned((sweep.PIECES, blocked), problem.dtype)
        self._results = np.zeros((sweep.PIECES, 2))
        self.threads = self._workspace.threads

    def evaluate(self, parameters: Floats) -> Score:
        """Return the mean loss and the accuracy of these parameters."""
        return self._pass(parameters, learning=False)

    def gradient(self, parameters: Floats) -> tuple[Score, Floats]:
        """Return the score of these parameters and the gradient of the loss, flat."""
        score = self._pass(parameters, learning=True)
        gradient = np.empty_like(parameters)
        share = 1 / len(self._images)
        layout = self._workspace.packed.layout
        unpack(self._gradients[0], layout, self._scale * share, share, gradient)
        return score, gradient

    def _pass(self, parameters: Floats, learning: bool) -> Score:
        self._workspace.load(parameters)
        sweep.learn(
            self._images,
            self._labels,
            self._workspace.packed,
            self._scale,
            self._workspace.scratch,
            self._gradients,
            self._results,
            learning,
        )
        # fsum rounds once, so NumPy's choice of vector instructions cannot show.
        loss, correct = (math.fsum(column) / len(self._images) for column in self._results.T)
        return Score(loss, correct)


def classify(
    parameters: Floats,
    sizes: tuple[int, ...],
    images: npt.NDArray[Any],
    probabilities: bool,
    threads: int | None = None,
) -> tuple[npt.NDArray[np.uint8], Floats | None]:
    """Return the label of each image and, if asked for, the probabilities (n, outputs)."""
    workspace = Workspace(sizes, parameters.dtype, threads)
    workspace.load(parameters)
    if images.dtype != np.uint8:
        images = images.astype(parameters.dtype, copy=False)
    labels = np.empty(len(images), np.uint8)
    filled = np.empty((len(images) if probabilities else 0, sizes[-1]), parameters.dtype)
    sweep.classify(
        frozen(images),
        workspace.packed,
        BYTE if images.dtype == np.uint8 else 1.0,
        workspace.scratch,
        filled,
        labels,
    )
    return labels, filled if probabilities else None
