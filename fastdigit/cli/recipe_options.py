"""Options of ``fastdigit train`` that say what is trained and how, and the recipe that fills in."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastdigit.cli import arguments

if TYPE_CHECKING:
    from fastdigit.recipes import Recipe

CLASSIC = "classic"
FIT = {
    "iterations": "iterations",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "optimizer": "optimizer",
    "schedule": "schedule",
    "l1": "l1",
    "l2": "l2",
    "dropout": "dropout",
    "label_smoothing": "label_smoothing",
    "augment": "augment",
    "patience": "patience",
    "monitor": "monitor",
}
"""Options, and the arguments of `fastdigit.fit` that they stand for."""
HELD_OUT = 1000


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options; what is not given is None."""
    number, share = arguments.whole, arguments.share
    add = parser.add_argument_group("recipe, and what overrides it").add_argument
    add(
        "--recipe",
        choices=(CLASSIC, "98", "98.5", "99", "99.3"),
        help="network and settings (default: classic)",
    )
    add("--hidden", type=number(1), nargs="+", metavar="N", help="units of each hidden layer")
    add(
        "--activation",
        choices=("relu", "leaky_relu", "tanh", "logistic", "identity"),
        default="relu",
        help="of the hidden layers (default: relu)",
    )
    add("--init", choices=("uniform", "he"), help="first weights: U[-0.5, 0.5), or He's for ReLU")
    add("--iterations", type=number(0), metavar="N", help="updates")
    add("--epochs", type=number(0), metavar="N", help="passes over the data")
    add("--batch-size", type=number(1), metavar="N", help="images of an update (default: all)")
    add("--lr", type=arguments.rate, metavar="X", help="learning rate, its peak with a schedule")
    add("--optimizer", choices=("sgd", "momentum", "nesterov", "adam"), help="how to update")
    add("--schedule", choices=("constant", "step", "cosine", "linear"), help="of the learning rate")
    add("--l1", type=arguments.decay, metavar="X", help="decay of weights by their sign")
    add("--l2", type=arguments.decay, metavar="X", help="decay of weights by their size")
    add("--dropout", type=share, metavar="X", help="share of hidden units left out of an update")
    add("--label-smoothing", type=share, metavar="X", help="share of a label given to all classes")
    add("--augment", choices=("affine", "elastic"), help="move, and bend, all images each epoch")
    add(
        "--patience",
        type=number(1),
        metavar="N",
        help="stop after N held-out scores without a better one, and keep the best weights",
    )
    add("--monitor", choices=("loss", "accuracy"), help="the held-out score (default: loss)")


def chosen(options: argparse.Namespace) -> "Recipe":
    """Return the recipe, with the options that were given in the place of its own.

    Raises
    ------
    ArgumentError
        If two of them exclude each other.
    """
    from fastdigit.recipes import RECIPES, Recipe
    from fastdigit.settings import settings

    base = RECIPES[options.recipe or CLASSIC]
    given = {
        name: value
        for option, name in FIT.items()
        if (value := getattr(options, option)) is not None
    }
    if options.recipe is None and options.batch_size is not None:
        # What the notebooks do would be a bad start for something that they do not.
        base = Recipe("", base.hidden)
    if given.keys() & {"iterations", "epochs"}:
        base = replace(base, fit=_without(base.fit, ("iterations", "epochs")))
    recipe = replace(
        base,
        hidden=tuple(options.hidden or base.hidden),
        init=options.init or base.init,
        fit=dict(base.fit) | given,
    )
    if "monitor" in given and "patience" not in recipe.fit:
        raise arguments.ArgumentError("--monitor is about --patience; give both, or none")
    if "patience" in given and options.dev == 0:
        raise arguments.ArgumentError("--patience needs rows held out; leave --dev 0 out")
    try:
        settings(**DEFAULTS | recipe.fit)
    except ValueError as error:
        raise arguments.ArgumentError(_in_options(str(error))) from error
    return recipe


DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("iterations", "epochs", "batch_size", "augment", "patience", "every")),
    **dict.fromkeys(("l1", "l2", "dropout", "label_smoothing"), 0.0),
    "learning_rate": 0.1,
    "optimizer": "sgd",
    "schedule": "constant",
    "monitor": "loss",
    "seed": 0,
}


def held_out(options: argparse.Namespace) -> int:
    """Return how many rows are held out unless the user says so."""
    plain = options.recipe in (None, CLASSIC)
    return HELD_OUT if plain or options.patience is not None else 0


def described(recipe: "Recipe") -> str:
    """Return in a line how a recipe trains."""
    fit = recipe.fit
    rate = f"learning rate {fit.get('learning_rate', DEFAULTS['learning_rate']):g}"
    batch = fit.get("batch_size")
    if batch is None:
        count = fit.get("iterations", fit.get("epochs", 0))
        length = f"{_several(count, 'iteration')} with all images"
    elif "iterations" in fit:
        length = f"{_several(fit['iterations'], 'iteration')} of {_several(batch, 'image')}"
    else:
        length = f"{_several(fit.get('epochs', 10), 'epoch')} in batches of {batch}"
    rest = _without(fit, ("iterations", "epochs", "batch_size", "learning_rate"))
    others = [f"{name.replace('_', ' ')} {value}" for name, value in rest.items()]
    return ", ".join([length, rate, *others])


def _several(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def _in_options(message: str) -> str:
    """Return an error message with options in the place of Python's arguments."""
    for option, name in FIT.items():
        message = message.replace(f"{name}=", f"--{option.replace('_', '-')} ")
    return message


def _without(settings: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}
