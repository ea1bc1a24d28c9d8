"""Gradient descent where every update sees all images."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit import optimizers
from fastdigit.history import History
from fastdigit.kernels import Objective, Score, check_parameters
from fastdigit.network import Network
from fastdigit.schedules import rates
from fastdigit.settings import Settings
from fastdigit.watch import STUCK_AFTER, Told, Watch, diverged, warn_if_stuck

Floats = npt.NDArray[Any]

PIECE = 0.05
"""Seconds that a call of the kernels should take: Ctrl-C and progress wait for its end."""


class FullBatch:
    """The state of such a training; `run` may be interrupted, and called again.

    Parameters
    ----------
    network
        Changed in place.
    loss
        Of the training images.
    settings
        What to do.
    """

    def __init__(self, network: Network, loss: Objective, settings: Settings) -> None:
        check_parameters(network.parameters, network.sizes)
        self._network = network
        self._loss = loss
        self._settings = settings
        self._learning = settings.learning(network.activation)
        self.steps, _ = settings.steps(1)
        self._remembered = optimizers.state(settings.optimizer, network.parameters)
        self._sound = self._copy(0)
        """Where a call began whose first loss was finite."""
        self._at_once = 1
        """Iterations in a call of the kernels."""

    def run(
        self, history: History, watch: Watch, told: Told | None, shown: Callable[[], None]
    ) -> None:
        """Make the updates that are left; `shown` is called after some, `told` after each."""
        while history.steps < self.steps:
            if watch.score(self._network.parameters, history):
                history.stopped_early = True
                return
            first = history.steps
            count = 1 if told else self._most(first, watch.records_to_score(history))
            start = self._copy(first)
            began = time.perf_counter()
            try:
                scores = self._descend(first, count)
                each = (time.perf_counter() - began) / count
                finite = [*np.isfinite([score.loss for score in scores]), False]
                good = finite.index(False)
                if good:
                    self._sound = start
                if good < count:
                    self._go_back(first + good)
                history.extend(scores[:good], each)
                history.steps = len(history)
            except BaseException:
                # Updates without their records are no whole iterations.
                if len(history) == first:
                    self._paste(start)
                history.steps = len(history)
                raise
            if good < count:
                raise diverged(history, self._settings)
            self._at_once = max(1, round(PIECE / max(each, 1e-6)))
            if history.steps == STUCK_AFTER:
                classes, rate = self._network.sizes[-1], self._settings.learning_rate
                warn_if_stuck(classes, history, rate)
            shown()
            if told and told():
                return

    def _most(self, first: int, records: int) -> int:
        """Return how many updates to make in a call before someone has to look at the weights."""
        marks = first + records, STUCK_AFTER, self.steps
        return min(self._at_once, *(mark - first for mark in marks if mark > first))

    def _descend(self, first: int, count: int) -> list[Score]:
        """Make so many updates, the first of this number, and return the scores before them."""
        chosen = self._settings
        found = rates(chosen.schedule, chosen.learning_rate, self.steps, 1, first, first + count)
        arguments = self._network.parameters, self._remembered, self._learning, found, first
        return self._loss.descend(*arguments)

    def _copy(self, steps: int) -> tuple[int, list[Floats]]:
        """Return how many updates were made, and copies of what they have led to."""
        return steps, [array.copy() for array in (self._network.parameters, *self._remembered)]

    def _paste(self, copied: tuple[int, list[Floats]]) -> None:
        arrays = [self._network.parameters, *self._remembered]
        for array, before in zip(arrays, copied[1], strict=True):
            array[:] = before

    def _go_back(self, bad: int) -> None:
        """Return to the last weights with a finite loss: after so many updates it was not."""
        self._paste(self._sound)
        again = bad - 1 - self._sound[0]
        if again > 0:
            self._descend(self._sound[0], again)

    def score(self, history: History) -> Score:
        """Return how good the network is on the training images now.

        Raises
        ------
        DivergenceError
            If the loss, or a weight, is not finite; the network is where both were so last.
        """
        found = self._loss.evaluate(self._network.parameters)
        if not (np.isfinite(found.loss) and np.isfinite(self._network.parameters).all()):
            self._go_back(history.steps)
            raise diverged(history, self._settings)
        return found

    def state(self) -> dict[str, Any]:
        """Return copies of all that the next update depends on, under their names."""
        names = ("parameters", *self._settings.optimizer.arrays)
        arrays = (self._network.parameters, *self._remembered)
        state = {name: array.copy() for name, array in zip(names, arrays, strict=True)}
        return state | {"sound": self._sound}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        names = ("parameters", *self._settings.optimizer.arrays)
        arrays = (self._network.parameters, *self._remembered)
        for name, array in zip(names, arrays, strict=True):
            array[:] = state[name]
        self._sound = state["sound"]
