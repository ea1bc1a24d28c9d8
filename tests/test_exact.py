"""The first layer on bytes, in exact sums: training and prediction, where rounding could show."""

import ctypes
import mmap
from typing import NamedTuple

import hostile
import numpy as np
import pytest
from test_equivalence import check
from tolerances import TOLERANCE, assert_close, assert_gradient_close

from fastdigit.kernels import Problem, classify, numba_backend, objective
from fastdigit.kernels.matrix import MOST_PRODUCTS
from fastdigit.kernels.parameters import views
from fastdigit.network import Network

DTYPES = ["float32", "float64"]
dtypes = pytest.mark.parametrize("dtype", DTYPES)
storages = pytest.mark.parametrize("storage", ["dense", "sparse"])

SIZES = [(128, 21, 11), (130, 13)]
"""Of several chunks, the last one full or of two columns, and of several blocks of ten units."""


class Parts(NamedTuple):
    """A case to be changed in place, of which `W` and `b` are the first layer."""

    case: hostile.Case
    W: np.ndarray
    b: np.ndarray


def parts(sizes, n=200):
    case = hostile.drawn(n, sizes)
    weights, biases = views(case.parameters, sizes)
    return Parts(case, weights[0], biases[0])


# --- hostile cases -------------------------------------------------------------------------------


def one_large_weight(sizes):
    """All others of its unit are rounded as coarsely as it is."""
    case, W, _ = parts(sizes)
    case.images[:, 70] = 255
    W[3, 70] = 1000
    return case


def equal_weights(sizes):
    case, W, _ = parts(sizes)
    W[:] = 0.37
    return case


def no_weights(sizes):
    """The first layer has biases alone."""
    case, W, _ = parts(sizes)
    W[:] = 0
    return case


def some_units_without_weights(sizes):
    case, W, _ = parts(sizes)
    W[::3] = 0
    W[1::3] *= 2.0**-120
    return case


def units_of_every_size(sizes):
    """Each unit has its own scale."""
    case, W, b = parts(sizes)
    factors = 2.0 ** np.arange(-len(W), 0)[:, None]
    W *= factors
    b *= factors[:, 0]
    return case


def black(sizes):
    case, _, _ = parts(sizes)
    case.images[:] = 0
    return case


def white(sizes):
    case, _, _ = parts(sizes)
    case.images[:] = 255
    return case


def one_chunk_lit(sizes):
    """Of each image but the last, which has all pixels."""
    case, _, _ = parts(sizes)
    case.images[:-1, :64] = case.images[:-1, 128:] = 0
    case.images[-1] = 255
    return case


def extreme_pixels(sizes):
    """Pixels of 0 and 255 meet weights of both signs, each the largest."""
    case, W, _ = parts(sizes)
    case.images[:] = np.where(case.images > 100, 255, 0)
    W[:] = np.where(W > 0, 0.25, -0.25)
    return case


CASES = {
    builder.__name__: builder
    for builder in (
        one_large_weight,
        equal_weights,
        no_weights,
        some_units_without_weights,
        units_of_every_size,
        black,
        white,
        one_chunk_lit,
        extreme_pixels,
    )
}


@dtypes
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_hostile_input(name, sizes, dtype):
    check(CASES[name](sizes), dtype)


@pytest.mark.parametrize(("dtype", "step"), [("float32", 2**-22), ("float64", 2**-46)])
def test_a_large_weight_without_pixels(dtype, step):
    """It makes the others of its unit as coarse as is promised, and no coarser."""
    case, W, b = parts((130, 2))
    case.images[:, 70] = 0
    W[0] = b[0] = 0
    W[1, 70] = 1e5
    parameters = case.parameters.astype(dtype)
    _, probabilities = classify(parameters, case.sizes, case.images, True, "numba")
    found = np.diff(np.log(probabilities.astype(np.float64)), axis=1)[:, 0]
    weights, biases = views(parameters.astype(np.float64), case.sizes)
    pixels = case.images / 255
    error = np.abs(found - (pixels @ weights[0][1] + biases[0][1]))
    assert (error <= step * 1e5 * pixels.sum(axis=1)).all()
    assert error.max() > step * 1e5 / 8


@pytest.mark.parametrize(
    ("exponent", "dtype"), [(-80, "float32"), (90, "float32"), (-400, "float64"), (400, "float64")]
)
def test_large_and_small_weights(exponent, dtype):
    """The second layer makes up for them."""
    case, W, b = parts(SIZES[0])
    W *= 2.0**exponent
    b *= 2.0**exponent
    views(case.parameters, case.sizes)[0][1][:] *= 2.0**-exponent
    check(case, dtype)


