"""Kaggle's Digit Recognizer CSV: a header, then a label and the pixels of one image per line.

The file is read in blocks of whole lines. While one block is read (and unpacked), others are
parsed in threads: the parser releases the interpreter lock. Memory holds the result twice for a
moment, and a few blocks; never the text of the whole file.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdigit.data.compressed import is_gzip, opened
from fastdigit.data.csv_fault import explain
from fastdigit.data.csv_layout import Layout, read_layout
from fastdigit.data.csv_parser import parse_lines
from fastdigit.data.dataset import Dataset
from fastdigit.data.memory import require_memory
from fastdigit.data.signature import BYTE_ORDER_MARK
from fastdigit.errors import DataError

# Small enough to stay in a cache between reading and parsing, and the longest line allowed.
BLOCK_BYTES = 4 << 20
# Fifty times Kaggle's file: what claims to be more, once unpacked, is taken for a gzip bomb.
MOST_UNPACKED_BYTES = 4 << 30
# Reading feeds no more than this many parsers.
MOST_THREADS = 4


class Parsed(NamedTuple):
    """A parsed block: its rows, and where its text is wrong (-1 if nowhere)."""

    rows: NDArray[np.uint8]
    text: bytearray
    wrong: int


def load_kaggle(
    path: Path, header: bool, label_column: str | int | None, allow_missing_newline: bool
) -> Dataset:
    """Read a CSV file of digits; the parameters are those of `fastdigit.load_data`.

    Raises
    ------
    DataError
        At the first line that is not exactly what is expected: numbers 0..255 of one to three
        digits, as many as in the first line, with a comma between them. Lines are counted from
        1, header included.
    """
    size = path.stat().st_size
    if not is_gzip(path):
        # A pixel takes at least two characters.
        require_memory(size // 2, str(path))
    with opened(path) as file:
        first_line = file.readline(BLOCK_BYTES)
        if not first_line.endswith(b"\n") and len(first_line) == BLOCK_BYTES:
            raise DataError(f"{path}: line 1 is longer than {BLOCK_BYTES} bytes")
        try:
            layout = read_layout(first_line, header, label_column)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        start = b"" if header else first_line.removeprefix(BYTE_ORDER_MARK)
        blocks = _blocks(path, file, start, allow_missing_newline)
        tables = _parse(path, blocks, layout, lines_before=int(header))
    if not tables:
        raise DataError(f"{path}: holds a header but no line of pixels")
    images, labels = _assembled(tables, layout)
    return Dataset(images, labels, str(path))


def _blocks(
    path: Path, file: BinaryIO, start: bytes, allow_missing_newline: bool
) -> Iterator[bytearray]:
    """Yield the file in blocks of whole lines; only the last may lack its line end."""
    total = 0
    while True:
        block = bytearray(BLOCK_BYTES)
        block[: len(start)] = start
        filled = len(start)
        while filled < BLOCK_BYTES:
            count = file.readinto(memoryview(block)[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
            total += count
        if total > MOST_UNPACKED_BYTES and is_gzip(path):
            raise DataError(
                f"{path}: unpacks to more than {MOST_UNPACKED_BYTES >> 30} GiB; "
                "if that is meant, unpack it first"
            )
        ended = filled < BLOCK_BYTES
        cut = filled if ended else block.rfind(b"\n") + 1
        if not ended and cut == 0:
            # Too long a line: as it has no line end, the parser's report will name it.
            yield block
            return
        start = bytes(block[cut:filled])
        del block[cut:]
        if ended and block and not block.endswith(b"\n") and allow_missing_newline:
            block += b"\n"
        if block:
            yield block
        if ended:
            return


def _parse(
    path: Path, blocks: Iterator[bytearray], layout: Layout, lines_before: int
) -> list[NDArray[np.uint8]]:
    """Return the rows of all blocks, in order; raise at the first line that is wrong."""
    tables: list[NDArray[np.uint8]] = []
    pending: deque[Future[Parsed]] = deque()
    threads = _threads()

    def collect() -> None:
        nonlocal lines_before
        rows, text, wrong = pending.popleft().result()
        lines_before += len(rows)
        if wrong >= 0:
            raise DataError(_fault(path, text, wrong, layout, lines_before + 1))
        # What is held so far will be needed once more, to put it together.
        require_memory(sum(table.nbytes for table in tables) + rows.nbytes, str(path))
        tables.append(rows)

    with ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            pending.append(pool.submit(_parse_block, block, layout.columns))
            if len(pending) > threads:
                collect()
        while pending:
            collect()
    return tables


def _threads() -> int:
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:
        allowed = os.cpu_count() or 1
    return min(allowed, MOST_THREADS)


def _parse_block(block: bytearray, columns: int) -> Parsed:
    # A line has at least one digit and one separator in each column.
    table = np.empty((len(block) // (2 * columns) + 1, columns), np.uint8)
    whole = block.rfind(b"\n") + 1
    lines, wrong = parse_lines(table, np.frombuffer(block, np.uint8, count=whole))
    if wrong < 0 and whole < len(block):
        wrong = whole
    return Parsed(table[:lines], block, int(wrong))


def _fault(path: Path, text: bytearray, wrong: int, layout: Layout, number: int) -> str:
    start = text.rfind(b"\n", 0, wrong) + 1
    end = text.find(b"\n", wrong) + 1 or len(text)
    line = bytes(text[start:end])
    if len(line) >= BLOCK_BYTES:
        return f"{path}: line {number} is longer than {BLOCK_BYTES} bytes"
    return f"{path}: line {number} {explain(line, layout)}"


def _assembled(
    tables: list[NDArray[np.uint8]], layout: Layout
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Part the label from the pixels, and put the blocks together."""
    if layout.label is None:
        return np.concatenate(tables), None
    lines = sum(len(table) for table in tables)
    images = np.empty((lines, layout.columns - 1), np.uint8)
    start = 0
    for table in tables:
        stop = start + len(table)
        images[start:stop, : layout.label] = table[:, : layout.label]
        images[start:stop, layout.label :] = table[:, layout.label + 1 :]
        start = stop
    return images, np.concatenate([table[:, layout.label] for table in tables])
