"""Fused kernels against their references: same scores, gradients, labels and probabilities."""

import mmap

import hostile
import numpy as np
import pytest
from tolerances import TOLERANCE, assert_close, assert_gradient_close

from fastdigit.kernels import Problem, classify, fused, objective, reference
from fastdigit.kernels.groups import MOST_IN_TILE
from fastdigit.kernels.transposition import lanes_of
from fastdigit.network import Network
from fastdigit.training import fit

DTYPES = ["float32", "float64"]
OTHERS = ["leaky_relu", "tanh", "logistic", "identity"]
"""Activations that are a pass of their own; all other tests here are of ReLU."""

# A group holds 16 images of float32 or 8 of float64, and there are 64 pieces: one or two groups
# a piece, some of them empty; several tiles are tested on their own.
NUMBERS = [1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 63, 64, 65, 127, 511, 512, 513]
NUMBERS += [960, 1023, 1024, 1025, 2047, 2048, 2049, 4161]
# A bundle holds ten units, and a block two columns of pixels.
UNITS = (1, 2, 9, 10, 11, 19, 20, 21, 33)
SIZES = [
    *[
        (features, 10, 10)
        for features in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 36, 63, 65, 68)
    ],
    *[(20, hidden, 10) for hidden in UNITS],
    *[(20, 10, outputs) for outputs in (*UNITS, 3, 26, 47, 255, 256)],
    *[(11, units, units, units) for units in UNITS],
    (784, 10, 10),
    (784, 10),
    (785, 21, 3),
    (5, 3),
    (1, 1),
    (20, 17, 5, 3),
    (9, 40, 7, 33, 12, 20, 10),
]


