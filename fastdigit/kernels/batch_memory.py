"""The memory of mini-batch steps: where everything lies, and parameters in and out of it."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels.activation import ACTIVATIONS
from fastdigit.kernels.batch import Job, Layer
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.memory import PAGE, whole
from fastdigit.kernels.parameters import count, views
from fastdigit.kernels.randomness import PARTS
from fastdigit.kernels.steps import Learning
from fastdigit.kernels.strips import NARROW_ROWS, QUAD, STRIP, WIDE_ROWS
from fastdigit.kernels.transposition import lanes_of

Floats = npt.NDArray[Any]

TALL = max(WIDE_ROWS, NARROW_ROWS)
"""Inputs of a layer are filled up to whole tiles."""
BYTES = 256

LATER = (
    *("sparse", "bytes", "used", "room"),
    *("used_at", "places_at", "order_at", "labels_at", "starts_at", "ends_at"),
    *("lists_at", "threads", "batch", "images", "key"),
    *("take_in", "forward", "score", "back", "step"),
)
"""Fields of a job that whoever calls the kernels fills in."""


class Places:
    """Hands out room in an array that is made afterwards, a page apart."""

    def __init__(self, multiple: int) -> None:
        self._multiple = multiple
        self.taken = 0

    def take(self, elements: int) -> int:
        """Return where so many elements begin."""
        first = self.taken
        self.taken += whole(elements, self._multiple)
        return first


class BatchMemory:
    """One array of floats, and what tells the kernels of its parts.

    Parameters
    ----------
    learning
        What the steps do.
    sizes, dtype
        Of the network.
    batch
        Images in a batch at most.
    columns
        (features,): which column of the images is where.
    rows_of_floats
        Whether the first layer reads these, and not entries of bytes.
    threads
        How many work on it at most.
    """

    def __init__(
        self,
        learning: Learning,
        sizes: tuple[int, ...],
        dtype: np.dtype[Any],
        batch: int,
        columns: npt.NDArray[np.int64],
        rows_of_floats: bool,
        threads: int,
    ) -> None:
        self._sizes = sizes
        self._columns = columns
        lanes = lanes_of(dtype)
        rows = whole(batch, lanes)
        self.groups = rows // lanes
        # At least a page between blocks, which may be those of two threads. Where there was none,
        # one of them was a sixth slower on the way forward.
        rows += PAGE // (lanes * dtype.itemsize)
        pitch = whole(sizes[0], TALL)
        places = Places(PAGE // dtype.itemsize)
        pixels_at = places.take(BYTES)
        inputs_at = places.take(rows * pitch if rows_of_floats else 0)
        self.layers = self._planned(places, lanes, rows, pitch, inputs_at, bool(learning.dropout))
        last = self.layers[-1]
        self._size = last.biases + last.blocks * last.width
        remembered = len(learning.optimizer.arrays)
        scratch = whole(max(TALL * STRIP, sizes[-1] + 1) * lanes, PAGE)
        self._kinds = [places.take(self._size if i <= remembered else 0) for i in range(3)]
        self.job = Job(
            layers=len(self.layers),
            classes=sizes[-1],
            activation=ACTIVATIONS.index(learning.activation),
            decays=bool(learning.l1 or learning.l2),
            drops=round(learning.dropout * PARTS),
            features=sizes[0],
            pitch=pitch,
            columns=-(-sizes[0] // QUAD),
            rows=rows,
            pixels_at=pixels_at,
            inputs_at=inputs_at,
            weights_at=self._kinds[0],
            memory_at=self._kinds[1],
            square_at=self._kinds[2],
            scratch_at=places.take(scratch * threads),
            scratch_size=scratch,
            **dict.fromkeys(LATER, 0),
        )
        self.floats = aligned(places.taken, dtype)
        self.floats[pixels_at : pixels_at + BYTES] = np.arange(BYTES)
        self._at, copies_at = self._parameters_at(), self._transposed_at()
        self._copied = np.flatnonzero(copies_at >= 0)
        self._copies_at = copies_at[self._copied]

    def _planned(
        self, places: Places, lanes: int, rows: int, pitch: int, inputs_at: int, drops: bool
    ) -> list[Layer]:
        """Return the layers; weights and biases are counted from the first one's on."""
        layers = []
        width, size = pitch, 0
        for index, (inputs, outputs) in enumerate(pairwise(self._sizes)):
            last = index == len(self._sizes) - 2
            input_width = width
            few = last and index > 0 and outputs <= 2 * lanes
            width = lanes if few else STRIP * lanes
            blocks, padded = -(-outputs // width), whole(inputs, input_width)
            batch = blocks * rows * width
            partial = padded // input_width if last and index > 0 else 1
            biases = size + blocks * padded * width
            layers.append(
                Layer(
                    inputs=inputs,
                    outputs=outputs,
                    rows=padded,
                    blocks=blocks,
                    width=width,
                    input_width=input_width,
                    inputs_at=inputs_at,
                    outputs_at=places.take(batch * partial),
                    deltas_at=places.take(batch),
                    mask_at=places.take(batch if drops and not last else 0),
                    weights=size,
                    biases=biases,
                    transposed_at=places.take(padded * blocks * width if index else 0),
                )
            )
            size, inputs_at = biases + blocks * width, layers[-1].outputs_at
        return layers

    def _parameters_at(self) -> npt.NDArray[np.int64]:
        """Return where each of the flat parameters lies, from the first weight on."""
        found = np.empty(count(self._sizes), np.int64)
        weights, biases = views(found, self._sizes)
        for index, (layer, W, b) in enumerate(zip(self.layers, weights, biases, strict=True)):
            shape = layer.blocks, layer.rows, layer.width
            at = layer.weights + np.arange(math.prod(shape)).reshape(shape)
            at = at.swapaxes(1, 2).reshape(-1, layer.rows)[: layer.outputs, : layer.inputs]
            W[:] = at if index else at[:, np.argsort(self._columns)]
            b[:] = layer.biases + np.arange(layer.outputs)
        return found

    def _transposed_at(self) -> npt.NDArray[np.int64]:
        """Return where else, for the way back, each of the flat parameters lies, or -1."""
        found = np.full(count(self._sizes), -1)
        weights, _ = views(found, self._sizes)
        for layer, W in zip(self.layers[1:], weights[1:], strict=True):
            shape = -(-layer.inputs // layer.input_width), -1, layer.input_width
            size = layer.rows * layer.blocks * layer.width
            at = (layer.transposed_at + np.arange(size)).reshape(shape).swapaxes(0, 1)
            W[:] = at.reshape(-1, layer.rows)[: layer.outputs, : layer.inputs]
        return found

    def load(self, kind: int, flat: Floats) -> None:
        """Take over flat parameters (0), or what an optimizer remembers of each (1 and 2)."""
        target = self._all(kind)
        target[:] = 0
        target[self._at] = flat
        if kind == 0:
            self.floats[self._copies_at] = flat[self._copied]

    def unload(self, kind: int) -> Floats:
        """Return what `load` takes, as the steps have left it."""
        flat: Floats = self._all(kind)[self._at]
        return flat

    def _all(self, kind: int) -> Floats:
        """Return the weights and biases, or what is remembered of them, as the kernels see them."""
        return self.floats[self._kinds[kind] :][: self._size]

    def copy(self) -> Floats:
        """Return a copy of everything."""
        return self.floats.copy()

    def paste(self, floats: Floats) -> None:
        """Take over what `copy` returned."""
        self.floats[:] = floats

    def finite(self) -> bool:
        """Return whether no weight is NaN or infinite."""
        return bool(np.isfinite(self._all(0)).all())
