"""Training in steps of one batch: what a backend is told, and what it offers."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastdigit.optimizers import SGD, Optimizer

Floats = npt.NDArray[Any]


class Learning(NamedTuple):
    """How each step changes the parameters."""

    optimizer: Optimizer = SGD()
    l1: float = 0.0
    """Weight of the sum of |w| in what is minimised; biases are free."""
    l2: float = 0.0
    """Weight of half the sum of w^2 in what is minimised; biases are free."""
    dropout: float = 0.0
    """Share of hidden units left out of a step, 0..1."""
    label_smoothing: float = 0.0
    """Share of each label's probability that is spread over all classes, 0..1."""
    activation: str = "relu"
    """Of the hidden layers: a key of `reference.ACTIVATIONS`."""


class Tally(NamedTuple):
    """How an epoch has gone so far: each batch as its step saw it, before the update.

    It does not depend on how the steps were divided among calls, to the last bit.
    """

    loss: float
    """Sum of the images' cross-entropy, in nats: with dropout and label smoothing, without l1, l2.
    """
    right: int
    """Images whose largest logit was their label's."""


class Trainer(Protocol):
    """Parameters, an optimizer and a data set, moved on by whole steps."""

    @property
    def backend(self) -> str:
        """The name of the backend."""

    @property
    def storage(self) -> str:
        """How the images are kept."""

    @property
    def threads(self) -> int | None:
        """Threads that work on it; None where a library decides."""

    def advance(
        self, order: npt.NDArray[np.int64], epoch: int, batch_size: int, rates: Floats
    ) -> Tally:
        """Make one step for each learning rate; returns the tally since `begin_epoch`.

        Parameters
        ----------
        order
            Indices of images, batch after batch: any part of an epoch that begins with a batch.
            The last batch may be shorter.
        epoch
            Its number; with the seed and the image it decides which units drop out.
        batch_size
            Images in a batch.
        rates
            The learning rate of each step, as many as there are batches.
        """

    def tally(self) -> Tally:
        """Return how the epoch has gone since `begin_epoch`."""

    def begin_epoch(self) -> None:
        """Begin a new tally."""

    def parameters(self) -> Floats:
        """Return a copy of the parameters, flat."""

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that the next step depends on, under their names.

        ``"parameters"``, what the optimizer remembers, each array flat like them under its name,
        ``"step"``, the number of steps made, and ``"tallies"``, which the backend understands.
        """

    def restore(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from what `state` returned."""

    def replace(self, images: npt.NDArray[Any]) -> None:
        """Go on with other pixels for the same labels."""

    def keep(self) -> None:
        """Remember where the training is."""

    def go_back(self) -> None:
        """Return to where `keep` was called last; only once."""

    def finite(self) -> bool:
        """Return whether no weight is NaN or infinite."""
