"""The memory that kernels work in: parameters in blocks, scratch of the threads, gradients."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import sweep
from fastdigit.kernels.activation import ACTIVATIONS
from fastdigit.kernels.groups import Shape
from fastdigit.kernels.layout import aligned, pack, plan, unpack
from fastdigit.kernels.parallel import Call, available_threads
from fastdigit.kernels.parameters import count
from fastdigit.kernels.transposition import lanes_of
from fastdigit.kernels.tree import BUFFERS, SUM, new_tree

Floats = npt.NDArray[Any]


PAGE = 4096
"""Bytes between what two threads write. Nearer together they fetch each other's lines ahead: two
threads then made 2.2 updates a ns together, and otherwise 3.8."""


def whole(elements: int, multiple: int = 16) -> int:
    """Return the count rounded up; by default to cache lines, so that what follows is aligned."""
    return -(-elements // multiple) * multiple


class Memory:
    """Where the kernels work: one array of floats, and what tells them of its parts.

    Parameters
    ----------
    sizes
        Units of each layer, inputs first.
    dtype
        Of all floats.
    shape
        Of the images.
    scale
        What pixels are multiplied by.
    groups
        Groups of images in a tile at most.
    gradients
        Whether there is to be room for the gradients of all pieces.
    activation
        Of the hidden layers: one of `activation.ACTIVATIONS`.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        dtype: np.dtype[Any],
        shape: Shape,
        scale: float,
        groups: int,
        gradients: bool,
        activation: str = "relu",
    ) -> None:
        lanes = lanes_of(dtype)
        self._layout, extents = plan(sizes, lanes)
        pitch = extents.units * lanes
        size = whole(extents.blocked)
        page = PAGE // dtype.itemsize
        scratch = whole(2 * groups * pitch, page) + page
        parts = {
            "scale": whole(1),
            "blocked": size,
            "transposed": whole(extents.transposed),
            "scratch": scratch * available_threads(),
            "gradients": size * BUFFERS if gradients else 0,
        }
        offsets = dict(zip(parts, np.cumsum([0, *parts.values()]).tolist(), strict=False))
        self.floats = aligned(sum(parts.values()), dtype)
        self.floats[0] = scale
        self.tree = new_tree()
        self.count = shape.images
        self._job = sweep.Job(
            layers=len(sizes) - 1,
            outputs=sizes[-1],
            learning=False,
            activation=ACTIVATIONS.index(activation),
            scratch_size=scratch,
            pitch=pitch,
            gradient_size=size,
            **offsets,
        )
        self._shape = shape
        layers = len(self._layout)
        self._given = np.zeros(count(sizes), dtype)
        blocked, transposed = (
            self.floats[offsets[name] :][: parts[name]] for name in ("blocked", "transposed")
        )
        self._pack = Call(pack, [self._layout, self._given, blocked, transposed], layers, 1)
        if gradients:
            self._gradient = np.zeros_like(self._given)
            total = self.floats[offsets["gradients"] + SUM * size :]
            scales = np.array([scale / shape.images, 1 / shape.images])
            self._unpack = Call(unpack, [self._layout, total, scales, self._gradient], layers, 1)

    def numbers(self, learning: bool) -> npt.NDArray[np.int64]:
        """Return what `sweep.work_of` reads."""
        job = self._job._replace(learning=learning)
        return np.array([*job, *self._shape, *self._layout.flat], np.int64)

    def load(self, parameters: Floats) -> None:
        """Take over flat parameters."""
        self._given[:] = parameters
        self._pack()

    def gradient(self) -> Floats:
        """Return the gradient of the mean loss that the last pass left, flat."""
        self._unpack()
        return self._gradient.copy()
