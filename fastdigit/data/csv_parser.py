"""The CSV parser's inner loop: lines of small whole numbers, from text to bytes.

This module compiles, so it is imported when the first CSV file is read.
"""

import numpy as np
from numpy.typing import NDArray

from fastdigit.jit import njit


@njit()
def parse_lines(table: NDArray[np.uint8], text: NDArray[np.uint8]) -> tuple[int, int | np.int64]:
    """Parse lines of comma-separated cells; each cell is one to three digits, at most 255.

    Parameters
    ----------
    table
        ``(lines, columns)`` uint8, written from the top; the caller makes it with at least
        ``len(text) // (2 * columns) + 1`` lines, more than can be parsed.
    text
        The bytes of whole lines: the last byte is a line end (LF, or CR LF).

    Returns
    -------
    lines, wrong
        The number of lines parsed, and the position of the first byte that is not as it should
        be, or -1.

    Notes
    -----
    Each byte is looked at once or twice and nothing is copied. No test against the end of the
    text is needed inside a line: a cell is left at the first byte that is no digit, and the text
    ends with such a byte.
    """
    columns = table.shape[1]
    one = np.uint64(1)
    at = np.uint64(0)
    end = np.uint64(len(text))
    line = 0
    while at < end:
        for column in range(columns):
            # Bytes below "0" wrap around to large numbers: one comparison finds all non-digits.
            value = np.uint32(text[at]) - np.uint32(48)
            if value > 9:
                return line, np.int64(at)
            at += one
            digit = np.uint32(text[at]) - np.uint32(48)
            if digit <= 9:
                value = np.uint32(10) * value + digit
                at += one
                digit = np.uint32(text[at]) - np.uint32(48)
                if digit <= 9:
                    value = np.uint32(10) * value + digit
                    at += one
                    if value > 255:
                        return line, np.int64(at)
            table[line, column] = value
            if column + 1 < columns:
                if text[at] != 44:  # a comma
                    return line, np.int64(at)
                at += one
        if text[at] == 13:  # CR
            at += one
        if text[at] != 10:  # LF
            return line, np.int64(at)
        at += one
        line += 1
    return line, -1
