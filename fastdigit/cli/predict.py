"""``fastdigit predict``: read pictures of digits, or tables of them."""

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdigit.cli import arguments
from fastdigit.cli.streams import note, say
from fastdigit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fastdigit.network import Network


def add_to(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "predict",
        help="read digits with a saved network",
        description="Read digits with a saved network. For a picture, its label and probability "
        "are printed; for a table of images, one label a line.",
    )
    parser.add_argument("model", metavar="MODEL", help="a file that train --save-model wrote")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        type=Path,
        help="pictures (PNG, JPEG, ...), or one table: CSV, IDX or .npz, with or without labels",
    )
    parser.add_argument(
        "--invert", action="store_true", help="pictures are dark digits on a bright ground"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="CSV",
        help="write the labels of a table as Kaggle wants them: ImageId,Label",
    )
    arguments.add_csv(parser)
    arguments.add_compute(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the labels, or write them."""
    arguments.apply_threads(options.threads)
    from fastdigit import Network
    from fastdigit.cli.picture_file import is_picture

    arguments.check_outputs([options.output], [options.model, *options.inputs])
    network = Network.load(options.model)
    tables = [path for path in options.inputs if not is_picture(path)]
    if options.output is not None and (len(tables) != 1 or len(options.inputs) != 1):
        raise arguments.ArgumentError("--output takes the labels of one table; give one INPUT")
    if tables and options.invert:
        raise arguments.ArgumentError(f"--invert is for pictures, but {tables[0]} is none")
    for path in options.inputs:
        if path in tables:
            _read_table(options, network, path)
        else:
            _read_picture(options, network, path)


def _read_picture(options: argparse.Namespace, network: "Network", path: Path) -> None:
    from fastdigit.cli.picture_file import read_picture

    pixels = read_picture(path, network.sizes[0], options.invert)
    probabilities = network.predict_proba(pixels, backend=options.backend, threads=options.threads)[
        0
    ]
    label = int(probabilities.argmax())
    say(f"{path}: {label} ({float(probabilities[label]):.1%})")


def _read_table(options: argparse.Namespace, network: "Network", path: Path) -> None:
    images = _images(path, arguments.csv_options(options))
    labels = network.predict(images, backend=options.backend, threads=options.threads)
    if options.output is None:
        say("\n".join(map(str, labels.tolist())))
        return
    from fastdigit.storage import write_whole

    write_whole(options.output, submission(labels))
    note(f"{len(labels):,} labels are in {options.output}")


def _images(path: Path, csv: dict[str, Any]) -> "npt.NDArray[np.uint8]":
    from fastdigit.data import load_data
    from fastdigit.data.compressed import first_bytes

    # Labels are not needed. IDX files and archives may lack them; in a CSV file, only its header
    # tells which column is no pixel.
    if path.is_file() and first_bytes(path).startswith((b"\0\0", b"PK")):
        csv = {"label_column": None}
    try:
        return load_data(path, "test", **csv).images
    except DataError as error:
        if path.exists():
            raise
        raise DataError(f"{path}: there is no such file") from error


def submission(labels: "npt.NDArray[np.intp]") -> bytes:
    """Return labels as a table of ImageId, from 1, and Label."""
    text = io.StringIO()
    text.write("ImageId,Label\n")
    for number, label in enumerate(labels.tolist(), start=1):
        text.write(f"{number},{label}\n")
    return text.getvalue().encode()
