"""NumPy archives of digits: arrays named images and labels, or Keras's x_train and the like.

The arrays are read here and not by ``numpy.load``, which believes an array's header and allocates
what it states. Nothing in such a file can run code: arrays of Python objects are refused.
"""

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastdigit.data.compressed import HIGHEST_RATIO, fill, is_gzip, read_at_most
from fastdigit.data.dataset import Dataset
from fastdigit.data.images import as_bytes
from fastdigit.data.labels import as_labels
from fastdigit.data.memory import require_memory
from fastdigit.data.signature import describe
from fastdigit.errors import DataError

# MNIST takes 11 MB in an archive and 55 MB unpacked.
MOST_ARCHIVE_BYTES = 1 << 30
# NumPy writes 118 bytes for an array of numbers; more would only be work for the header's parser.
MOST_HEADER_BYTES = 1000
# As NumPy writes it, for booleans, integers and floats; anything else cannot hold digits.
HEADER = re.compile(
    rb"\{ *'descr': *'(?P<descr>\|[biu]1|[<>][iu][248]|[<>]f[248])', *"
    rb"'fortran_order': *(?P<fortran_order>True|False), *"
    rb"'shape': *\((?P<shape>(?:[0-9]+, *)*[0-9]*)\) *,? *\}\s*"
)


def load_npz(path: Path, subset: str, labelled: bool = True) -> Dataset:
    """Read the images, and labels if wanted, of an ``.npz`` archive.

    Parameters
    ----------
    path
        The archive; it may be gzip-compressed as a whole.
    subset
        "train" or "test"; counts only for archives with the names ``x_train, y_train, x_test,
        y_test``.
    labelled
        Whether the labels are read, too. If so, they must be there.

    Raises
    ------
    DataError
        If a name is missing or an array is not what its header, or the archive, states.
    """
    with _archive(path) as archive:
        members = _members(archive)
        images_name, labels_name = _names(members, subset)
        wanted = [images_name, labels_name] if labelled else [images_name]
        missing = [name for name in wanted if name not in members]
        if missing:
            raise DataError(
                f"has no array {' and no array '.join(missing)}; it holds "
                f"{', '.join(members) or 'nothing'}, expected images and labels, or x_train, "
                "y_train, x_test and y_test"
            )
        images = _read(archive, members[images_name])
        labels = _read(archive, members[labels_name]) if labelled else None
        try:
            pixels = as_bytes(images)
        except DataError as error:
            raise DataError(f"array {images_name}: {error}") from error
        return Dataset(
            pixels,
            None if labels is None else as_labels(labels, what=f"array {labels_name}"),
            str(path) if images_name == "images" else f"{path} ({images_name})",
        )


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive; whatever goes wrong with it becomes a DataError that names the file."""
    try:
        if is_gzip(path):
            file: Any = io.BytesIO(read_at_most(path, MOST_ARCHIVE_BYTES))
        else:
            file = path
        with zipfile.ZipFile(file) as archive:
            yield archive
    except DataError as error:
        raise DataError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    # RuntimeError is what zipfile says of encrypted members, struct.error of cut ones.
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise DataError(
            f"{path}: the archive is damaged or unusual ({error}); get it again"
        ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise DataError(f"holds two arrays named {name}")
        members[name] = member
    return members


def _names(members: dict[str, zipfile.ZipInfo], subset: str) -> tuple[str, str]:
    if "images" in members or not any(name.startswith("x_") for name in members):
        return "images", "labels"
    return f"x_{subset}", f"y_{subset}"


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array, after its header was found to agree with the archive's own sizes."""
    name = member.filename
    # The other methods of zip unpack without any limit.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{name} is packed by a method other than NumPy's; save it by numpy.savez")
    if member.file_size > HIGHEST_RATIO * member.compress_size + MOST_HEADER_BYTES:
        raise DataError(
            f"{name} claims to unpack from {member.compress_size} bytes to {member.file_size}, "
            "which cannot be"
        )
    with archive.open(member) as file:
        shape, fortran_order, dtype = _header(file, name)
        expected = math.prod(shape) * dtype.itemsize
        present = member.file_size - file.tell()
        if expected != present:
            raise DataError(
                f"the header of {name} states shape {shape} of {dtype}, that is {expected} bytes, "
                f"but {present} follow"
            )
        # Converting to bytes takes as much again at most.
        require_memory(2 * expected, name)
        content = np.empty(expected, np.uint8)
        filled = fill(file, content)
        if filled < expected or file.read(1):
            raise DataError(f"{name} has {filled} bytes after its header, expected {expected}")
    array = content.view(dtype)
    return array.reshape(shape[::-1]).T if fortran_order else array.reshape(shape)


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the start of an NPY array: its shape, whether its columns come first, its dtype.

    NumPy's own reader evaluates the header as Python literals, and lets several kinds of error and
    warning through when it was tampered with.
    """
    start = file.read(8)
    width = {b"\x01\x00": 2, b"\x02\x00": 4}.get(start[6:])
    if start[:6] != b"\x93NUMPY" or width is None:
        raise DataError(f"{name} is no NPY array of version 1 or 2 but {describe(start)}")
    length = int.from_bytes(file.read(width), "little")
    text = file.read(min(length, MOST_HEADER_BYTES))
    match = HEADER.fullmatch(text)
    if len(text) < length or match is None:
        raise DataError(f"{name} has a header unlike that of an array of numbers: {text[:80]!r}")
    shape = tuple(int(size) for size in match["shape"].split(b",") if size.strip())
    return shape, match["fortran_order"] == b"True", np.dtype(match["descr"].decode())
