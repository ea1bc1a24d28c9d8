"""What a training is told, checked once, in one place."""

import operator
from dataclasses import dataclass, fields
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, get_args

from fastdigit import optimizers, schedules
from fastdigit.kernels.steps import Learning
from fastdigit.optimizers import Optimizer
from fastdigit.schedules import Schedule

if TYPE_CHECKING:
    from fastdigit.data.augment import Augment

Monitor = Literal["loss", "accuracy"]

ITERATIONS = 500
EPOCHS = 10
"""By default, with all images at once and with batches."""
MOST_SHARE = 0.99
"""Of units that drop out, or of a label that is spread."""
TOO_LARGE = 2**63
MOST_IMAGES = 65_536
"""In a batch: the kernels count its rows in 16 bits."""


@dataclass(frozen=True)
class Settings:
    """All that decides what a network learns from given data; see `training.fit` for each."""

    iterations: int | None
    epochs: int | None
    batch_size: int | None
    learning_rate: float
    optimizer: Optimizer
    schedule: Schedule
    l1: float
    l2: float
    dropout: float
    label_smoothing: float
    augment: "Augment | None"
    patience: int | None
    monitor: str
    every: int
    seed: int

    @property
    def full_batch(self) -> bool:
        """Whether each update sees all images."""
        return self.batch_size is None

    def steps(self, images: int) -> tuple[int, int]:
        """Return how many updates are made from so many images, and how many in an epoch."""
        batch = images if self.batch_size is None else self.batch_size
        an_epoch = -(-images // batch)
        if self.iterations is not None:
            return self.iterations, an_epoch
        assert self.epochs is not None
        return self.epochs * an_epoch, an_epoch

    def learning(self, activation: str) -> Learning:
        """Return what a step is told."""
        return Learning(
            self.optimizer, self.l1, self.l2, self.dropout, self.label_smoothing, activation
        )

    def differences(self, other: "Settings") -> list[str]:
        """Return the settings that another training has differently, as ``name: its, ours``."""
        return [
            f"{field.name}: {getattr(other, field.name)!r}, now {getattr(self, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]


def settings(**given: Any) -> Settings:
    """Return the settings that `fit` was given, with names looked up and defaults filled in.

    Raises
    ------
    ValueError
        For what is no such setting, or for two that exclude each other.
    """
    batch_size, iterations, epochs = (given[n] for n in ("batch_size", "iterations", "epochs"))
    if iterations is not None and epochs is not None:
        raise ValueError("iterations and epochs are both given; they say the same thing: keep one")
    if iterations is None and epochs is None:
        given["iterations" if batch_size is None else "epochs"] = (
            ITERATIONS if batch_size is None else EPOCHS
        )
    for name, least in (("iterations", 0), ("epochs", 0), ("batch_size", 1), ("patience", 1)):
        if given[name] is not None:
            _check_whole(name, given[name], least)
    if batch_size is not None and batch_size > MOST_IMAGES:
        raise ValueError(
            f"batch_size={batch_size}; it can be {MOST_IMAGES} at most; leave it out to train with "
            "all images at once"
        )
    if given["every"] is None:
        given["every"] = 10 if batch_size is None else 1
    _check_whole("every", given["every"], 1)
    _check_whole("seed", given["seed"], 0)
    _check_number("learning_rate", given["learning_rate"], positive=True)
    for name in ("l1", "l2"):
        _check_number(name, given[name], positive=False)
    for name in ("dropout", "label_smoothing"):
        _check_number(name, given[name], positive=False)
        if given[name] > MOST_SHARE:
            raise ValueError(f"{name}={given[name]!r}; it is a share, 0 to {MOST_SHARE}")
    if given["monitor"] not in get_args(Monitor):
        raise ValueError(f"monitor={given['monitor']!r}; it is 'loss' or 'accuracy'")
    asked = given["augment"]
    if given["augment"] is not None:
        # Its kernels need the compiler, which nobody else should wait for.
        from fastdigit.data.augment import augment

        given["augment"] = augment(given["augment"])
    if batch_size is None:
        for name in ("dropout", "label_smoothing", "augment"):
            if given[name]:
                value = asked if name == "augment" else given[name]
                raise ValueError(
                    f"{name}={value!r} needs batches; add, for example, batch_size=128"
                )
    for name in ("learning_rate", "l1", "l2", "dropout", "label_smoothing"):
        given[name] = float(given[name])  # NumPy's numbers would change the type of float32 arrays
    return Settings(
        **given
        | {
            "optimizer": optimizers.optimizer(given["optimizer"]),
            "schedule": schedules.schedule(given["schedule"]),
        }
    )


def _check_whole(name: str, value: Any, least: int) -> None:
    try:
        fits = not isinstance(value, bool) and least <= operator.index(value) < TOO_LARGE
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}={value!r}; it must be a whole number of at least {least}, below 2**63"
        )


def _check_number(name: str, value: Any, positive: bool) -> None:
    try:
        given = isinstance(value, Real) and not isinstance(value, bool)
        number = float(value) if given else float("nan")
    except OverflowError:
        number = float("inf")
    if not (number > 0 if positive else number >= 0) or number == float("inf"):
        kind = "a positive number" if positive else "a number of at least 0"
        raise ValueError(f"{name}={value!r}; it must be {kind}")
