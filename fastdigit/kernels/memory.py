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

REMEMBERED = ("memory", "square")
"""Parts with what an optimizer remembers of each parameter, laid out as these are."""

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


def _copy(pairs: Pairs) -> None:
    for target, source in pairs:
        target[...] = source


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
        remembered = dict.fromkeys(REMEMBERED if gradients else (), size)
        self._offsets = _places(parts | remembered | (shared or {}))
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
        if gradients:
            self._places = self._placed()

    def at(self, name: str) -> int:
        """Return where a part begins, in elements of the floats."""
        return self._offsets[name]

    def part(self, name: str) -> Floats:
        """Return the parameters, which are "blocked", or a part laid out as they are."""
        return self._part(name)[: self._job.gradient_size]

    def in_blocks(self, flat: Floats) -> Floats:
        """Return what belongs to each parameter where that lies in blocks, and 0 elsewhere."""
        blocked = np.zeros(self._job.gradient_size, flat.dtype)
        _copy(self._in_blocks(blocked, flat))
        return blocked

    def flat(self, blocked: Floats) -> Floats:
        """Return what belongs to each parameter in the order in which users see these."""
        found: Floats = np.take(blocked, self._places, mode="clip")
        return found

    def copies(self) -> tuple[Numbers, Numbers]:
        """Return which floats are copied where, when parameters have changed: for the way back."""
        floats = np.arange(self.at("scratch"))
        copied = np.zeros_like(floats)
        blocked, transposed = (
            part[self.at(name) :] for part, name in ((floats, "blocked"), (copied, "transposed"))
        )
        _copy(self._transposed(transposed, blocked[self._places]))
        to = np.flatnonzero(copied)
        return copied[to], to

    def packing(self) -> tuple[Any, list[Array], int]:
        """Return a kernel that brings the first layer's weights into another form, if there is one.

        And its arrays, and the number of its pieces.
        """
        return None, [], 0

    def _part(self, name: str) -> Floats:
        return self.floats[self._offsets[name] :]

    def _layers(self, flat: Floats) -> list[tuple[Layer, Floats, Floats]]:
        """Return each layer with its weights and biases."""
        layers = (Layer(*row) for row in self._layout.tolist())
        return list(zip(layers, *views(flat, self._sizes), strict=True))

    def _in_blocks(self, blocked: Array, flat: Array) -> Pairs:
        """Return parts of blocks, each with those of the parameters that belong there."""
        pairs = []
        for number, (layer, W, b) in enumerate(self._layers(flat)):
            weights = weights_in_blocks if number else self._first_in_blocks
            pairs += [*weights(layer, blocked, W), (biases_of(layer, blocked), b)]
        return pairs

    def _first_in_blocks(self, layer: Layer, blocked: Array, W: Array) -> Pairs:
        return weights_in_blocks(layer, blocked, W)

    def _transposed(self, transposed: Array, flat: Array) -> Pairs:
        """Return the same for the blocks for the way back."""
        layers = self._layers(flat)[1:]
        return [pair for layer, W, _ in layers for pair in weights_transposed(layer, transposed, W)]

    def _placed(self) -> Numbers:
        """Return where each parameter lies in blocks."""
        numbers = self.in_blocks(1 + np.arange(count(self._sizes)))
        taken = np.flatnonzero(numbers)
        places = np.empty_like(taken)
        places[numbers[taken] - 1] = taken
        return places

    def _total(self) -> Floats:
        """Return the sum of the gradients of all pieces, after a pass."""
        return self.floats[self._offsets["gradients"] + SUM * self._job.gradient_size :]

    def numbers(self, learning: bool) -> npt.NDArray[np.int64]:
        """Return what `sweep.work_of` reads."""
        job = self._job._replace(learning=learning)
        return np.array([*job, *self._shape, *self._layout.flat], np.int64)

    def load(self, parameters: Floats) -> None:
        """Take over flat parameters."""
        _copy(self._in_blocks(self.part("blocked"), parameters))
        _copy(self._transposed(self._part("transposed"), parameters))

    def factors(self) -> npt.NDArray[np.float64]:
        """Return what the sum of each parameter is multiplied by to be its gradient, flat."""
        factors = np.full(count(self._sizes), 1 / self.count)
        factors[: self._sizes[0] * self._sizes[1]] = self._scale / self.count
        return factors

    def gradient(self) -> Floats:
        """Return the gradient of the mean loss that the last pass left, flat."""
        gradient = self.flat(self._total())
        # The factors are float64, so each product is rounded once for all.
        np.multiply(gradient, self.factors(), out=gradient, casting="same_kind")
        return gradient