def check(case, dtype, activation="relu"):
    """Compare all that the fused backend answers to the reference in float64."""
    sizes, labels = case.sizes, case.labels
    kind = np.dtype(dtype)
    parameters = case.parameters.astype(kind)
    images = case.images if case.images.dtype == np.uint8 else case.images.astype(kind)
    exact = images if images.dtype == np.uint8 else images.astype(np.float64)
    copies = parameters.copy(), images.copy(), labels.copy()

    exactly = parameters.astype(np.float64), sizes, exact
    expected_loss, expected = _truth(*exactly, labels, activation)
    found_labels, probabilities = classify(
        parameters, sizes, images, True, "numba", activation=activation
    )
    true_labels, true_probabilities = classify(*exactly, True, "numpy", activation=activation)
    logits = _logits(*exactly, activation)
    magnitude = float(np.abs(logits).max())

    # Rounding may exchange classes only where another logit is as large as the largest.
    nearest = np.sort(logits, axis=1)[:, -2:]
    undecided = (np.ptp(nearest, axis=1) <= TOLERANCE[dtype] * max(1.0, magnitude)).mean()

    for storage in ("dense", "sparse"):
        problem = Problem(sizes, kind, images, labels, activation)
        fast = objective(problem, "numba", storage=storage)
        assert fast.storage == storage
        score, gradient = fast.gradient(parameters)
        assert gradient.dtype == kind
        assert_gradient_close(gradient, expected, sizes, dtype, magnitude)
        # The loss is the difference of two numbers of the size of logits.
        assert abs(score.loss - expected_loss) <= TOLERANCE[dtype] * max(1.0, magnitude)
        assert fast.evaluate(parameters) == score
        assert abs(score.accuracy - (true_labels == labels).mean()) <= undecided
        # The logits have the same bits as those of classify: adding zeros changes none.
        assert score.accuracy == (found_labels == labels).mean()
    assert probabilities.dtype == kind
    assert_close(probabilities, true_probabilities, dtype, magnitude)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=40 * np.finfo(kind).eps)
    # Only where rounding has merged two logits may another class win; the first of ties does.
    margin = logits.max(axis=1) - logits[np.arange(len(logits)), found_labels]
    wrong = found_labels != true_labels
    assert (margin[wrong] > 0).all()
    assert (margin[wrong] <= TOLERANCE[dtype] * max(1.0, magnitude)).all()
    for array, copy in zip((parameters, images, labels), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def _truth(parameters, sizes, images, labels, activation):
    """Return the loss and the gradient by NumPy, a few thousand images at a time.

    NumPy adds up the rows one after the other: of 30,000 the rounding errors were 600 times those
    of the kernels.
    """
    loss, gradient = 0.0, np.zeros_like(parameters)
    for part in np.array_split(np.arange(len(labels)), -(-len(labels) // 5000)):
        problem = Problem(sizes, parameters.dtype, images[part], labels[part], activation)
        score, found = objective(problem, "numpy").gradient(parameters)
        loss += score.loss * len(part) / len(labels)
        gradient += found * (len(part) / len(labels))
    return loss, gradient


def _logits(parameters, sizes, images, activation):
    network = Network(sizes, "float64")
    network.parameters[:] = parameters
    X = images / 255 if images.dtype == np.uint8 else images
    return reference.forward(X, network.weights, network.biases, activation)[0][-1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("n", NUMBERS)
def test_any_number_of_images(n, pixels, dtype):
    check(hostile.drawn(n, pixels=pixels), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_layers_of_any_size(sizes, pixels, dtype):
    check(hostile.drawn(70, sizes, pixels=pixels), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", hostile.CASES)
def test_hostile_input(name, dtype):
    check(hostile.CASES[name](), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("sizes", [(19, 10), (19, 7, 5), (18, 33, 20, 10)], ids=str)
@pytest.mark.parametrize("activation", OTHERS)
def test_layers_of_any_activation(activation, sizes, pixels, dtype):
    check(hostile.drawn(70, sizes, pixels=pixels), dtype, activation)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", hostile.CASES)
@pytest.mark.parametrize("activation", OTHERS)
def test_hostile_input_to_any_activation(activation, name, dtype):
    check(hostile.CASES[name](), dtype, activation)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_classic_network_on_more_images_than_pieces_divide(dtype):
    check(hostile.drawn(1501, (784, 10, 10)), dtype)


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize(("dtype", "n"), [("float32", 60_000), ("float64", 30_000)])
@pytest.mark.parametrize("sizes", [(4, 5, 3), (3, 11)], ids=str)
def test_pieces_of_more_than_one_tile(sizes, dtype, n, pixels):
    """A tile holds 48 groups at most, of 16 or 8 images."""
    assert n > 64 * MOST_IN_TILE * lanes_of(dtype)
    check(hostile.drawn(n, sizes, pixels=pixels), dtype)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_first_of_equal_classes_wins(backend, dtype):
    case = hostile.saturated()
    images = case.images.astype(dtype)
    labels, probabilities = classify(
        case.parameters.astype(dtype), case.sizes, images, True, backend
    )
    tied = (probabilities == probabilities.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert tied.sum() >= len(images) / 2
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    assert not np.isin(labels, hostile.TIED[1:]).any()
    equal = hostile.all_equal()
    labels, _ = classify(equal.parameters.astype(dtype), equal.sizes, equal.images, False, backend)
    assert (labels == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_that_was_returned_stays_after_the_next_call(dtype):
    """`gradient` may reuse its array, but never mixes two passes."""
    case = hostile.drawn()
    fast = objective(Problem(case.sizes, np.dtype(dtype), case.images, case.labels), "numba")
    parameters = case.parameters.astype(dtype)
    first = fast.gradient(parameters)[1].copy()
    fast.gradient(parameters * 2)
    fast.evaluate(parameters * 3)
    np.testing.assert_array_equal(fast.gradient(parameters)[1], first)


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
def test_fifty_iterations_take_the_same_way(pixels):
    case = hostile.drawn(300, (784, 10, 10), pixels=pixels)
    runs = {}
    for backend in ("numpy", "numba"):
        network = Network(case.sizes, "float64", seed=4)
        history = fit(
            network,
            (case.images, case.labels),
            iterations=50,
            learning_rate=0.3,
            backend=backend,
            progress=False,
        )
        runs[backend] = network.parameters, history
    (expected, theirs), (found, ours) = runs["numpy"], runs["numba"]
    assert ours.backend == "numba"
    assert theirs.backend == "numpy"
    assert ours.loss[-1] < 0.9 * ours.loss[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-10)
    assert ours.accuracy == theirs.accuracy


# --- the fused kernels one by one ----------------------------------------------------------------

LAYERS = [(1, 1), (7, 3), (9, 11), (10, 10), (17, 33), (20, 21), (784, 10)]


def layer(n, inputs, outputs, dtype):
    """Return X, W, b, labels and dZ of one layer."""
    random = np.random.RandomState(n + inputs + outputs)
    X, W, b, dZ = (
        (random.rand(*shape) - 0.5).astype(dtype)
        for shape in ((n, inputs), (outputs, inputs), (outputs,), (n, outputs))
    )
    return X, W, b, random.randint(0, outputs, n).astype(np.uint8), dZ


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), LAYERS)
@pytest.mark.parametrize("n", [1, 33, 2113])
def test_linear_relu(n, inputs, outputs, relu, dtype):
    X, W, b, _, _ = layer(n, inputs, outputs, dtype)
    expected = reference.linear(*(a.astype(np.float64) for a in (X, W, b)))
    found = fused.linear_relu(X, W, b, relu)
    assert found.dtype == np.dtype(dtype)
    assert_close(found, reference.relu(expected) if relu else expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [1, 2, 9, 10, 11, 16, 17, 47, 256])
@pytest.mark.parametrize("n", [1, 8, 15, 16, 17, 33, 2113])
def test_softmax_cross_entropy(n, outputs, dtype):
    random = np.random.RandomState(n + outputs)
    Z = (20 * random.rand(n, outputs) - 10).astype(dtype)
    _check_softmax(Z, random.randint(0, outputs, n).astype(np.uint8), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_cross_entropy_of_hostile_logits(dtype):
    lowest = -np.finfo(dtype).max / 4
    Z = np.array(
        [
            [1000, 0, -1000, 1000],
            [-1000, -1000, -1001, -1002],
            [0, 0, 0, 0],
            [lowest, 0, lowest, -lowest],
            [lowest, lowest, lowest, lowest],
            [1e-30, -1e-30, 0, 1e-30],
            [-700, -745, -800, 0],
        ],
        dtype,
    )
    labels = np.array([1, 3, 2, 3, 1, 0, 0], np.uint8)
    _check_softmax(Z, labels, dtype)
    assert fused.softmax_cross_entropy(Z, labels)[2].tolist() == [0, 0, 0, 3, 0, 0, 3]


def _check_softmax(Z, labels, dtype):
    A, losses, winners = fused.softmax_cross_entropy(Z, labels)
    exact = Z.astype(np.float64)
    assert A.dtype == losses.dtype == Z.dtype
    assert_close(A, reference.softmax(exact), dtype)
    # A loss is the difference of two numbers of the size of its row's logits.
    error = np.abs(losses - reference.cross_entropy(exact, labels))
    assert (error <= TOLERANCE[dtype] * np.maximum(1, np.abs(exact).max(axis=1))).all()
    np.testing.assert_array_equal(winners, Z.argmax(axis=1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("inputs", "outputs"), LAYERS)
@pytest.mark.parametrize("n", [1, 33, 2113])
def test_layer_gradients(n, inputs, outputs, dtype):
    Z, W, _, _, dZ = layer(n, inputs, outputs, dtype)
    exact_Z, exact_W, exact_dZ = (a.astype(np.float64) for a in (Z, W, dZ))
    dW, db, below = fused.layer_gradients(dZ, reference.relu(Z), W)
    assert dW.dtype == db.dtype == below.dtype == np.dtype(dtype)
    assert_close(dW, reference.weight_gradient(exact_dZ, reference.relu(exact_Z)), dtype)
    # Where the sum cancels, its own size says nothing about its rounding.
    summed = np.abs(exact_dZ).sum() / n
    assert np.abs(db - reference.bias_gradient(exact_dZ)).max() <= TOLERANCE[dtype] * summed
    assert_close(below, reference.hidden_delta(exact_dZ, exact_W, exact_Z), dtype)


# --- memory --------------------------------------------------------------------------------------

AT_THE_EDGE = """
import ctypes, mmap
import numpy as np
from fastdigit.kernels import Problem, classify, objective
from fastdigit.network import Network

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def at_the_edge(array):
    # The array's last byte is the last one before a page that nobody may touch.
    pages = -(-array.nbytes // mmap.PAGESIZE)
    memory = np.frombuffer(mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE), np.uint8)
    end = pages * mmap.PAGESIZE
    assert libc.mprotect(memory.ctypes.data + end, mmap.PAGESIZE, 0) == 0
    placed = memory[end - array.nbytes : end].view(array.dtype).reshape(array.shape)
    placed[:] = array
    return placed


random = np.random.RandomState(0)
cases = (1, (1, 1)), (33, (7, 5, 3)), (130, (17, 16, 17)), (2113, (65, 10)), (40, (68, 2))
for n, sizes in cases:
    network = Network(sizes, "float64", seed=0)
    labels = at_the_edge(random.randint(0, sizes[-1], n).astype(np.uint8))
    pixels = random.randint(0, 256, (n, sizes[0])).astype(np.uint8)
    for images in (at_the_edge(pixels), at_the_edge(pixels / 255)):
        parameters = at_the_edge(network.parameters)
        problem = Problem(sizes, network.dtype, images, labels)
        for storage in ("dense", "sparse"):
            objective(problem, "numba", storage=storage).gradient(parameters)
        classify(parameters, sizes, images, True, "numba")
print("done")
"""


@pytest.mark.skipif(not hasattr(mmap, "PROT_READ"), reason="needs pages that can be protected")
def test_nothing_is_read_beyond_the_end_of_images_labels_and_parameters(output_of):
    assert output_of(AT_THE_EDGE) == ["done"]
