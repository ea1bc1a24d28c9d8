"""Products of tiles, of the matrix unit and of vectors, against NumPy's sums of whole numbers."""

import zlib

import hostile
import numpy as np
import pytest

from fastdigit import jit
from fastdigit.jit import njit
from fastdigit.kernels import Problem, classify, matrix, objective
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.matrix import (
    DEPTH,
    MOST_PRODUCTS,
    ROWS,
    SUMS,
    TILE,
    WORKSPACE,
    transpose_product,
)
from fastdigit.kernels.simd import pointer

EXTREMES = {"int8": [-128, -1, 0, 127], "uint8": [0, 1, 128, 255]}
KINDS = [("int8", "uint8"), ("uint8", "int8")]
kinds = pytest.mark.parametrize("kinds", KINDS, ids="-".join)
PITCHES = [1, 5, 63, 64, 65, 128, 784]


@njit()
def add_up(lefts, lefts_too, pitch, rights, rights_too, space, out):
    """Add up the products of many tiles, twice, so that the second time begins with a full unit."""
    for _ in range(2):
        matrix.prepare()
        for _ in range(2):
            matrix.clear(pointer(space))
            for k in range(len(rights)):
                matrix.multiply(
                    pointer(space),
                    pointer(lefts[k]),
                    pointer(lefts_too[k]),
                    pitch,
                    pointer(rights[k]),
                    pointer(rights_too[k]),
                )
            matrix.take(pointer(space), pointer(out[0]), pointer(out[1]))
        matrix.release()


@njit()
def add_up_vectors(lefts, lefts_too, pitch, rights, rights_too, space, out):
    """Do what `add_up` does, with vectors wherever there is a unit."""
    for _ in range(2):
        matrix._clear_vectors(pointer(space))
        for k in range(len(rights)):
            matrix._multiply_vectors(
                pointer(space),
                pointer(lefts[k]),
                pointer(lefts_too[k]),
                pitch,
                pointer(rights[k]),
                pointer(rights_too[k]),
            )
        matrix._take_vectors(pointer(space), pointer(out[0]), pointer(out[1]))


@njit()
def transposed(source, target):
    transpose_product(pointer(source), ROWS, pointer(target), ROWS)


WAYS = {"unit": add_up, "vectors": add_up_vectors}
ways = pytest.mark.parametrize(
    "way",
    [
        pytest.param(
            "unit", marks=pytest.mark.skipif(not matrix._UNIT, reason="needs a matrix unit")
        ),
        "vectors",
    ],
)


def drawn(kind, shape, seed=0):
    """Return bytes of every value."""
    limits = np.iinfo(kind)
    random = np.random.RandomState(seed)
    return random.randint(limits.min, limits.max + 1, shape).astype(kind)


def tiles(kinds, pitch=DEPTH, count=3):
    """Return two arrays of left tiles, of any alignment, and two of right ones."""
    left, right = kinds
    lefts = [drawn(left, (count, 15 * pitch + DEPTH), seed) for seed in (1, 2)]
    rights = []
    for seed in (3, 4):
        rights.append(aligned((count, TILE), right))
        rights[-1][:] = drawn(right, (count, TILE), seed)
    return [lefts, rights]


