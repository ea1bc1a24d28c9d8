"""The reference against numbers worked out by hand and against plain loops over scalars."""

import math

import numpy as np
import pytest
from tolerances import TOLERANCE

from fastdigit.kernels import Problem, objective, reference

# Two inputs, two hidden units, two outputs, one image. Worked by hand:
#   Z1 = W1 x + b1  = (1*1 + 0*2 + 0,  1*1 - 1*2 + 0.5) = (1, -0.5)
#   A1 = max(0, Z1) = (1, 0)
#   Z2 = W2 A1 + b2 = (ln 3 * 1 + 1 * 0 + 0,  0 * 1 + 2 * 0 + 0) = (ln 3, 0)
#   A2 = (3, 1) / (3 + 1) = (0.75, 0.25)
# The label is 1:
#   loss = -ln 0.25 = ln 4
#   dZ2 = A2 - Y = (0.75, -0.75)
#   dW2 = dZ2 A1^T = ((0.75, 0), (-0.75, 0)),  db2 = dZ2
#   dA1 = W2^T dZ2 = (0.75 ln 3 - 0, 0.75 * 1 - 0.75 * 2) = (0.75 ln 3, -0.75)
#   dZ1 = dA1 where Z1 > 0 = (0.75 ln 3, 0) = (0.823959216501082, 0)
#   dW1 = dZ1 x^T = ((0.823959216501082, 1.647918433002165), (0, 0)),  db1 = dZ1
LN3 = 1.0986122886681098
X = np.array([[1.0, 2.0]])
LABELS = np.array([1], np.uint8)
WEIGHTS = [np.array([[1.0, 0.0], [1.0, -1.0]]), np.array([[LN3, 1.0], [0.0, 2.0]])]
BIASES = [np.array([0.0, 0.5]), np.array([0.0, 0.0])]
LOSS = 1.3862943611198906
D = 0.823959216501082
GRADIENT = [D, 2 * D, 0, 0, D, 0, 0.75, 0, -0.75, 0, 0.75, -0.75]


def test_forward_and_backward_by_hand():
    Zs, As = reference.forward(X, WEIGHTS, BIASES)
    np.testing.assert_allclose(Zs[0], [[1, -0.5]])
    np.testing.assert_allclose(As[0], [[1, 0]])
    np.testing.assert_allclose(Zs[1], [[LN3, 0]])
    np.testing.assert_allclose(As[1], [[0.75, 0.25]], rtol=1e-15)
    np.testing.assert_allclose(reference.cross_entropy(Zs[1], LABELS), [LOSS], rtol=1e-15)
    dWs, dbs = reference.backward(X, LABELS, WEIGHTS, As)
    np.testing.assert_allclose(dWs[0], [[D, 2 * D], [0, 0]], rtol=1e-15)
    np.testing.assert_allclose(dbs[0], [D, 0], rtol=1e-15)
    np.testing.assert_allclose(dWs[1], [[0.75, 0], [-0.75, 0]], rtol=1e-15)
    np.testing.assert_allclose(dbs[1], [0.75, -0.75], rtol=1e-15)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_backends_give_what_was_worked_by_hand(dtype, copies, backend):
    """The mean over equal images is that of one."""
    parameters = np.concatenate(
        [part.ravel() for pair in zip(WEIGHTS, BIASES, strict=True) for part in pair]
    ).astype(dtype)
    problem = Problem(
        (2, 2, 2),
        np.dtype(dtype),
        np.repeat(X, copies, axis=0).astype(dtype),
        np.repeat(LABELS, copies),
    )
    score, gradient = objective(problem, backend).gradient(parameters)
    tolerance = TOLERANCE[dtype]
    assert score.loss == pytest.approx(LOSS, rel=tolerance)
    assert score.accuracy == 0
    np.testing.assert_allclose(gradient, GRADIENT, rtol=tolerance, atol=tolerance)


def test_pixels_of_bytes_are_divided_by_255():
    """x = (51, 255) / 255 = (0.2, 1); W = ((5, 0), (0, 2)): Z = (1, 2), dZ = +-1 / (1 + e)."""
    problem = Problem(
        (2, 2), np.dtype("float64"), np.array([[51, 255]], np.uint8), np.array([1], np.uint8)
    )
    score, gradient = objective(problem, "numpy").gradient(np.array([5.0, 0, 0, 2, 0, 0]))
    d = 0.2689414213699951
    assert score.loss == pytest.approx(0.3132616875182228, rel=1e-14)
    assert score.accuracy == 1
    np.testing.assert_allclose(gradient, [0.2 * d, d, -0.2 * d, -d, d, -d], rtol=1e-14)


