"""The memory that the kernels of exact sums work in, beside that of all kernels."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import digits, exact
from fastdigit.kernels.bundles import UNITS
from fastdigit.kernels.chunks import TOGETHER, Shape
from fastdigit.kernels.layout import Layer, Pairs
from fastdigit.kernels.matrix import DEPTH, ROWS, TILE, WORKSPACE
from fastdigit.kernels.memory import Array, Floats, Memory
from fastdigit.kernels.parallel import Call
from fastdigit.kernels.pixels import BYTE
from fastdigit.kernels.transposition import lanes_of


class ExactMemory(Memory):
    """Where the kernels of exact sums work.

    Parameters
    ----------
    sizes, dtype, groups, gradients, activation
        See `Memory`, but the groups are of sixteen images.
    shape
        Of the images.
    columns
        (features,): which column of the images is where.
    threads
        How many write digits.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        dtype: np.dtype[Any],
        shape: Shape,
        columns: npt.NDArray[np.int64],
        threads: int,
        groups: int,
        gradients: bool,
        activation: str,
    ) -> None:
        self._columns = columns
        blocks = -(-sizes[1] // UNITS)
        # Rows of left tiles come in pairs of tiles.
        lefts = 2 * -(-digits.DIGITS[dtype.name] * UNITS // (2 * ROWS))
        depths = -(-sizes[0] // DEPTH)
        self._weights = blocks, depths, lefts
        self._turned = blocks, lefts // 2, depths * ROWS + 1, 2, DEPTH
        tile, fours = TILE // dtype.itemsize, -(-groups // TOGETHER) + 1
        own = {
            "delta_digits": blocks * fours * lefts * tile,
            "delta_scales": blocks * UNITS,
            "turned": blocks * lefts * fours * tile,
            "sums": 2 * lefts * tile,
            "found": 0 if exact.TURNED else fours * TOGETHER * shape.chunks,
            "lit": 0 if exact.TURNED else fours,
            "room": UNITS * (ROWS + 1),
            "space": WORKSPACE,
        }
        super().__init__(
            sizes,
            dtype,
            shape,
            BYTE,
            groups * (ROWS // lanes_of(dtype)),
            gradients,
            activation,
            filled=DEPTH,
            shared={
                "weights": math.prod(self._weights) * tile,
                "turned_weights": exact.TURNED * math.prod(self._turned) // dtype.itemsize,
                "scales": blocks * UNITS,
            },
            own=own,
        )
        self._write_digits = Call(*self.packing(), threads)

    def left_tiles(self) -> npt.NDArray[np.int8]:
        """Return the digits of the weights: (blocks, depths, lefts, rows, words, four bytes)."""
        digits = self._part("weights").view(np.int8)[: math.prod(self._weights) * TILE]
        return digits.reshape(*self._weights, ROWS, DEPTH // 4, 4)

    def turned_weights(self) -> npt.NDArray[np.int8]:
        """Return them as `exact.turn` lays them: (blocks, pairs, words + 1, 2, 64)."""
        digits = self._part("turned_weights").view(np.int8)[: math.prod(self._turned)]
        return digits.reshape(self._turned)

    def numbers(self, learning: bool) -> npt.NDArray[np.int64]:
        """Return what `exact.work_of` reads."""
        own = self._own
        places = exact.Digits(
            weights=self._offsets["weights"],
            turned_weights=self._offsets["turned_weights"],
            scales=self._offsets["scales"],
            depths=self._weights[1],
            lefts=self._weights[2],
            deltas=own["delta_digits"],
            **{name: own[name] for name in exact.Digits._fields[6:]},
        )
        job = self._job._replace(learning=learning)
        return np.array([*job, *self._shape, *places, *self._layout.flat], np.int64)

    def packing(self) -> tuple[Any, list[Array], int]:
        """Return the kernel that writes the digits of weights, its arrays and its pieces."""
        return exact.pack, [self.numbers(False), self.floats], self._weights[0]

    def load(self, parameters: Floats) -> None:
        """Take over flat parameters."""
        super().load(parameters)
        self._write_digits()

    def _first_in_blocks(self, layer: Layer, blocked: Array, W: Array) -> Pairs:
        rows = blocked[layer.weights : layer.biases].reshape(-1, layer.rows)
        return [(rows[: layer.outputs, : layer.inputs], np.take(W, self._columns, axis=1))]
