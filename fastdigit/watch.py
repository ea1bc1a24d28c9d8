"""Who looks on while a network is trained: held-out scores, early stopping, signs of trouble."""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.errors import DivergenceError, warn_caller
from fastdigit.history import History, Validation
from fastdigit.kernels import Objective
from fastdigit.settings import Settings

Floats = npt.NDArray[Any]

Told = Callable[[], bool]
"""Called after each record; returns whether to stop."""

STUCK_BELOW = 0.2
"""Accuracy, with ten classes, that training should have left behind after `STUCK_AFTER`."""
STUCK_AFTER = 100
"""Updates with all images."""


class Watch:
    """Scores the held-out images, remembers the best weights, and tells when to stop.

    Parameters
    ----------
    held_out
        Their loss; None where there are none.
    settings
        How often to score, what counts, and for how many scores to be patient.
    """

    def __init__(self, held_out: Objective | None, settings: Settings) -> None:
        self._held_out = held_out
        self._settings = settings
        self._best: Floats | None = None
        self._best_score = -np.inf
        self._best_at: Validation | None = None
        self._waited = 0

    def score(self, parameters: Floats, history: History, final: bool = False) -> bool:
        """Score the weights if it is time, and return whether they no longer get better."""
        records = len(history)
        due = final or records % self._settings.every == 0
        scored = bool(history.validation) and history.validation[-1].iteration == records
        if self._held_out is None or not due or scored:
            return False
        started = time.perf_counter()
        history.validation.append(Validation(records, *self._held_out.evaluate(parameters)))
        history.validation_seconds += time.perf_counter() - started
        return self._settings.patience is not None and self._judge(parameters, history)

    def records_to_score(self, history: History) -> int:
        """Return after how many records more `score` is called for, 1 at least."""
        if self._held_out is None:
            return sys.maxsize
        return self._settings.every - len(history) % self._settings.every

    def _judge(self, parameters: Floats, history: History) -> bool:
        newest = history.validation[-1]
        score = newest.accuracy if self._settings.monitor == "accuracy" else -newest.loss
        if score > self._best_score:
            self._best, self._best_score, self._waited = parameters.copy(), score, 0
            self._best_at = newest
            return False
        self._waited += 1
        return self._waited >= (self._settings.patience or 0)

    def restore_best(self, parameters: Floats, history: History) -> None:
        """Put the best weights in place, if early stopping was asked for, and note their score."""
        if self._best is not None:
            parameters[:] = self._best
        history.kept = self._best_at or (history.validation[-1] if history.validation else None)

    def state(self) -> dict[str, Any]:
        """Return what the next score will be compared with."""
        best = {} if self._best is None else {"best": self._best.copy()}
        return best | {
            "best_score": self._best_score,
            "best_at": self._best_at,
            "waited": self._waited,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._best = state.get("best")
        self._best_score, self._best_at = state["best_score"], state["best_at"]
        self._waited = state["waited"]


def diverged(history: History, settings: Settings) -> DivergenceError:
    """Return the error of a loss that is not finite."""
    smaller = min(settings.learning_rate / 10, 0.1)
    if not history.steps and settings.full_batch:
        return DivergenceError(
            "the loss is not finite before any update: the weights, or floats in the images, are "
            "too large; scale images to 0..1"
        )
    if not history.steps:
        return DivergenceError(
            "the loss is not finite in the first batches: the weights, or floats in the images, "
            "are too large, or the updates are; scale images to 0..1, or try a smaller learning "
            f"rate, such as {smaller:g}"
        )
    recent = ", ".join(f"{loss:.4g}" for loss in history.loss[-3:]) or "none yet"
    return DivergenceError(
        f"training diverged at iteration {history.steps}: the loss is no longer finite (the losses "
        f"before: {recent}). The last weights with a finite loss are kept; try a smaller learning "
        f"rate, such as {smaller:g}"
    )


def warn_if_stuck(classes: int, history: History, learning_rate: float) -> None:
    """Warn of an accuracy that guessing would give as well, and say what may be the reason."""
    if history.accuracy[-1] > max(STUCK_BELOW, 1.5 / classes) or classes < 5:
        return
    if np.isnan(history.loss[-1]):
        return
    falling = history.loss[0] - history.loss[-1] > 1e-3 * history.loss[0]
    if falling:
        reason = f"the loss falls, but slowly: the learning rate {learning_rate:g} may be too small"
    else:
        reason = (
            "the loss does not fall: the pixels may be unscaled (pass bytes, or floats divided by "
            "255), the learning rate too large, or all hidden units dead (try another seed or init)"
        )
    warn_caller(
        f"accuracy is {history.accuracy[-1]:.1%} after {history.steps} iterations, about what "
        f"guessing gives; {reason}"
    )
