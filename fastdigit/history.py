"""What happened while a network was trained."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastdigit.settings import Settings


class Validation(NamedTuple):
    """The score of the held-out images at one moment."""

    iteration: int
    """Records made before it: iterations, or epochs."""
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Checkpoint:
    """What a training that has stopped needs to go on as if it had not."""

    settings: "Settings"
    fingerprint: int
    """Of images, labels and type of the weights."""
    state: dict[str, Any]
    """The parameters, what the optimizer remembers of them, and how far an epoch has come."""
    watch: dict[str, Any]
    """The best held-out score so far."""


@dataclass(repr=False)
class History:
    """One record for each iteration, or, in training with batches, for each epoch.

    Entry i belongs to the weights before update i; that of an epoch, to each batch before its own
    update, so dropout and augmentation show in it.
    """

    backend: str
    """The backend that ran: ``"numpy"`` or ``"numba"``."""
    storage: str
    """How the images were kept."""
    threads: int | None
    """Threads of the kernels; None where a library decides."""
    loss: list[float] = field(default_factory=list)
    """Mean cross-entropy on the training images, in nats."""
    accuracy: list[float] = field(default_factory=list)
    """Share of training images that were right, 0..1."""
    seconds: list[float] = field(default_factory=list)
    """Wall time of the record, without validation, callbacks and progress. Iterations that were
    made in one call of the kernels count for equal parts of it."""
    validation: list[Validation] = field(default_factory=list)
    """Scores of the held-out images, every so many records and after the last update."""
    kept: Validation | None = None
    """The score of the weights that the network has in the end: the last one, or, with patience,
    the best. None if interrupted, or if nothing was held out."""
    final_loss: float | None = None
    """Mean cross-entropy of the training images with the weights in the end; None if interrupted,
    and after training with batches, where it would take a good part of an epoch to find out."""
    final_accuracy: float | None = None
    """Share of training images that are right with the weights in the end, 0..1."""
    unit: str = "iteration"
    """What a record stands for: ``"iteration"`` or ``"epoch"``."""
    steps: int = 0
    """Updates made."""
    stopped_early: bool = False
    """Whether the held-out score no longer got better; the best weights are then kept."""
    checkpoint: Checkpoint | None = None
    """After an interruption: pass the history as ``fit(..., resume=history)`` to go on."""
    validation_seconds: float = 0.0
    """Scoring the held-out images, all together."""
    train_seconds: float = 0.0
    """From the first iteration to the final scores: with validation, callbacks and progress."""
    prepare_seconds: float = 0.0
    """Checking the images, and bringing them into the form that the kernels read."""
    compile_seconds: float = 0.0
    """Compiling the kernels, or loading them from the cache, before the first iteration."""

    def __repr__(self) -> str:
        last = f", loss {self.loss[-1]:.4f}, accuracy {self.accuracy[-1]:.4f}" if len(self) else ""
        return f"<History of {self.length}, {self.backend} {self.storage}{last}>"

    def __len__(self) -> int:
        """Return how many iterations, or epochs, were finished."""
        return len(self.seconds)

    def __bool__(self) -> bool:
        """Return True, also for a training that was interrupted before its first record."""
        return True

    @property
    def length(self) -> str:
        """How many records there are, in words, such as ``"1 epoch"``."""
        return f"{len(self)} {self.unit}{'s' * (len(self) != 1)}"

    def record(self, loss: float, accuracy: float, seconds: float) -> None:
        """Add one record: all of it, or, if interrupted, nothing."""
        self.extend([(loss, accuracy)], seconds)

    def extend(self, scores: Sequence[tuple[float, float]], seconds: float) -> None:
        """Add a record for each loss and accuracy, which took so long each; all, or nothing."""
        done = len(self)
        self.loss[done:] = [loss for loss, _ in scores]
        self.accuracy[done:] = [accuracy for _, accuracy in scores]
        self.seconds += [seconds] * len(scores)

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write one line for each record; a cell without a measurement is empty."""
        from fastdigit.storage import write_whole

        held_out = {score.iteration: score[1:] for score in self.validation}
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([self.unit, "loss", "accuracy", "seconds", "dev_loss", "dev_accuracy"])
        rows = zip(self.loss, self.accuracy, self.seconds, strict=True)
        for number, row in enumerate(rows):
            writer.writerow([number, *row, *held_out.get(number, ("", ""))])
        if len(self) in held_out:
            writer.writerow([len(self), "", "", "", *held_out[len(self)]])
        write_whole(Path(path), text.getvalue().encode())

    def plot(self, axes: "tuple[Axes, Axes] | None" = None) -> "tuple[Axes, Axes]":
        """Draw loss and accuracy over the records, on a new pyplot figure unless told where."""
        if axes is None:
            import matplotlib.pyplot as plt

            axes = tuple(plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")[1])
        loss, accuracy = axes
        at = [score.iteration for score in self.validation]
        loss.plot(self.loss, label="training")
        accuracy.plot([100 * share for share in self.accuracy], label="training")
        if at:
            loss.plot(at, [score.loss for score in self.validation], "--", label="held out")
            accuracy.plot(
                at, [100 * score.accuracy for score in self.validation], "--", label="held out"
            )
            accuracy.legend(frameon=False, loc="lower right")
        loss.set(title="Loss", xlabel=self.unit, ylabel="mean cross-entropy (nats)")
        accuracy.set(title="Accuracy", xlabel=self.unit, ylabel="right answers (%)")
        for part in axes:
            part.grid(alpha=0.3)
            part.spines[["top", "right"]].set_visible(False)
        return axes
