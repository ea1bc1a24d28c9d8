"""Sums of dots in registers, against NumPy's sums of whole numbers."""

import zlib

import numpy as np
import pytest

from fastdigit.jit import njit
from fastdigit.kernels import exact_rows, matrix
from fastdigit.kernels.dots import WORDS, add_dots, load_sums, no_sums, store_sums
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.simd import advance, pointer

SOME, MANY = matrix.AT_ONCE, exact_rows.AT_ONCE
KINDS = [("int8", "uint8"), ("uint8", "int8")]
"""Of words, and of rows."""
kinds = pytest.mark.parametrize("kinds", KINDS, ids="-".join)
PITCHES = [1, 4, 63, 64, 784]


@njit()
def from_nothing(words, pitch, rows, out):
    """Add up the dots of each row with words that begin four bytes further on."""
    sums = no_sums(MANY)
    for k in range(len(rows)):
        sums = add_dots(sums, advance(pointer(words), 4 * k), pitch, pointer(rows[k]))
    store_sums(pointer(out), sums)


@njit()
def onto_others(words, pitch, rows, out):
    """The same, on top of what was there."""
    sums = load_sums(pointer(out), SOME)
    for k in range(len(rows)):
        sums = add_dots(sums, advance(pointer(words), 4 * k), pitch, pointer(rows[k]))
    store_sums(pointer(out), sums)


def drawn(kinds, pitch, count=5):
    """Return words of every value, at an odd address, and rows."""
    random = np.random.RandomState(count)
    words, rows = (np.iinfo(kind) for kind in kinds)
    size = (MANY - 1) * pitch + 4 * count + 1
    row = aligned((count, 4 * WORDS), kinds[1])
    row[:] = random.randint(rows.min, rows.max + 1, row.shape)
    return random.randint(words.min, words.max + 1, size).astype(kinds[0])[1:], row


def found(words, pitch, rows):
    out = aligned((MANY, WORDS), np.int32)
    from_nothing(words, pitch, rows, out)
    return out


def expected(words, pitch, rows, count):
    fours = rows.reshape(len(rows), WORDS, 4).astype(np.int64)
    n, k, i = np.ogrid[:count, : len(rows), :4]
    return np.einsum("nki,kwi->nw", words[n * pitch + 4 * k + i].astype(np.int64), fours)


@kinds
@pytest.mark.parametrize("pitch", PITCHES)
def test_dots_are_added_up(pitch, kinds):
    words, rows = drawn(kinds, pitch)
    np.testing.assert_array_equal(found(words, pitch, rows), expected(words, pitch, rows, MANY))


@kinds
def test_dots_are_added_to_what_was_there(kinds):
    words, rows = drawn(kinds, 64)
    out = aligned((SOME, WORDS), np.int32)
    out[:] = before = np.random.RandomState(0).randint(-(2**20), 2**20, out.shape)
    onto_others(words, 64, rows, out)
    np.testing.assert_array_equal(out, before + expected(words, 64, rows, SOME))


@kinds
def test_the_smallest_and_largest_bytes(kinds):
    words, rows = drawn(kinds, 4)
    extremes = {"int8": (-128, -1, 127), "uint8": (1, 128, 255)}
    for a in extremes[kinds[0]]:
        for b in extremes[kinds[1]]:
            words[:], rows[:] = a, b
            assert (found(words, 4, rows) == 4 * len(rows) * a * b).all()


def test_no_rows_leave_no_sums():
    words, rows = drawn(KINDS[0], 64)
    assert not found(words, 64, rows[:0]).any()


def checksums():
    return [zlib.crc32(found(w, 64, r)[:5].tobytes()) for w, r in (drawn(k, 64) for k in KINDS)]


def test_older_processors_give_the_same_bits(output_of):
    """They have no instruction for a dot, and fewer registers."""
    lines = output_of(
        "import test_dots; print(test_dots.MANY, test_dots.checksums())",
        environment={"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": ""},
    )
    assert lines == [f"5 {checksums()}"]
