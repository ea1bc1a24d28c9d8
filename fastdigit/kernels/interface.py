"""What a backend offers, whichever it is."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fastdigit.kernels.steps import Learning

Floats = npt.NDArray[Any]


class Problem(NamedTuple):
    """A network to be trained on a data set."""

    sizes: tuple[int, ...]
    """Units of each layer, inputs first."""
    dtype: np.dtype[Any]
    """float32 or float64: the type of the parameters and of all arithmetic."""
    images: npt.NDArray[Any]
    """(n, features): bytes, which stand for themselves divided by 255, or floats."""
    labels: npt.NDArray[np.uint8]
    """(n,)"""
    activation: str = "relu"
    """Of the hidden layers: a key of `reference.ACTIVATIONS`."""


class Score(NamedTuple):
    """How good parameters are on a data set."""

    loss: float
    """Mean cross-entropy, in nats."""
    accuracy: float
    """Share of images whose largest probability is their label's."""


class Objective(Protocol):
    """The mean loss of a data set as a function of the parameters of a network."""

    @property
    def backend(self) -> str:
        """The name of the backend."""

    @property
    def storage(self) -> str:
        """How the images are kept."""

    @property
    def threads(self) -> int | None:
        """Threads that work on it; None where a library decides."""

    def evaluate(self, parameters: Floats) -> Score:
        """Return the score of flat parameters."""

    def gradient(self, parameters: Floats) -> tuple[Score, Floats]:
        """Return the score of flat parameters and the gradient, which the next call may reuse."""

    def descend(
        self,
        parameters: Floats,
        remembered: Sequence[Floats],
        learning: Learning,
        rates: npt.NDArray[np.float64],
        done: int,
    ) -> list[Score]:
        """Make one update for each learning rate, in place, and return the score before each.

        Parameters
        ----------
        parameters
            Flat.
        remembered
            What the optimizer remembers of them; see `optimizers.state`.
        learning
            The optimizer and weight decay; the rest is for batches.
        rates
            One or more.
        done
            Updates before these.
        """
