"""``fastdigit train``: train a network, say how good it is and where the time went."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fastdigit.cli import arguments
from fastdigit.cli.streams import note, say
from fastdigit.cli.timing import Parts, since_process_start
from fastdigit.errors import DivergenceError

if TYPE_CHECKING:
    from fastdigit.data import Dataset
    from fastdigit.history import History
    from fastdigit.network import Network
    from fastdigit.reporting.pictures import Curve


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "train",
        help="train a network on digits",
        description="Train a network by full-batch gradient descent, as the notebooks do: "
        "784-10-10, 500 iterations at learning rate 0.1, 1,000 rows held out.",
    )
    arguments.add_data(parser)
    number = arguments.whole
    parser.add_argument("--rows", type=number(1), metavar="N", help="use only the first N rows")
    parser.add_argument(
        "--dev", type=number(0), default=1000, metavar="N", help="rows held out (default: 1000)"
    )
    parser.add_argument(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="draws the split and the first weights (default: 0)",
    )
    parser.add_argument(
        "--hidden",
        type=number(1),
        nargs="+",
        default=[10],
        metavar="N",
        help="units of each hidden layer (default: 10)",
    )
    arguments.add_classes(parser)
    parser.add_argument(
        "--init",
        choices=("uniform", "he"),
        default="uniform",
        help="first weights: the notebooks' U[-0.5, 0.5) (default), or He's for ReLU",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--iterations", type=number(0), default=500, metavar="N", help="updates (default: 500)"
    )
    parser.add_argument(
        "--lr", type=arguments.rate, default=0.1, metavar="X", help="learning rate (default: 0.1)"
    )
    arguments.add_compute(parser)
    parser.add_argument(
        "--storage",
        choices=("auto", "dense", "sparse"),
        default="auto",
        help="keep pixels with or without the zeros (default: auto, by their share)",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--save-model", type=Path, metavar="PATH", help="write a safetensors file")
    parser.add_argument("--history", type=Path, metavar="CSV", help="write every iteration's loss")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the learning curves")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train as the arguments say."""
    parts = Parts()
    arguments.apply_threads(options.threads)
    arguments.check_outputs(
        (options.save_model, options.history, options.plot), (options.data, options.data_option)
    )
    from fastdigit import Network, fit
    from fastdigit.kernels import chosen

    if chosen(options.backend) == "numba":
        from fastdigit.kernels import numba_backend  # noqa: F401
    parts.add("start", since_process_start())
    with parts.part("load"):
        data = arguments.load(options, "train")
    with parts.part("prepare"):
        used = data if options.rows is None else data.head(options.rows)
        train, dev = used.split(options.dev, options.seed)
        sizes = [data.images.shape[1], *options.hidden, options.classes]
        network = Network(sizes, dtype=options.dtype, seed=options.seed, init=options.init)
        arguments.check_classes(used, options.classes)
        say(describe(options, used, train, dev, network))
    try:
        history = fit(
            network,
            train,
            validation=dev if len(dev) else None,
            iterations=options.iterations,
            learning_rate=options.lr,
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
    say(f"training accuracy {history.final_accuracy:.2%} of {len(train):,} images")
    if history.validation:
        say(f"held-out accuracy {history.validation[-1].accuracy:.2%} of {len(dev):,} images")
    with parts.part("save"):
        _save(options, network, history)
    say(f"time: {parts.describe()}")


def describe(
    options: argparse.Namespace,
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
        ("network", f"{sizes}, {network.dtype}, init {options.init}"),
        ("updates", f"{options.iterations} at learning rate {options.lr:g}"),
    ]
    return f"{data.summary()}\n{pairs(facts)}"


def _rescue(options: argparse.Namespace, network: "Network", error: BaseException) -> None:
    """Save what there is when training ends early; say what is in it."""
    history: History | None = getattr(error, "history", None)
    if history is None or not len(history):
        note("stopped before the first iteration was over; nothing is saved")
        return
    _save(options, network, history)
    reached = f"stopped after {len(history)} whole iterations"
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
    if history.validation:
        reached += f", {history.validation[-1].accuracy:.1%} of those held out"
    return f"{reached} after {len(history)} iterations"