def test_softmax_of_large_logits():
    A = reference.softmax(np.array([[1000.0, 0, -1000], [-1000, -1000, -1000], [1000, 1000, -1e9]]))
    third = 1 / 3
    np.testing.assert_array_equal(A, [[1, 0, 0], [third, third, third], [0.5, 0.5, 0]])
    float32 = reference.softmax(np.array([[1000, 999, -1000]], np.float32))
    assert float32.dtype == np.float32
    np.testing.assert_allclose(float32, [[0.73105858, 0.26894142, 0]], rtol=1e-6)


def test_softmax_shifts_each_row_by_its_own_maximum():
    """With one maximum for all rows the second row would be 0 / 0."""
    A = reference.softmax(np.array([[2000.0, 1999], [0, 1]]))
    np.testing.assert_allclose(A[0, ::-1], A[1], rtol=1e-15)


def test_cross_entropy_is_finite_where_the_probability_underflows():
    Z = np.array([[0.0, 2000.0], [0.0, 2000.0], [-1e300, 0.0], [7.0, 7.0]])
    found = reference.cross_entropy(Z, np.array([0, 1, 0, 0]))
    np.testing.assert_allclose(found, [2000, 0, 1e300, 0.6931471805599453], rtol=1e-15)


def test_one_hot_with_missing_classes():
    Y = reference.one_hot(np.array([2, 0, 2], np.uint8), 5, np.float32)
    assert Y.dtype == np.float32
    np.testing.assert_array_equal(Y, [[0, 0, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0]])


def test_the_slope_of_relu_is_zero_at_zero():
    Z = np.array([-1.0, -0.0, 0.0, 5e-324, 2.0])
    A = reference.relu(Z)
    np.testing.assert_array_equal(A, [0, 0, 0, 5e-324, 2])
    for known in (Z, A):
        np.testing.assert_array_equal(
            reference.relu_derivative(known), [False, False, False, True, True]
        )


ZS = [-1000.0, -40.0, -2.0, -0.5, -1e-9, 0.0, 1e-9, 0.5, 2.0, 40.0, 1000.0]


def logistic_by_hand(z):
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


BY_HAND = {
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0)),
    "leaky_relu": (lambda z: z if z > 0 else 0.01 * z, lambda z: 1.0 if z > 0 else 0.01),
    "tanh": (math.tanh, lambda z: 1 - math.tanh(z) ** 2),
    "logistic": (logistic_by_hand, lambda z: logistic_by_hand(z) * logistic_by_hand(-z)),
    "identity": (lambda z: z, lambda z: 1.0),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BY_HAND)
def test_activations_and_their_slopes(name, dtype):
    """Nothing overflows, the type stays, and the output alone tells the slope."""
    assert BY_HAND.keys() == reference.ACTIVATIONS.keys()
    function, derivative = reference.ACTIVATIONS[name]
    by_hand, slope_by_hand = BY_HAND[name]
    Z = np.array(ZS, dtype)
    before = Z.copy()
    A = function(Z)
    slopes = derivative(A)
    assert A.dtype == dtype
    assert (slopes * Z).dtype == dtype
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(A, [by_hand(float(z)) for z in Z], rtol=tolerance)
    # 1 - A^2 and A (1 - A) lose what A is rounded by.
    expected = [slope_by_hand(float(z)) for z in Z]
    np.testing.assert_allclose(slopes, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(Z, before)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_nan_stays_nan(name):
    """A loss that is no longer finite is how divergence is found."""
    found = reference.ACTIVATIONS[name].function(np.array([np.nan, 1.0]))
    assert np.isnan(found[0])
    assert np.isfinite(found[1])


def test_dropout_mask():
    kept = np.array([[True, False], [False, True]])
    found = reference.dropout_mask(kept, 0.75, "float32")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[4, 0], [0, 4]])


def test_smoothing_by_hand():
    """A tenth of the label's probability, spread over four classes: 0.9 + 0.025, and 0.025."""
    Y = reference.smoothed(reference.one_hot(np.array([1]), 4), 0.1)
    np.testing.assert_allclose(Y, [[0.025, 0.925, 0.025, 0.025]], rtol=1e-15)
    Z = np.log([[0.1, 0.2, 0.3, 0.4]])
    loss = -(0.925 * Z[0, 1] + 0.025 * (Z[0, 0] + Z[0, 2] + Z[0, 3]))
    np.testing.assert_allclose(reference.cross_entropy(Z, np.array([1]), 0.1), [loss], rtol=1e-14)
    delta = reference.logits_delta(reference.softmax(Z), np.array([1]), 0.1)
    np.testing.assert_allclose(delta, [[0.075, -0.725, 0.275, 0.375]], rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_smoothed_loss_of_large_logits_and_missing_classes(dtype):
    Z = np.array([[1000, 0, -1000], [-1000, -1000, -1000]], dtype)
    labels = np.array([0, 2])
    found = reference.cross_entropy(Z, labels, 0.3)
    assert found.dtype == dtype
    # 0.7 * 0 + 0.1 * (0 + 1000 + 2000), and log 3, added to 1000 and rounded
    tolerance = 1000 * np.finfo(dtype).eps
    np.testing.assert_allclose(found, [300, 1.0986122886681098], rtol=tolerance)
    delta = reference.logits_delta(reference.softmax(Z), labels, 0.3)
    assert delta.dtype == dtype
    np.testing.assert_allclose(delta.sum(axis=1), 0, atol=1e-6)


def test_penalty_gradient():
    W = np.array([[2, -0.5, 0]], np.float32)
    found = reference.penalty_gradient(W, 0.25, 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[4.25, -1.25, 0]])