def found(way, lefts, rights, pitch=DEPTH):
    """Return the four sums of products, those with the first right tiles first."""
    space, out = aligned(WORKSPACE, np.int32), aligned((2, 2, TILE // 4), np.int32)
    space[:] = out[:] = 77
    WAYS[way](*lefts, pitch, *rights, space, out)
    return out.reshape(SUMS, ROWS, ROWS)


def expected(lefts, rights, pitch=DEPTH):
    """Return the same by the formula of the module's docstring."""
    m, k, n = np.ogrid[:ROWS, :DEPTH, :ROWS]
    return np.array(
        [
            (
                left[:, m * pitch + k].astype(np.int64)
                * right.reshape(len(right), ROWS, DEPTH)[:, k // 4, 4 * n + k % 4]
            ).sum(axis=(0, 2))
            for right in rights
            for left in lefts
        ]
    )


def checksums(way):
    """Return a number for the bits of products, for each kind of tiles."""
    return [zlib.crc32(found(way, *tiles(kinds)).tobytes()) for kinds in KINDS]


@ways
@kinds
@pytest.mark.parametrize("pitch", PITCHES)
def test_products_of_tiles(pitch, kinds, way):
    """Rows that are less than 64 bytes apart overlap, and begin at any address."""
    lefts, rights = tiles(kinds, pitch)
    np.testing.assert_array_equal(found(way, lefts, rights, pitch), expected(lefts, rights, pitch))


@ways
@kinds
def test_products_of_the_smallest_and_largest_bytes(kinds, way):
    """Every pair of them, in tiles of one byte."""
    lefts, rights = tiles(kinds, count=1)
    for a in EXTREMES[kinds[0]]:
        for b in EXTREMES[kinds[1]]:
            for left, right in zip(lefts, rights, strict=True):
                left[:], right[:] = a, b
            assert (found(way, lefts, rights) == DEPTH * a * b).all()


@ways
@kinds
def test_the_numbers_of_a_product_are_told_apart(kinds, way):
    """One byte on either side: its product is in one place of one sum, or nowhere."""
    for place in range(0, TILE, 37):
        lefts, rights = tiles(kinds, count=1)
        for side in (*lefts, *rights):
            side[:] = 0
        lefts[place % 2][0, place] = rights[place // 2 % 2][0, (7 * place) % TILE] = 100
        np.testing.assert_array_equal(found(way, lefts, rights), expected(lefts, rights))


@ways
@kinds
def test_many_products_are_added_up(kinds, way):
    lefts, rights = tiles(kinds, count=500)
    np.testing.assert_array_equal(found(way, lefts, rights), expected(lefts, rights))


@ways
@kinds
@pytest.mark.parametrize("signed", [-128, 127])
def test_as_many_products_fit_as_is_promised(signed, kinds, way):
    count = MOST_PRODUCTS // DEPTH
    lefts, rights = tiles(kinds, count=count)
    for side in (*lefts, *rights):
        side[:] = 255 if side.dtype == np.uint8 else signed
    total = count * DEPTH * 255 * signed
    assert abs(total) > 0.99 * 2**31
    assert (found(way, lefts, rights) == total).all()
    assert MOST_PRODUCTS * 255 * 128 <= 2**31 < (MOST_PRODUCTS + 1) * 255 * 128


def test_transposed_products():
    source, target = (aligned((ROWS, ROWS), np.int32) for _ in range(2))
    source[:] = np.random.RandomState(0).randint(-(2**31), 2**31, source.shape)
    transposed(source, target)
    np.testing.assert_array_equal(target, source.T)


# --- without the unit ----------------------------------------------------------------------------

WITHOUT = {"FASTDIGIT_MATRIX_UNIT": "0"}
OLDER = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": ""}


@pytest.mark.parametrize(
    ("given", "features"),
    [("", []), ("+amx-tile,-avx512f, +amx-int8,+avx2", ["amx-int8", "amx-tile", "avx2"])],
)
def test_there_is_no_unit_without_its_features(given, features, output_of):
    """A list in the environment is all that counts, and vectors of 64 bytes are part of it."""
    lines = output_of(
        "from fastdigit.jit import compiled_features, matrix_unit;"
        "print(matrix_unit(), sorted(compiled_features()))",
        environment={"NUMBA_CPU_FEATURES": given},
    )
    assert lines == [f"False {features}"]


@pytest.mark.parametrize("environment", [WITHOUT, OLDER], ids=["by request", "nehalem"])
def test_products_have_the_same_bits_without_the_unit(environment, output_of):
    """Older processors have no instruction for the sum of four products either."""
    lines = output_of(
        "import test_matrix; print(test_matrix.matrix._UNIT, test_matrix.checksums('unit'))",
        environment=environment,
    )
    assert lines == [f"False {checksums('vectors')}"]


def trained():
    """Return checksums of the score, the gradient and the answers of a small network."""
    case = hostile.drawn(200, (130, 11, 3))
    parameters = case.parameters.astype(np.float32)
    problem = Problem(case.sizes, parameters.dtype, case.images, case.labels)
    found = objective(problem, "numba").gradient(parameters)
    found += classify(parameters, case.sizes, case.images, True, "numba")
    return [zlib.crc32(np.array(array).tobytes()) for array in found]


def test_training_has_the_same_bits_without_the_unit(output_of):
    lines = output_of(
        "import test_matrix; print(test_matrix.matrix._UNIT, test_matrix.trained())",
        environment=WITHOUT,
    )
    assert lines == [f"False {trained()}"]


def train_by_tiles():
    """Print checksums of training as with a matrix unit, whose products are those of vectors."""
    assert not matrix._UNIT
    jit.matrix_unit = lambda: True
    from fastdigit.kernels import chunks, exact_learning, exact_tiles, numba_backend, prediction

    # Another process would not mix them.
    numba_backend.compile_beside = lambda *_: None
    assert exact_learning.linear is exact_tiles.linear
    assert prediction.linear_images is exact_tiles.linear_images
    assert exact_learning.stored is chunks.in_chunks
    print(trained())


def test_tiles_and_rows_give_the_same_bits(output_of, tmp_path):
    """The two ways to add up the first layer; the compiled code of this mixture is not kept."""
    environment = WITHOUT | {"XDG_CACHE_HOME": str(tmp_path)}
    lines = output_of("import test_matrix; test_matrix.train_by_tiles()", environment=environment)
    assert lines == [f"{trained()}"]