@dtypes
@pytest.mark.parametrize("features", [MOST_PRODUCTS, MOST_PRODUCTS + 1])
def test_sums_of_many_columns_do_not_overflow(features, dtype):
    """All pixels are 255, and a digit of all weights is -128; the bias makes up for the sum."""
    sizes, weight = (features, 2), 0x608000 / 2**23
    parameters = np.zeros(2 * features + 2, dtype)
    parameters[:features] = weight
    parameters[-2] = -features * weight
    images = np.full((1, features), 255, np.uint8)
    _, probabilities = classify(parameters, sizes, images, True, "numba")
    assert probabilities == pytest.approx(0.5, abs=0.01)
    problem = Problem(sizes, parameters.dtype, images, np.zeros(1, np.uint8))
    score, gradient = objective(problem, "numba").gradient(parameters)
    assert score.loss == pytest.approx(np.log(2), abs=0.01)
    for slopes, sign in zip(views(gradient, sizes)[0][0], (-1, 1), strict=True):
        assert slopes == pytest.approx(sign / 2, abs=0.01)


@dtypes
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 769, 3400, 5200])
def test_any_number_of_images(n, sizes, dtype):
    """Up to six groups a piece, so that the last four of a tile may be one to four."""
    check(hostile.drawn(n, sizes), dtype)


