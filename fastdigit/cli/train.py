"""``fastdigit train``: train a network, say how good it is and where the time went."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fastdigit.cli import arguments, recipe_options
from fastdigit.cli.streams import note, say
from fastdigit.cli.timing import Parts, since_process_start
from fastdigit.errors import DataError, DivergenceError

if TYPE_CHECKING:
    from fastdigit.data import Dataset
    from fastdigit.history import History
    from fastdigit.network import Network
    from fastdigit.recipes import Recipe
    from fastdigit.reporting.pictures import Curve


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "train",
        help="train a network on digits",
        description="Train a network. By default as the notebooks do: 784-10-10, all images at "
        "once, 500 iterations at learning rate 0.1, 1,000 rows held out. With --recipe 98, 98.5, "
        "99 or 99.3: what is meant to reach so many per cent on MNIST. Any other option overrides "
        "its part of the recipe.",
    )
    arguments.add_data(parser)
    number = arguments.whole
    parser.add_argument("--rows", type=number(1), metavar="N", help="use only the first N rows")
    parser.add_argument(
        "--dev",
        type=number(0),
        metavar="N",
        help="rows held out (default: 1000; 0 with a recipe other than classic)",
    )
    parser.add_argument(
        "--test", action="store_true", help="score the test images of DATA in the end"
    )
    parser.add_argument(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="draws the split, the first weights, and with batches their order (default: 0)",
    )
    arguments.add_classes(parser)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    recipe_options.add_to(parser)
    arguments.add_compute(parser)
    parser.add_argument(
        "--storage",
        choices=("auto", "dense", "sparse"),
        default="auto",
        help="keep pixels with or without the zeros (default: auto, by their share)",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--save-model", type=Path, metavar="PATH", help="write a safetensors file")
    parser.add_argument("--history", type=Path, metavar="CSV", help="write every record's loss")
    parser.add_argument(
        "--plot", type=arguments.png, metavar="PNG", help="draw the learning curves"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train as the arguments say."""
    parts = Parts()
    arguments.apply_threads(options.threads)
    arguments.check_outputs(
        (options.save_model, options.history, options.plot), arguments.places(options)
    )
    recipe = recipe_options.chosen(options)
    from fastdigit import Network, fit
    from fastdigit.kernels import chosen

    if chosen(options.backend) == "numba":
        from fastdigit.kernels import numba_backend  # noqa: F401
    parts.add("start", since_process_start())
    with parts.part("load"):
        data = arguments.load(options, "train")
        test = arguments.load(options, "test") if options.test else None
        if test is not None and test.fingerprint == data.fingerprint:
            raise DataError(
                f"{data.source} holds no test images of its own, so --test would score those that "
                "were learned from; name a folder that holds both, or leave --test out"
            )
    with parts.part("prepare"):
        used = data if options.rows is None else data.head(options.rows)
        held_out = options.dev if options.dev is not None else recipe_options.held_out(options)
        train, dev = used.split(held_out, options.seed) if held_out else (used, used.head(0))
        sizes = [data.images.shape[1], *recipe.hidden, options.classes]
        network = Network(
            sizes, options.dtype, options.seed, recipe.init, activation=options.activation
        )
        arguments.check_classes(used, options.classes)
        say(describe(options, recipe, used, train, dev, network))
    try:
        history = fit(
            network,
            train,
            validation=dev if len(dev) else None,
            **recipe.fit,
            seed=options.seed,
            backend=options.backend,
            storage=options.storage,
            threads=options.threads,
            progress=not options.quiet,
        )
    except (KeyboardInterrupt, DivergenceError) as error:
        _rescue(options, network, error)
        raise
    parts.add("prepare", history.compile_seconds + history.prepare_seconds)
    parts.add("train", history.train_seconds)
    if history.final_accuracy is not None:
        say(f"training accuracy {history.final_accuracy:.2%} of {len(train):,} images")
    elif len(history):
        say(f"training accuracy {history.accuracy[-1]:.2%} in the last epoch, as it went")
    if history.kept is not None:
        say(f"held-out accuracy {history.kept.accuracy:.2%} of {len(dev):,} images{_kept(history)}")
    if test is not None:
        with parts.part("test"):
            if test.labels is None:
                raise DataError(f"{test.source} has no labels to compare with")
            accuracy = network.accuracy(
                test.images, test.labels, backend=options.backend, threads=options.threads
            )
            say(f"test accuracy {accuracy:.2%} of {len(test):,} images")
    with parts.part("save"):
        _save(options, network, history)
    say(f"time: {parts.describe()}")


def describe(
    options: argparse.Namespace,
    recipe: "Recipe",
    data: "Dataset",
    train: "Dataset",
    dev: "Dataset",
    network: "Network",
) -> str:
    """Return what will be trained on what."""
    from fastdigit.reporting.tables import pairs

    sizes = "-".join(map(str, network.sizes))
    facts = [
        ("split", f"{len(train):,} for training, {len(dev):,} held out (seed {options.seed})"),
        ("network", f"{sizes}, {network.dtype}, {network.activation}, init {recipe.init}"),
        ("training", recipe_options.described(recipe)),
    ]
    return f"{data.summary()}\n{pairs(facts)}"


def _kept(history: "History") -> str:
    """Return which weights were kept, if not the last ones."""
    assert history.kept is not None
    if history.kept.iteration == len(history):
        return ""
    stopped = f"stopped early, after {history.length}" if history.stopped_early else "all done"
    return f", with the best weights, those after {history.kept.iteration} ({stopped})"


def _rescue(options: argparse.Namespace, network: "Network", error: BaseException) -> None:
    """Save what there is when training ends early; say what is in it."""
    history: History | None = getattr(error, "history", None)
    if history is None or not history.steps:
        note("stopped before the first iteration was over; nothing is saved")
        return
    _save(options, network, history)
    whole = f"{history.steps} whole iteration{'s' * (history.steps != 1)}"
    reached = f"stopped after {whole}"
    if options.save_model is None:
        note(f"{reached}; the weights are lost, as --save-model was not given")
    else:
        kind = "last finite" if isinstance(error, DivergenceError) else "last"
        note(f"{reached}; the {kind} weights are in {options.save_model}")


def _save(options: argparse.Namespace, network: "Network", history: "History") -> None:
    if options.save_model is not None:
        network.save(options.save_model)
        say(f"saved {options.save_model}")
    if options.history is not None:
        history.to_csv(options.history)
        say(f"saved {options.history}")
    if options.plot is not None:
        from fastdigit.reporting import pictures

        pictures.save(pictures.learning_curves(curves(history), finding(history)), options.plot)
        say(f"saved {options.plot}")


def curves(history: "History") -> list["Curve"]:
    """Return what happened on the training images and on those held out."""
    from fastdigit.reporting.pictures import Curve

    found = [Curve("training", range(len(history)), history.loss, history.accuracy)]
    if history.validation:
        at, loss, accuracy = zip(*history.validation, strict=True)
        found.append(Curve("held out", at, loss, accuracy))
    return found


def finding(history: "History") -> str:
    """Return what the learning curves show."""
    if not len(history):
        return "Nothing was trained"
    # An interrupted training was not scored after its last update.
    share = history.accuracy[-1] if history.final_accuracy is None else history.final_accuracy
    reached = f"{share:.1%} of the training images"
    held_out = history.kept or (history.validation[-1] if history.validation else None)
    if held_out is not None:
        reached += f", {held_out.accuracy:.1%} of those held out"
    return f"{reached} after {history.length}"
