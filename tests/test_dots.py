"""Sums of dots in registers, against NumPy's sums of whole numbers."""

import zlib

import numpy as np
import pytest

from fastdigit.jit import njit
from fastdigit.kernels.dots import (
    WORDS,
    add_dots,
    add_dots_of_words,
    add_sums,
    list_words,
    load_sums,
    no_sums,
    store_sums,
)
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.simd import advance, pointer

SOME, MANY = 8, 30
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


@njit()
def of_words(words, rows, pitch, out):
    """Add up the dots of each two words with three rows, a row further on each time; all twice."""
    sums = no_sums(6)
    for k in range(len(words) // 4 - 1):
        row = advance(pointer(rows), k * 4 * WORDS)
        sums = add_dots_of_words(sums, advance(pointer(words), 4 * k), 2, row, pitch)
    store_sums(pointer(out), add_sums(sums, sums))


@njit()
def listed(row, first, numbers):
    return list_words(pointer(row), first, pointer(numbers))


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


def sums_of_words(kinds, pitch):
    """Return the sums of words and rows, and what they are."""
    random = np.random.RandomState(pitch)
    words, rows = (np.iinfo(kind) for kind in kinds)
    word = random.randint(words.min, words.max + 1, 25).astype(kinds[0])[1:]
    row = aligned((5 + 2 * pitch, WORDS, 4), kinds[1])
    row[:] = random.randint(rows.min, rows.max + 1, row.shape)
    out = aligned((2, 3, WORDS), np.int32)
    of_words(word, row, pitch * 4 * WORDS, out)
    k, m, n = np.ogrid[:5, :2, :3]
    fours = word.reshape(6, 4).astype(np.int64)[(k + m)[:, :, 0]]
    wide = row[(k + n * pitch)[:, 0]].astype(np.int64)
    return out, 2 * np.einsum("kmi,knwi->mnw", fours, wide)


@kinds
@pytest.mark.parametrize("pitch", [1, 4])
def test_dots_of_a_word_are_added_up(pitch, kinds):
    np.testing.assert_array_equal(*sums_of_words(kinds, pitch))


def lists():
    """Return the lists of rows of words with more and more zeros, at an odd address."""
    random = np.random.RandomState(0)
    found = []
    for share in (0, 0.1, 0.5, 0.9, 1):
        words = random.randint(1, 256, (WORDS, 4)) * (random.random_sample((WORDS, 4)) < 0.3)
        words[:, 3] |= 1
        words[random.random_sample(WORDS) < share] = 0
        row = np.insert(words.astype(np.uint8), 0, 0)[1:]
        numbers = np.full(WORDS, 7, np.uint16)
        count = listed(row, 1000, numbers)
        np.testing.assert_array_equal(numbers[:count], 1000 + np.flatnonzero(words.any(axis=1)))
        found.append(count)
    return found


def test_words_that_are_not_zeros_are_listed():
    found = lists()
    assert (found[0], found[-1]) == (WORDS, 0)
    assert sorted(set(found)) == found[::-1]


def checksums():
    dots = [zlib.crc32(found(w, 64, r)[:5].tobytes()) for w, r in (drawn(k, 64) for k in KINDS)]
    return dots + [zlib.crc32(sums_of_words(k, 1)[0].tobytes()) for k in KINDS] + lists()


def test_older_processors_give_the_same_bits(output_of):
    """They have no instruction for a dot, and fewer registers."""
    lines = output_of(
        "import test_dots; from fastdigit.kernels.dots import has_dots; "
        "print(has_dots(), test_dots.checksums())",
        environment={"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": ""},
    )
    assert lines == [f"False {checksums()}"]