def test_masks_by_hand():
    """The network above with tanh; the first hidden unit counts four times, the second not.

    A D = (4 tanh 1, 0); then dW2 = dZ2 (A D)^T and dZ1 = (dZ2 W2) D (1 - A^2).
    """
    mask = np.array([[4.0, 0]])
    Zs, As = reference.forward(X, WEIGHTS, BIASES, "tanh", [mask])
    a = math.tanh(1)
    np.testing.assert_allclose(As[0], [[a, math.tanh(-0.5)]], rtol=1e-15)
    np.testing.assert_allclose(Zs[1], [[4 * a * LN3, 0]], rtol=1e-15)
    p = 1 / (1 + math.exp(-4 * a * LN3))
    np.testing.assert_allclose(As[1], [[p, 1 - p]], rtol=1e-14)
    dWs, dbs = reference.backward(X, LABELS, WEIGHTS, As, "tanh", [mask], smoothing=0.5)
    d = p - 0.25
    np.testing.assert_allclose(dbs[1], [d, -d], rtol=1e-14)
    np.testing.assert_allclose(dWs[1], [[d * 4 * a, 0], [-d * 4 * a, 0]], rtol=1e-14)
    below = (d * LN3 - d * 0) * 4 * (1 - a * a)
    np.testing.assert_allclose(dbs[0], [below, 0], rtol=1e-13)
    np.testing.assert_allclose(dWs[0], [[below, 2 * below], [0, 0]], rtol=1e-13)


def test_update_keeps_the_dtype():
    found = reference.update(np.array([1, 2], np.float32), np.array([4, -8], np.float32), 0.25)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0, 4])


# --- plain loops ---------------------------------------------------------------------------------

M, INPUTS, OUTPUTS = 5, 4, 3


@pytest.fixture
def numbers():
    random = np.random.RandomState(7)
    return (
        random.rand(M, INPUTS) - 0.5,
        random.rand(OUTPUTS, INPUTS) - 0.5,
        random.rand(OUTPUTS) - 0.5,
        random.rand(M, OUTPUTS) - 0.5,
        np.array([2, 0, 2, 1, 2]),
    )


def test_linear_and_relu(numbers):
    X, W, b, _, _ = numbers
    expected = [
        [b[o] + sum(X[i, j] * W[o, j] for j in range(INPUTS)) for o in range(OUTPUTS)]
        for i in range(M)
    ]
    np.testing.assert_allclose(reference.linear(X, W, b), expected, rtol=1e-13)
    clipped = [[z if z > 0 else 0.0 for z in row] for row in expected]
    assert 0 < np.count_nonzero(clipped) < M * OUTPUTS
    np.testing.assert_allclose(reference.relu(np.array(expected)), clipped, rtol=1e-15)


def test_softmax_and_cross_entropy(numbers):
    _, _, _, Z, labels = numbers
    sums = [sum(math.exp(z) for z in row) for row in Z]
    A = [[math.exp(z) / total for z in row] for row, total in zip(Z, sums, strict=True)]
    np.testing.assert_allclose(reference.softmax(Z), A, rtol=1e-14)
    losses = [-math.log(A[i][label]) for i, label in enumerate(labels)]
    np.testing.assert_allclose(reference.cross_entropy(Z, labels), losses, rtol=1e-13)


def test_deltas_and_gradients(numbers):
    X, W, _, dZ, labels = numbers
    A = reference.softmax(dZ)
    expected = [[A[i, o] - (1 if labels[i] == o else 0) for o in range(OUTPUTS)] for i in range(M)]
    np.testing.assert_allclose(reference.logits_delta(A, labels), expected, rtol=1e-15)
    dW = [
        [sum(dZ[i, o] * X[i, j] for i in range(M)) / M for j in range(INPUTS)]
        for o in range(OUTPUTS)
    ]
    np.testing.assert_allclose(reference.weight_gradient(dZ, X), dW, rtol=1e-13)
    db = [sum(dZ[i, o] for i in range(M)) / M for o in range(OUTPUTS)]
    np.testing.assert_allclose(reference.bias_gradient(dZ), db, rtol=1e-13)
    below = [
        [
            sum(dZ[i, o] * W[o, j] for o in range(OUTPUTS)) if X[i, j] > 0 else 0.0
            for j in range(INPUTS)
        ]
        for i in range(M)
    ]
    np.testing.assert_allclose(reference.hidden_delta(dZ, W, X), below, rtol=1e-13)
