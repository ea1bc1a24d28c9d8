"""The memory that kernels work in: parameters in blocks, scratch of the threads, gradients."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import sweep
from fastdigit.kernels.activation import ACTIVATIONS
from fastdigit.kernels.layout import (
    Layer,
    Pairs,
    aligned,
    biases_of,
    plan,
    weights_in_blocks,
    weights_transposed,
)
from fastdigit.kernels.parallel import available_threads
from fastdigit.kernels.parameters import count, views
from fastdigit.kernels.transposition import lanes_of
from fastdigit.kernels.tree import BUFFERS, SUM, new_tree

Floats = npt.NDArray[Any]
Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]

FLAT = ("given", "memory", "square", "gradient")
"""Parts with a number for each parameter, in the order in which users see these: the parameters
themselves; and, where they are learned, what the optimizer remembers, and the gradient."""

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

    FIRST_IN_BLOCKS = True
    """Whether the weights of the first layer are in blocks as well."""

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
        self._sizes, self._scale = sizes, scale
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
        flat = dict.fromkeys(FLAT if gradients else FLAT[:1], whole(count(sizes)))
        self._offsets = _places(parts | flat | (shared or {}))
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
        self._given = self.flat("given")
        self._packed = self._packing(self.floats, self._given)
        if gradients:
            self.gradient_at, self.factors = self._unpacking()

    def at(self, name: str) -> int:
        """Return where a part begins, in elements of the floats."""
        return self._offsets[name]

    def flat(self, name: str) -> Floats:
        """Return one of the parts that have a number for each parameter; see `FLAT`."""
        return self._part(name)[: count(self._sizes)]

    def copies(self) -> tuple[Numbers, Numbers]:
        """Return which parameters `load` copies, and to which floats."""
        # What is copied to lies before the scratch memory.
        pairs = self._packing(np.arange(self.at("scratch")), np.arange(len(self._given)))
        to, copied = zip(*((to.ravel(), copied.ravel()) for to, copied in pairs), strict=True)
        return np.concatenate(copied), np.concatenate(to)

    def packing(self) -> tuple[Any, list[Array]]:
        """Return a kernel of a piece for each unit of the first layer, and its arrays, or none.

        It brings the weights of this unit into the kernels' form. Its third array are the
        parameters, its fourth says which column of the images is where.
        """
        return None, []

    def _part(self, name: str) -> Floats:
        return self.floats[self._offsets[name] :]

    def _layers(self, flat: Floats) -> list[tuple[Layer, Floats, Floats]]:
        """Return each layer with its weights and biases."""
        layers = (Layer(*row) for row in self._layout.tolist())
        return list(zip(layers, *views(flat, self._sizes), strict=True))

    def _packing(self, floats: Array, parameters: Array) -> Pairs:
        """Return parts of the floats that parameters are copied to, with these."""
        blocked, transposed = (floats[self.at(name) :] for name in ("blocked", "transposed"))
        pairs = []
        for number, (layer, W, b) in enumerate(self._layers(parameters)):
            pairs.append((biases_of(layer, blocked), b))
            if number > 0:
                pairs += weights_transposed(layer, transposed, W)
            if number > 0 or self.FIRST_IN_BLOCKS:
                pairs += weights_in_blocks(layer, blocked, W)
        return pairs

    def _unpacking(self) -> tuple[Numbers, npt.NDArray[np.float64]]:
        """Return where the gradient of each parameter is in the sum, and its factor."""
        places = np.arange(self._job.gradient_size)
        at = np.empty(len(self._given), np.int64)
        factors = np.full(len(at), 1 / self.count)
        for number, (layer, W, b) in enumerate(self._layers(at)):
            b[:] = biases_of(layer, places)
            parts = weights_in_blocks(layer, places, W) if number else self._first(places, W)
            for part, to in parts:
                to[...] = part
        factors[: self._sizes[0] * self._sizes[1]] = self._scale / self.count
        return at, factors

    def _first(self, blocked: Floats, W: Floats) -> Pairs:
        """Return parts of the sum with gradients by the first layer's weights, and of these."""
        return weights_in_blocks(self._layers(self._given)[0][0], blocked, W)

    def _total(self) -> Floats:
        """Return the sum of the gradients of all pieces, after a pass."""
        return self.floats[self._offsets["gradients"] + SUM * self._job.gradient_size :]

    def numbers(self, learning: bool) -> npt.NDArray[np.int64]:
        """Return what `sweep.work_of` reads."""
        job = self._job._replace(learning=learning)
        return np.array([*job, *self._shape, *self._layout.flat], np.int64)

    def load(self, parameters: Floats) -> None:
        """Take over flat parameters."""
        self._given[:] = parameters
        for target, source in self._packed:
            target[...] = source

    def gradient(self) -> Floats:
        """Return the gradient of the mean loss that the last pass left, flat."""
        gradient: Floats = np.take(self._total(), self.gradient_at, mode="clip")
        # The factors are float64, so each product is rounded once for all.
        np.multiply(gradient, self.factors, out=gradient, casting="same_kind")
        return gradient
