"""Training in steps as the formulas say: NumPy, one batch after the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import reference
from fastdigit.kernels.numpy_backend import scaled
from fastdigit.kernels.parameters import flatten, views
from fastdigit.kernels.randomness import DROPOUT, kept, key, nearest_rate
from fastdigit.kernels.steps import Learning, Tally
from fastdigit.optimizers import state as first_state
from fastdigit.optimizers import step

Floats = npt.NDArray[Any]


class NumpyTrainer:
    """Parameters, an optimizer and a data set, moved on by whole steps."""

    backend = "numpy"
    storage = "dense"
    threads = None
    """BLAS decides."""

    def __init__(
        self,
        learning: Learning,
        sizes: tuple[int, ...],
        dtype: npt.DTypeLike,
        images: npt.NDArray[Any],
        labels: npt.NDArray[np.uint8],
        parameters: Floats,
        seed: int,
    ) -> None:
        self._learning = learning
        self._sizes = sizes
        self._images = images
        self._labels = labels
        self._parameters = parameters.astype(dtype)
        self._remembered = first_state(learning.optimizer, self._parameters)
        self._seed = seed
        self._step = 0
        self._tally = Tally(0.0, 0)

    def advance(
        self, order: npt.NDArray[np.int64], epoch: int, batch_size: int, rates: Floats
    ) -> Tally:
        """Make one step for each learning rate, a batch of the order each."""
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        for batch, rate in zip(batches, rates, strict=True):
            tally, gradient = self._gradient(batch, epoch)
            self._step += 1
            step(
                self._learning.optimizer,
                self._parameters,
                gradient,
                self._remembered,
                rate,
                self._step,
            )
            self._tally = Tally(self._tally.loss + tally.loss, self._tally.right + tally.right)
        return self._tally

    def tally(self) -> Tally:
        """Return how the epoch has gone since `begin_epoch`."""
        return self._tally

    def begin_epoch(self) -> None:
        """Begin a new tally."""
        self._tally = Tally(0.0, 0)

    def _gradient(self, batch: npt.NDArray[np.int64], epoch: int) -> tuple[Tally, Floats]:
        """Return how a batch is seen before the update, and the gradient that makes it."""
        learning = self._learning
        smoothing = learning.label_smoothing
        X = scaled(self._images[batch], self._parameters.dtype)
        labels = self._labels[batch]
        weights, biases = views(self._parameters, self._sizes)
        masks = self._masks(batch, epoch)
        Zs, As = reference.forward(X, weights, biases, learning.activation, masks)
        dWs, dbs = reference.backward(X, labels, weights, As, learning.activation, masks, smoothing)
        if learning.l1 or learning.l2:
            for dW, W in zip(dWs, weights, strict=True):
                dW += reference.penalty_gradient(W, learning.l1, learning.l2)
        losses = reference.cross_entropy(Zs[-1], labels, smoothing)
        right = int((Zs[-1].argmax(axis=1) == labels).sum())
        return Tally(float(losses.sum(dtype=np.float64)), right), flatten(dWs, dbs)

    def _masks(self, batch: npt.NDArray[np.int64], epoch: int) -> Sequence[Floats]:
        """Return the dropout masks of the hidden layers, none where nothing drops out."""
        rate = nearest_rate(self._learning.dropout)
        if not rate:
            return ()
        random = key(self._seed, epoch, DROPOUT)
        return [
            reference.dropout_mask(
                kept(random, batch, layer, units, rate), rate, self._parameters.dtype
            )
            for layer, units in enumerate(self._sizes[1:-1], start=1)
        ]

    def parameters(self) -> Floats:
        """Return a copy of the parameters, flat."""
        return self._parameters.copy()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that the next step depends on, under their names."""
        names = self._learning.optimizer.arrays
        remembered = {
            name: array.copy() for name, array in zip(names, self._remembered, strict=True)
        }
        numbers = {"step": np.array(self._step), "tallies": np.array(self._tally)}
        return {"parameters": self.parameters(), **numbers, **remembered}

    def restore(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from what `state` returned."""
        self._parameters[:] = state["parameters"]
        self._step = int(state["step"])
        loss, right = state["tallies"]
        self._tally = Tally(float(loss), int(right))
        for name, array in zip(self._learning.optimizer.arrays, self._remembered, strict=True):
            array[:] = state[name]

    def replace(self, images: npt.NDArray[Any]) -> None:
        """Go on with other pixels for the same labels."""
        self._images = images

    def keep(self) -> None:
        """Remember where the training is."""
        self._kept = self.state()

    def go_back(self) -> None:
        """Return to where `keep` was called last; only once."""
        self.restore(self._kept)

    def finite(self) -> bool:
        """Return whether no weight is NaN or infinite."""
        return bool(np.isfinite(self._parameters).all())
