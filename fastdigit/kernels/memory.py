"""The memory that kernels work in: parameters in blocks, scratch of the threads, gradients."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import sweep
from fastdigit.kernels.activation import ACTIVATIONS
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


def _places(sizes: dict[str, int]) -> dict[str, int]:
    """Return where parts of these sizes begin, one after the other, and where they end."""
    ends = np.cumsum([0, *map(whole, sizes.values())]).tolist()
    return dict(zip([*sizes, "end"], ends, strict=True))


class Memory:
    """Where the kernels work: one array of floats, and what tells them of its parts.

    Parameters
    ----------
    sizes
        Units of each layer, inputs first.
    dtype
        Of all floats.
    shape
        Of the images: of `groups` or of `chunks`.
    scale
        What pixels are multiplied by.
    groups
        Vectors of images in a tile at most.
    gradients
        Whether there is to be room for the gradients of all pieces.
    activation
        Of the hidden layers: one of `activation.ACTIVATIONS`.
    filled
        What the inputs of the first layer are filled up to a multiple of.
    shared, own
        More parts, by name, and how many elements they have: of all threads, and of each one.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        dtype: np.dtype[Any],
        shape: Any,
        scale: float,
        groups: int,
        gradients: bool,
        activation: str = "relu",
        filled: int = 4,
        shared: dict[str, int] | None = None,
        own: dict[str, int] | None = None,
    ) -> None:
        lanes = lanes_of(dtype)
        self._layout, extents = plan(sizes, lanes, filled)
        pitch = extents.units * lanes
        size = whole(extents.blocked)
        page = PAGE // dtype.itemsize
        units = {"activations": groups * pitch, "deltas": groups * pitch}
        self._own = _places(units | (own or {}))
        scratch = whole(self._own["end"], page) + page
        parts = {
            "scale": 1,
            "blocked": size,
            "transposed": extents.transposed,
            "scratch": scratch * available_threads(),
            "gradients": size * BUFFERS if gradients else 0,
        }
        self._offsets = _places(parts | (shared or {}))
        self.floats = aligned(self._offsets["end"], dtype)
        self.floats[0] = scale
        self.tree = new_tree()
        self.count = shape.images
        self._job = sweep.Job(
            layers=len(sizes) - 1,
            outputs=sizes[-1],
            learning=False,
            activation=ACTIVATIONS.index(activation),
            scratch_size=scratch,
            deltas=self._own["deltas"],
            pitch=pitch,
            gradient_size=size,
            **{name: self._offsets[name] for name in parts},
        )
        self._shape = shape
        self._given = np.zeros(count(sizes), dtype)
        self._pack = self._packing()
        if gradients:
            self._gradient = np.zeros_like(self._given)
            self._total = self.floats[self._offsets["gradients"] + SUM * size :]
            self._scales = np.array([scale / shape.images, 1 / shape.images])
            self._unpack = self._unpacking()

    def _part(self, name: str) -> Floats:
        return self.floats[self._offsets[name] :]

    def _packing(self) -> Call:
        given = [self._layout, self._given, self._part("blocked"), self._part("transposed")]
        return Call(pack, given, len(self._layout), 1)

    def _unpacking(self) -> Call:
        given = [self._layout, self._total, self._scales, self._gradient]
        return Call(unpack, given, len(self._layout), 1)

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
