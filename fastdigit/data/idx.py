"""IDX, the format of MNIST: sizes as big-endian integers, then bytes.

The format is described on Yann LeCun's MNIST page. Four bytes come first: 0, 0, the type
(8: unsigned bytes) and the number of dimensions; then the size of each dimension in four bytes.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastdigit.data.compressed import fill, most_bytes, opened
from fastdigit.data.dataset import Dataset
from fastdigit.data.memory import require_memory
from fastdigit.data.signature import describe
from fastdigit.errors import DataError

UNSIGNED_BYTES = 8
OTHER_TYPES = {9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}

# train-images-idx3-ubyte, t10k-labels.idx1-ubyte.gz, emnist-letters-test-images-idx3-ubyte.gz
FILE_NAME = re.compile(
    r"(emnist-(?P<split>[a-z]+)-)?(?P<subset>train|t10k|test)-(?P<kind>images|labels)"
    r"[-.]idx[13]-ubyte(\.gz)?"
)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes, gzip-compressed or not.

    Returns
    -------
    ndarray
        uint8, of the shape that the file states; nothing is turned or transposed. (EMNIST
        stores each image transposed: ``images.transpose(0, 2, 1)`` puts them upright.)

    Raises
    ------
    DataError
        If this is not such a file, or its length is not what its sizes demand.
    """
    with opened(path) as file:
        head = file.read(64)
        shape, start = _header(path, head)
        expected = int(np.prod([int(size) for size in shape], dtype=object))
        stated = f"{path}: bytes 4 to {start - 1} state the sizes {_times(shape)}"
        room = most_bytes(path) - start
        if expected > room:
            raise DataError(
                f"{stated}, that is {expected} bytes, but the file holds {max(room, 0)} at most; "
                "it is damaged or cut short, get it again"
            )
        require_memory(expected, str(path))
        array = np.empty(expected, np.uint8)
        known = np.frombuffer(head[start : start + expected], np.uint8)
        array[: len(known)] = known
        filled = len(known) + fill(file, array[len(known) :])
        if filled < expected:
            raise DataError(
                f"{stated}, that is {expected} bytes, but only {filled} follow; "
                "the file is cut short, get it again"
            )
        if len(head) > start + expected or file.read(1):
            raise DataError(
                f"{stated}, so the data end at byte {start + expected}, but the file goes on; "
                "get it again"
            )
    return array.reshape(shape)


def _header(path: Path, head: bytes) -> tuple[tuple[int, ...], int]:
    """Return the shape, and the number of bytes before the data."""
    if head[:2] != b"\0\0" or len(head) < 4 or head[2] not in (UNSIGNED_BYTES, *OTHER_TYPES):
        raise DataError(f"{path}: expected an IDX file, but this is {describe(head)}")
    if head[2] != UNSIGNED_BYTES:
        raise DataError(
            f"{path}: byte 2 says that this IDX file holds {OTHER_TYPES[head[2]]}; "
            "only unsigned bytes (8) are digits"
        )
    dimensions = head[3]
    start = 4 + 4 * dimensions
    if not 1 <= dimensions <= 8:
        raise DataError(f"{path}: byte 3 states {dimensions} dimensions; expected 1 to 8")
    if len(head) < start:
        raise DataError(f"{path}: ends at byte {len(head)}, inside the header of {start} bytes")
    sizes = np.frombuffer(head[4:start], ">u4")
    return tuple(int(size) for size in sizes), start


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def load_idx(images_path: Path, labels_path: Path | None) -> Dataset:
    """Put an IDX file of images and one of labels together; None leaves the images unlabelled."""
    images = read_idx(images_path)
    if images.ndim != 3 and images.ndim != 2:
        raise DataError(
            f"{images_path}: holds {images.ndim} dimension(s), but images have 3 (n, height, "
            "width), or 2; labels have 1"
        )
    if labels_path is None:
        return Dataset(images, None, str(images_path))
    labels = read_idx(labels_path)
    if labels.ndim != 1:
        raise DataError(f"{labels_path}: holds {labels.ndim} dimensions, but labels have 1")
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images)} images, but {labels_path} holds "
            f"{len(labels)} labels; they do not belong together"
        )
    return Dataset(images, labels, str(images_path))


def labels_beside(images_path: Path) -> Path:
    """Return the file of labels that belongs to a file of images, judging by its name."""
    name = images_path.name.removesuffix(".gz").replace("images", "labels")
    name = name.replace("idx3", "idx1")
    alone = "pass label_column=None to read the images alone"
    if name == images_path.name.removesuffix(".gz"):
        hint = "give the file of images" if "labels" in name else alone
        raise DataError(f"{images_path}: its name has no 'images' to find its labels by; {hint}")
    for candidate in (images_path.with_name(name), images_path.with_name(name + ".gz")):
        if candidate.is_file():
            return candidate
    raise DataError(f"{images_path}: there is neither {name} nor {name}.gz beside it; {alone}")


def is_idx_name(name: str) -> bool:
    """Return whether MNIST's or EMNIST's files are called so."""
    return FILE_NAME.fullmatch(name) is not None


def find_idx(folder: Path, subset: str) -> tuple[Path, Path] | None:
    """Return the images and labels of a subset ("train" or "test") in a folder, by their names.

    A file that is there both packed and unpacked counts once: the unpacked one is taken.

    Returns
    -------
    tuple or None
        The two paths; None if the folder holds no IDX file that has a known name.

    Raises
    ------
    DataError
        If one of the two is missing, or several data sets are in the folder.
    """
    found: dict[str, dict[tuple[str, str], Path]] = {}
    for path in sorted(folder.iterdir()):
        match = FILE_NAME.fullmatch(path.name)
        if match and path.is_file():
            known_subset = "train" if match["subset"] == "train" else "test"
            files = found.setdefault(match["split"] or "", {})
            files.setdefault((known_subset, match["kind"]), path)
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(f"emnist-{split}" if split else "MNIST's own" for split in found)
        raise DataError(
            f"{folder}: holds several data sets ({names}); give the path of the file of images"
        )
    (split,) = found
    files = found[split]
    for kind in ("images", "labels"):
        if (subset, kind) not in files:
            there = ", ".join(path.name for path in files.values())
            raise DataError(f"{folder}: the {kind} of the {subset} set are missing; found {there}")
    return files[subset, "images"], files[subset, "labels"]
