"""How fast an iteration could be on this machine at most, and how near to that ours are.

A limit leaves out whatever an ideal kernel would not wait for: reading weights that stay in
registers, decoding pixels, turning loops, adding up the threads' gradients.

The sparse one is that of a kernel that takes the pixels which are not 0 one by one, each with a row
of weights: a yardstick that does not depend on how ours are made. They take pixels of many images
at once, and bytes as whole numbers, so they may go beyond it.
"""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from fastdigit.kernels import Learning, Problem, objective
from fastdigit.kernels.parameters import count
from fastdigit.measure.roofline import ROW, Roofline

Storage = Literal["sparse", "dense"]

EXP_OPERATIONS = {"float32": 22, "float64": 28}
"""Instructions for one exp of a vector, as counted in the machine code of `elementary.exp`."""
TOGETHER = 5
"""Iterations in a call of the kernels: training makes several, too."""
LEAST_ROUNDS = 3
"""Calls that are timed, however long they take."""


class Work(NamedTuple):
    """What an iteration, forward and backward over all images, has to do."""

    images: int
    nonzeros: int
    """Pixels that are not 0, of all images."""
    sizes: tuple[int, ...]
    """Units of each layer, inputs first."""
    dtype: str
    """"float32" or "float64"."""
    threads: int
    image_bytes: float
    """Of an image with its zeros."""

    @property
    def rows(self) -> int:
        """Rows of 64 bytes for the weights of one pixel: 10 units are 1 in float32, else 2."""
        return -(-self.sizes[1] * np.dtype(self.dtype).itemsize // ROW)


class Iteration(NamedTuple):
    """An iteration of ours that was timed."""

    storage: Storage
    work: Work
    seconds: float
    """The mean of the fastest few."""
    limit: float
    """Seconds."""

    @property
    def percent(self) -> float:
        """Of the limit's speed that was reached."""
        return 100 * self.limit / self.seconds

    @property
    def flops(self) -> float:
        """Floating-point operations a second, with none on padding."""
        return operations(self.work, self.storage) / self.seconds

    @property
    def limit_flops(self) -> float:
        """Floating-point operations a second at the limit."""
        return operations(self.work, self.storage) / self.limit

    @property
    def intensity(self) -> float:
        """Floating-point operations for each byte that the limit is about."""
        return operations(self.work, self.storage) / traffic(self.work, self.storage)


def middle(work: Work) -> int:
    """Return the operations, each as much as a multiply-add, between the passes over pixels.

    These are three products for each layer above the first (forward, its gradient, the deltas of
    the layer below), and exp for each output. All are done for images side by side.
    """
    products = sum(inputs * outputs for inputs, outputs in pairwise(work.sizes[1:]))
    return work.images * (3 * products + EXP_OPERATIONS[work.dtype] * work.sizes[-1])


def sparse_limit(roofline: Roofline, work: Work) -> float:
    """Return the seconds that an iteration takes at least if zeros are left out.

    Each pixel that is not 0 takes one cycle on the way forward, to load a row of 64 bytes of
    weights, and one on the way back, to load and store a row of gradients; both for each row that
    its weights fill. The middle part comes on top, at the measured rate of multiply-adds.
    """
    rates = roofline.of(work.threads)
    pixels = 2 * work.nonzeros * work.rows / (rates.clock * work.threads)
    return pixels + middle(work) / rates.multiply_adds[work.dtype]


def dense_limit(roofline: Roofline, work: Work) -> float:
    """Return the seconds that an iteration takes at least if every pixel is multiplied.

    The longer of two: all multiply-adds, of both passes and the middle part, at their measured
    rate, with no lane left empty; and reading the images once, from the last cache if they fit.
    """
    rates = roofline.of(work.threads)
    passes = 2 * work.images * work.sizes[0] * work.sizes[1]
    computing = (passes + middle(work)) / rates.multiply_adds[work.dtype]
    size = work.images * work.image_bytes
    level = "L3" if size <= roofline.caches.get("L3", 0) else "memory"
    return max(computing, size / rates.bandwidth[level])


LIMITS: dict[Storage, Callable[[Roofline, Work], float]] = {
    "sparse": sparse_limit,
    "dense": dense_limit,
}


def operations(work: Work, storage: Storage) -> float:
    """Return the floating-point operations of an iteration: two for each multiply-add."""
    pixels = work.nonzeros if storage == "sparse" else work.images * work.sizes[0]
    return 2.0 * (2 * pixels * work.sizes[1] + middle(work))


def traffic(work: Work, storage: Storage) -> float:
    """Return the bytes that a limit is about.

    Sparse, those between the first cache and registers: three rows for each pixel that is not 0.
    Dense, those of the images.
    """
    if storage == "sparse":
        return 3.0 * ROW * work.rows * work.nonzeros
    return work.images * work.image_bytes


def work_of(problem: Problem, threads: int) -> Work:
    """Return the work of an iteration on a problem."""
    images = problem.images
    kept = images.dtype if images.dtype == np.uint8 else problem.dtype
    return Work(
        len(images),
        int(np.count_nonzero(images)),
        problem.sizes,
        problem.dtype.name,
        threads,
        float(problem.sizes[0] * kept.itemsize),
    )


def timed(
    roofline: Roofline, problem: Problem, storage: Storage, threads: int, seconds: float = 0.2
) -> Iteration:
    """Time iterations of the fused kernels for about so many seconds, and compare the fastest.

    Compiling and compressing the images are outside of the time.

    Raises
    ------
    ValueError
        If the images cannot be kept so, or so many threads were not measured.
    """
    work = work_of(problem, threads)
    limit = LIMITS[storage](roofline, work)
    ours = objective(problem, "numba", threads, storage)
    random = np.random.RandomState(0)
    parameters: Any = random.uniform(-0.5, 0.5, count(problem.sizes)).astype(problem.dtype)
    rates = np.zeros(TOGETHER)
    ours.descend(parameters, [], Learning(), rates, 0)
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < LEAST_ROUNDS or time.perf_counter() < end:
        started = time.perf_counter()
        ours.descend(parameters, [], Learning(), rates, 0)
        found.append((time.perf_counter() - started) / TOGETHER)
    return Iteration(storage, work, min(found), limit)
