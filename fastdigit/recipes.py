"""Recipes: settings that reach an accuracy on MNIST, chosen on held-out training images.

What each reaches, with how many seeds and how fast, is in docs/recipes.md.
"""

from dataclasses import dataclass, field
from typing import Any

from fastdigit.network import Init
from fastdigit.optimizers import Adam


@dataclass(frozen=True)
class Recipe:
    """A network, and how to train it."""

    about: str
    """What it is, in half a sentence."""
    hidden: tuple[int, ...]
    """Units of each hidden layer."""
    init: Init = "he"
    fit: dict[str, Any] = field(default_factory=dict)
    """Arguments of `fastdigit.fit`."""


FAST: dict[str, Any] = {
    "batch_size": 128,
    "schedule": "linear",
    "label_smoothing": 0.05,
}
"""What the fast ones have in common: a high rate that falls to 0, and labels that are not certain.
"""

RECIPES = {
    "classic": Recipe(
        "the notebooks' network and settings, all images at once",
        (10,),
        "uniform",
        {"iterations": 500, "learning_rate": 0.1},
    ),
    "98": Recipe(
        "one small hidden layer, a few epochs",
        (128,),
        fit=FAST | {"epochs": 3, "optimizer": "nesterov", "learning_rate": 0.3},
    ),
    "98.5": Recipe(
        "a wide hidden layer",
        (512,),
        fit=FAST | {"epochs": 4, "optimizer": "nesterov", "learning_rate": 0.4},
    ),
    "99": Recipe(
        "a wide hidden layer, images moved anew each epoch",
        (512,),
        fit=FAST
        | {"epochs": 12, "optimizer": "nesterov", "learning_rate": 0.3, "augment": "affine"},
    ),
    "99.3": Recipe(
        "two hidden layers, images moved and bent anew each epoch",
        (512, 256),
        fit=FAST
        | {
            "epochs": 30,
            "optimizer": Adam(0.9, 0.98),
            "learning_rate": 0.003,
            "augment": "elastic",
        },
    ),
}


def recipe(name: str) -> Recipe:
    """Return the recipe of a name.

    Raises
    ------
    ValueError
        For any other name.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; there are {', '.join(map(repr, RECIPES))}")
    return RECIPES[name]
