"""load_data: reads a file or folder of digits, whichever of the known formats it is in."""

import os
from pathlib import Path

from fastdigit.data.compressed import first_bytes, is_gzip
from fastdigit.data.dataset import Dataset
from fastdigit.data.idx import find_idx, is_idx_name, labels_beside, load_idx
from fastdigit.data.signature import describe, is_foreign
from fastdigit.errors import DataError

SUBSETS = ("train", "test")


def load_data(
    path: str | os.PathLike[str],
    subset: str = "train",
    *,
    header: bool = True,
    label_column: str | int | None = "auto",
    allow_missing_newline: bool = False,
) -> Dataset:
    """Read images of digits from a file or a folder; its content decides how, not its name.

    Parameters
    ----------
    path
        A CSV file in the layout of Kaggle's Digit Recognizer; an IDX file of images, whose file
        of labels lies beside it; an ``.npz`` archive; any of them gzip-compressed; or a folder
        that holds MNIST's or one EMNIST split's IDX files, Kaggle's ``train.csv`` and
        ``test.csv``, or ``mnist.npz``.
    subset
        "train" or "test": which part of a folder, or of an archive that holds both. A CSV or
        IDX file is one part already: there, it has no effect.
    header
        CSV: whether the first line names the columns.
    label_column
        CSV: which column holds the labels. "auto" takes the first if it is named ``label``, and
        none if all are named ``pixel0, pixel1, ...`` as in Kaggle's ``test.csv``; anything else
        has to be said: "first", "last", a name, or an index from 0 (negative from the end).
        In all formats, None reads images alone.
    allow_missing_newline
        CSV: whether the last line may lack its line end. Such a file may have been cut inside
        its last number, which nothing else can show.

    Returns
    -------
    Dataset
        Images as ``(n, features)`` bytes, row by row as stored, and their labels. EMNIST stores
        its images transposed, and that is how they stay.

    Raises
    ------
    DataError
        If there is nothing, or what is there is not entirely right. Nothing is wrapped, cut,
        padded or guessed.
    """
    if subset not in SUBSETS:
        raise DataError(f"subset is {subset!r}; expected 'train' or 'test'")
    path = Path(path).expanduser()
    if path.is_dir():
        images = _choose(path, subset)
    elif path.is_file():
        images = path
    else:
        raise DataError(f"{path}: {_what_is_there(path)}")
    try:
        data = _load_file(
            images, subset, header, label_column, allow_missing_newline=allow_missing_newline
        )
    except DataError as error:
        message = str(error)
        raise error if str(images) in message else DataError(f"{images}: {message}") from error
    if len(data) == 0:
        raise DataError(f"{images}: holds no image at all")
    return data


def _load_file(
    path: Path,
    subset: str,
    header: bool,
    label_column: str | int | None,
    *,
    allow_missing_newline: bool,
) -> Dataset:
    head = first_bytes(path)
    if is_foreign(head) or (is_gzip(path) and head.startswith(b"\x1f\x8b")):
        inside = "inside its gzip data " if is_gzip(path) else ""
        raise DataError(
            f"{path}: {inside}this is {describe(head)}; "
            "expected CSV, IDX or npz, plain or gzip-compressed once"
        )
    if head.startswith(b"\0\0"):
        labels = None if label_column is None else labels_beside(path)
        return load_idx(path, labels)
    if head.startswith(b"PK"):
        from fastdigit.data.npz import load_npz

        return load_npz(path, subset, labelled=label_column is not None)
    # Imports Numba, which takes a while.
    from fastdigit.data.kaggle import load_kaggle

    return load_kaggle(path, header, label_column, allow_missing_newline)


def _choose(folder: Path, subset: str) -> Path:
    """Return the file of a folder that holds the images of a subset."""
    idx = find_idx(folder, subset)
    found = [folder / name for name in _names(subset) if (folder / name).is_file()]
    if idx is not None:
        found.append(idx[0])
    if len(found) > 1:
        raise DataError(
            f"{folder}: holds several data sets ({', '.join(path.name for path in found)}); "
            "give the path of one of them"
        )
    if not found:
        raise DataError(
            f"{folder}: expected {subset}.csv, mnist.npz or MNIST's four IDX files "
            f"(train-images-idx3-ubyte.gz and so on) in this folder; {_entries(folder)}"
        )
    return found[0]


def data_files(place: str | os.PathLike[str]) -> list[Path]:
    """Return the file, or the files of a folder, that `load_data` may read."""
    path = Path(place).expanduser()
    if not path.is_dir():
        return [path]
    names = {name for subset in SUBSETS for name in _names(subset)}
    return [file for file in path.iterdir() if file.name in names or is_idx_name(file.name)]


def _names(subset: str) -> list[str]:
    return [f"{subset}.csv", f"{subset}.csv.gz", "mnist.npz", "mnist.npz.gz"]


def _what_is_there(path: Path) -> str:
    if path.exists():
        return "is neither a file nor a folder"
    try:
        nearby = _entries(path.parent) if path.parent.is_dir() else "nor does its folder"
    except OSError:
        nearby = "its folder cannot be listed"
    return f"does not exist; {nearby}"


def _entries(folder: Path, most: int = 8) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{folder} holds {', '.join(names[:most]) or 'nothing'}{more}"