@dtypes
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_groups_of_a_tile_with_different_chunks(sizes, dtype):
    """Each image has pixels in some chunks alone, down to none."""
    case = hostile.drawn(5200, sizes)
    lit = np.random.RandomState(6).rand(5200, -(-sizes[0] // 64)) < 0.5
    case.images[:] *= lit.repeat(64, axis=1)[:, : sizes[0]]
    check(case, dtype)


@dtypes
@pytest.mark.parametrize("sizes", [(3, 11, 2), (65, 3)], ids=str)
def test_several_tiles_a_piece(sizes, dtype):
    check(hostile.drawn(50_000, sizes), dtype)


# --- deltas --------------------------------------------------------------------------------------


def right_answers(sizes, which):
    """Return a case whose images of some numbers are answered right beyond any doubt."""
    case, _, _ = parts(sizes, 2100)
    case.parameters[:] *= 2**30
    labels, _ = classify(case.parameters, sizes, case.images, False, "numpy")
    case.labels[which] = labels[which]
    return case


def passed(case, dtype, backend, storage):
    """Return the score and the gradient."""
    problem = Problem(case.sizes, np.dtype(dtype), case.images, case.labels)
    loss = objective(problem, backend, storage=storage)
    return loss.gradient(case.parameters.astype(dtype))


@dtypes
@storages
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_right_answers_leave_no_gradient(sizes, storage, dtype):
    score, gradient = passed(right_answers(sizes, slice(None)), dtype, "numba", storage)
    assert score == (0, 1)
    assert not gradient.any()


@dtypes
@storages
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_tiles_of_right_answers_among_others(sizes, storage, dtype):
    """With dense storage, which keeps the order of images, half of the tiles have no deltas.

    All probabilities are 0 or 1, so how the large logits are rounded does not show.
    """
    case = right_answers(sizes, slice(1000))
    score, gradient = passed(case, dtype, "numba", storage)
    expected_score, expected = passed(case, "float64", "numpy", "auto")
    assert score.accuracy == expected_score.accuracy < 0.7
    assert score.loss == pytest.approx(expected_score.loss, rel=TOLERANCE[dtype])
    assert_gradient_close(gradient, expected, sizes, dtype)


# --- numbers that are not finite -----------------------------------------------------------------


@dtypes
@storages
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_weights_that_are_not_finite_show_in_the_loss(sizes, number, storage, dtype):
    """In any unit and column, those without pixels included; and the next pass is as before."""
    case, _, _ = parts(sizes)
    case.images[:, 5] = 0
    kind = np.dtype(dtype)
    loss = objective(Problem(sizes, kind, case.images, case.labels), "numba", storage=storage)
    parameters = case.parameters.astype(kind)
    before = loss.gradient(parameters)
    for unit, column in ((0, 0), (10, 5), (3, sizes[0] - 1), (sizes[1] - 1, 64)):
        wrong = parameters.copy()
        views(wrong, sizes)[0][0][unit, column] = number
        score, gradient = loss.gradient(wrong)
        assert np.isnan(score.loss)
        assert np.isnan(loss.evaluate(wrong).loss)
        assert np.isnan(gradient).any()
        _, probabilities = classify(wrong, sizes, case.images, True, "numba")
        assert np.isnan(probabilities).any(axis=1).all()
    again = loss.gradient(parameters)
    assert again[0] == before[0]
    np.testing.assert_array_equal(again[1], before[1])


# --- exact sums have no order --------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_order_of_columns_does_not_show(sizes, dtype):
    """Not in a single bit of probabilities, loss and gradient."""
    kind = np.dtype(dtype)
    case = hostile.drawn(2100, sizes)
    order = np.random.RandomState(3).permutation(sizes[0])
    found = []
    for columns in (np.arange(sizes[0]), order):
        parameters = case.parameters.astype(kind)
        first = views(parameters, sizes)[0][0]
        first[:] = first[:, columns]
        images = np.ascontiguousarray(case.images[:, columns])
        problem = Problem(sizes, kind, images, case.labels)
        score, gradient = objective(problem, "numba", storage="dense").gradient(parameters)
        of_first = views(gradient, sizes)[0][0]
        of_first[:] = of_first[:, np.argsort(columns)]
        found.append((score, gradient, classify(parameters, sizes, images, True, "numba")[1]))
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@dtypes
def test_the_place_of_an_image_does_not_show(dtype):
    case = hostile.drawn(1000, SIZES[0])
    parameters = case.parameters.astype(dtype)
    order = np.random.RandomState(4).permutation(1000)[:333]
    labels, probabilities = classify(parameters, case.sizes, case.images, True, "numba")
    some = classify(parameters, case.sizes, case.images[order], True, "numba")
    np.testing.assert_array_equal(some[0], labels[order])
    np.testing.assert_array_equal(some[1], probabilities[order])


# --- prediction ----------------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("features", [1, 2, 3, 5, 63, 64, 65, 784])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 31, 32, 33, 2100])
def test_labels_and_probabilities_of_bytes(n, features, dtype):
    sizes = (features, 11, 10)
    case = hostile.drawn(n, sizes, seed=n + features)
    parameters = case.parameters.astype(dtype)
    labels, probabilities = classify(parameters, sizes, case.images, True, "numba")
    _, expected = classify(parameters.astype(np.float64), sizes, case.images, True, "numpy")
    assert probabilities.dtype == dtype
    assert_close(probabilities, expected, dtype)
    second, first = np.sort(expected, axis=1)[:, -2:].T
    decided = first - second > 20 * TOLERANCE[dtype]
    np.testing.assert_array_equal(labels[decided], expected.argmax(axis=1)[decided])
    assert decided.mean() > 0.9
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    alone, nothing = classify(parameters, sizes, case.images, False, "numba")
    np.testing.assert_array_equal(alone, labels)
    assert nothing is None


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("asked", [False, True])
def test_many_images_are_labelled_some_at_a_time(kind, asked, monkeypatch):
    case = hostile.drawn(1000, SIZES[0])
    given = case.parameters.astype("float32"), SIZES[0], case.images.astype(kind), asked, "numba"
    whole = classify(*given)
    monkeypatch.setattr(numba_backend, "FEWEST_AT_ONCE", 300)
    monkeypatch.setattr(numba_backend, "MULTIPLICATIONS_AT_ONCE", 1)
    for mine, theirs in zip(classify(*given), whole, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def at_the_edge(array):
    """Return the array so that behind its last byte there is a page that nobody may touch."""
    pages = -(-array.nbytes // mmap.PAGESIZE)
    memory = np.frombuffer(mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE), np.uint8)
    end = pages * mmap.PAGESIZE
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert protect(memory.ctypes.data + end, mmap.PAGESIZE, 0) == 0
    placed = memory[end - array.nbytes : end].reshape(array.shape)
    placed[:] = array
    return placed


def predict_at_the_edge():
    """Answer images that end where memory does."""
    for features in (1, 5, 63, 64, 65, 128, 784):
        sizes = (features, 3)
        parameters = Network(sizes, "float32", seed=0).parameters
        for n in (1, 16, 31, 32, 33, 63, 64, 96, 2048, 2049):
            images = hostile.drawn(n, sizes).images
            expected, _ = classify(parameters, sizes, images, False, "numba")
            found, _ = classify(parameters, sizes, at_the_edge(images), False, "numba")
            np.testing.assert_array_equal(found, expected)
    print("done")


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="needs pages that can be protected")
def test_nothing_is_read_beyond_the_last_image(output_of):
    assert output_of("import test_exact; test_exact.predict_at_the_edge()") == ["done"]
