"""Files that may be gzip-compressed: told by their first two bytes, and never trusted.

Whoever reads says how much there can be: nothing is unpacked beyond that, so that a file made to
explode (a "gzip bomb") costs no more than the bytes its reader asked for.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from fastdigit.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
# Deflate cannot do better than 258 bytes from 2 bits (zlib's author states 1032:1).
HIGHEST_RATIO = 1032


def is_gzip(path: Path) -> bool:
    """Return whether the file begins as gzip data do."""
    with _explained(path), path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def most_bytes(path: Path) -> int:
    """Return an upper limit of the bytes in a file once unpacked, without unpacking it."""
    with _explained(path):
        size = path.stat().st_size
    return size * HIGHEST_RATIO if is_gzip(path) else size


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading its plain bytes, unpacked if need be.

    Raises
    ------
    DataError
        Also inside the ``with`` block: if the file cannot be read, or if its gzip data are
        damaged or cut short. The checksum of gzip data is compared when their end is read.
    """
    compressed = is_gzip(path)
    with _explained(path):
        if compressed:
            with gzip.open(path, "rb") as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            with path.open("rb") as plain:
                yield plain


def first_bytes(path: Path, count: int = 64) -> bytes:
    """Return the first bytes of a file, unpacked if need be; fewer if the file is shorter."""
    with opened(path) as file:
        return file.read(count)


def read_at_most(path: Path, limit: int) -> bytes:
    """Return all bytes of a file, unpacked if need be; DataError if they are more than limit."""
    with opened(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DataError(f"{path}: holds more than {limit} bytes once unpacked; unpack it first")
    return content


def fill(file: BinaryIO | IO[bytes], array: NDArray[np.uint8]) -> int:
    """Read into a one-dimensional array until it is full or the file ends; return the count."""
    view = memoryview(array.data)
    filled = 0
    while filled < len(view):
        count = file.readinto(view[filled:])  # type: ignore[union-attr]
        if not count:
            break
        filled += count
    return filled


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip data are damaged or cut short ({error}); get the file again"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
