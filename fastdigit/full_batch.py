"""Gradient descent where every update sees all images."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit import optimizers
from fastdigit.history import History
from fastdigit.kernels import Objective, Score, check_parameters
from fastdigit.kernels.parameters import views
from fastdigit.kernels.reference import penalty_gradient
from fastdigit.network import Network
from fastdigit.schedules import rates
from fastdigit.settings import Settings
from fastdigit.watch import STUCK_AFTER, Told, Watch, diverged, warn_if_stuck

Floats = npt.NDArray[Any]


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
        self.steps, _ = settings.steps(1)
        self._remembered = optimizers.state(settings.optimizer, network.parameters)

    def run(self, history: History, watch: Watch, told: Told, shown: Callable[[], None]) -> None:
        """Make the updates that are left; `shown` is called after each."""
        arrays = [self._network.parameters, *self._remembered]
        whole = [array.copy() for array in arrays]

        def go_back() -> None:
            for array, before in zip(arrays, whole, strict=True):
                array[:] = before

        for iteration in range(history.steps, self.steps):
            if watch.score(self._network.parameters, history):
                history.stopped_early = True
                return
            started = time.perf_counter()
            score, gradient = self._loss.gradient(self._network.parameters)
            if not np.isfinite(score.loss):
                go_back()
                raise diverged(history, self._settings)
            for array, before in zip(arrays, whole, strict=True):
                before[:] = array
            try:
                self._update(gradient, iteration)
                history.record(*score, time.perf_counter() - started)
                history.steps = len(history)
            except KeyboardInterrupt:
                # An update without its record is no whole iteration.
                if len(history) == iteration:
                    go_back()
                history.steps = len(history)
                raise
            if history.steps == STUCK_AFTER:
                warn_if_stuck(self._network.sizes[-1], history, self._settings.learning_rate)
            shown()
            if told():
                return
        if not np.isfinite(self._network.parameters).all():
            go_back()
            raise diverged(history, self._settings)

    def score(self) -> Score:
        """Return how good the network is on the training images now."""
        return self._loss.evaluate(self._network.parameters)

    def _update(self, gradient: Floats, iteration: int) -> None:
        chosen, parameters = self._settings, self._network.parameters
        if chosen.l1 or chosen.l2:
            sizes = self._network.sizes
            pairs = zip(views(gradient, sizes)[0], self._network.weights, strict=True)
            for dW, W in pairs:
                dW += penalty_gradient(W, chosen.l1, chosen.l2)
        (rate,) = rates(
            chosen.schedule, chosen.learning_rate, self.steps, 1, iteration, iteration + 1
        )
        optimizers.step(
            chosen.optimizer, parameters, gradient, self._remembered, rate, iteration + 1
        )

    def state(self) -> dict[str, Any]:
        """Return copies of all that the next update depends on, under their names."""
        names = ("parameters", *self._settings.optimizer.arrays)
        arrays = (self._network.parameters, *self._remembered)
        return {name: array.copy() for name, array in zip(names, arrays, strict=True)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        names = ("parameters", *self._settings.optimizer.arrays)
        arrays = (self._network.parameters, *self._remembered)
        for name, array in zip(names, arrays, strict=True):
            array[:] = state[name]
