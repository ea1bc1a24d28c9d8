"""Training with batches: every epoch sees all images once, in a new order."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastdigit.history import History
from fastdigit.kernels import Trainer
from fastdigit.kernels.randomness import permutation
from fastdigit.network import Network
from fastdigit.schedules import rates
from fastdigit.settings import Settings
from fastdigit.watch import Told, Watch, diverged

if TYPE_CHECKING:
    from fastdigit.data.augment import Augment

PIECE = 0.05
"""Seconds that a call of the kernels should take: Ctrl-C and progress wait for its end."""


class MiniBatch:
    """The state of such a training; `run` may be interrupted, and called again.

    Parameters
    ----------
    network
        Changed in place, after each epoch and at the end.
    trainer
        Moves the parameters on.
    images
        (n, features), as they are before augmentation.
    settings
        What to do.
    """

    def __init__(
        self, network: Network, trainer: Trainer, images: npt.NDArray[Any], settings: Settings
    ) -> None:
        assert settings.batch_size is not None
        self._network = network
        self._trainer = trainer
        self._images = images
        self._settings = settings
        self._batch = min(settings.batch_size, len(images))
        self.steps, self._an_epoch = settings.steps(len(images))
        self.records = -(-self.steps // self._an_epoch)
        self._seconds = 0.0
        """Of an epoch that was interrupted."""
        self._steps_a_piece = 1

    def run(
        self, history: History, watch: Watch, told: Told | None, shown: Callable[[], None]
    ) -> None:
        """Make the updates that are left; `shown` is called after each piece of an epoch."""
        try:
            for epoch in range(len(history), self.records):
                self._run_epoch(epoch, history, shown)
                learned = self._trainer.parameters()
                self._network.parameters[:] = learned
                if watch.score(self._network.parameters, history):
                    history.stopped_early = True
                    return
                stop = told is not None and told()
                if not np.array_equal(self._network.parameters, learned):
                    self._take_over(self._network.parameters)
                if stop:
                    return
        finally:
            self._network.parameters[:] = self._trainer.parameters()

    def _take_over(self, parameters: npt.NDArray[Any]) -> None:
        """Go on with parameters that a callback has changed."""
        self._trainer.restore(self._trainer.state() | {"parameters": parameters})

    def _run_epoch(self, epoch: int, history: History, shown: Callable[[], None]) -> None:
        seed, count = self._settings.seed, len(self._images)
        started = time.perf_counter()
        order = permutation(seed, epoch, count)
        if self._settings.augment is not None:
            self._augment(self._settings.augment, epoch)
        last = min((epoch + 1) * self._an_epoch, self.steps)
        if history.steps == epoch * self._an_epoch:
            self._seconds = 0.0
            self._trainer.begin_epoch()
        while history.steps < last:
            first = history.steps - epoch * self._an_epoch
            steps = min(self._steps_a_piece, last - history.steps)
            batches = order[first * self._batch : (first + steps) * self._batch]
            self._trainer.keep()
            began = time.perf_counter()
            try:
                tally = self._trainer.advance(
                    batches, epoch, self._batch, self._rates(history.steps, steps)
                )
                taken = time.perf_counter() - began
                if not (np.isfinite(tally.loss) and self._trainer.finite()):
                    raise diverged(history, self._settings)
                now = time.perf_counter()
                # An interruption finds the steps made and counted, or neither.
                history.steps += steps
            except BaseException:
                self._trainer.go_back()
                raise
            self._seconds += now - started
            started = now
            self._steps_a_piece = max(1, round(steps * PIECE / max(taken, 1e-6)))
            shown()
        tally = self._trainer.tally()
        images = min(count, (last - epoch * self._an_epoch) * self._batch)
        history.record(tally.loss / images, tally.right / images, self._seconds)

    def _rates(self, first: int, count: int) -> npt.NDArray[np.float64]:
        chosen = self._settings
        return rates(
            chosen.schedule,
            chosen.learning_rate,
            self.steps,
            self._an_epoch,
            first,
            first + count,
        )

    def _augment(self, augment: "Augment", epoch: int) -> None:
        images = augment.apply(
            self._images, seed=self._settings.seed, epoch=epoch, threads=self._trainer.threads
        )
        self._trainer.replace(images)

    def state(self) -> dict[str, Any]:
        """Return copies of all that the next update depends on, under their names."""
        return self._trainer.state() | {"seconds": self._seconds}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._seconds = state["seconds"]
        self._trainer.restore(state)
