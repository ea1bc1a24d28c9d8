"""The digits to use where nobody named any."""

import os
from pathlib import Path

from fastdigit.data.dataset import Dataset
from fastdigit.data.loading import load_data
from fastdigit.errors import DataError

ENVIRONMENT_VARIABLE = "FASTDIGIT_DATA"
# As many as MNIST has. The seeds differ, so that no test image was trained on.
ROWS = {"train": 60_000, "test": 10_000}
SEEDS = {"train": 0, "test": 1}


def default_data(subset: str = "train") -> Dataset:
    """Return what FASTDIGIT_DATA names, or else MNIST if it was downloaded, or built-in digits.

    Parameters
    ----------
    subset
        "train" or "test".

    Returns
    -------
    Dataset
        Its ``source`` tells which it is. Built-in digits are drawn on the spot.

    Raises
    ------
    DataError
        If what the variable names cannot be read, or has no test set of its own.
    """
    if subset not in ROWS:
        raise DataError(f"subset is {subset!r}; expected 'train' or 'test'")
    place = os.environ.get(ENVIRONMENT_VARIABLE)
    if place:
        path = Path(place).expanduser()
        if subset == "test" and path.is_file() and ".npz" not in path.suffixes:
            raise DataError(
                f"{ENVIRONMENT_VARIABLE} names one file, {path}, which has no test set of its "
                "own; set it to a folder that holds both sets, or split the training set"
            )
        try:
            return load_data(path, subset)
        except DataError as error:
            raise DataError(f"{error} (named by {ENVIRONMENT_VARIABLE})") from error
    folder = downloaded()
    if folder:
        return load_data(folder, subset)
    from fastdigit.data.drawing import make_digits

    return make_digits(ROWS[subset], seed=SEEDS[subset])


def downloaded() -> Path | None:
    """Return the folder of MNIST that `fastdigit download mnist` made, if all of it is there."""
    from fastdigit.data.download import MNIST, default_folder

    folder = default_folder()
    return folder if all((folder / name).is_file() for name in MNIST) else None
