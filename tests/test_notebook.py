"""The notebooks' names: what they print and return, and that they cannot be misused."""

import re

import numpy as np
import pytest

import fastdigit.notebook as notebook
from fastdigit.errors import DataError
from fastdigit.measure import baseline
from fastdigit.notebook import (
    NeuralNetwork,
    backward_prop,
    forward_prop,
    get_accuracy,
    get_predictions,
    gradient_descent,
    init_params,
    make_predictions,
    one_hot,
    softmax,
    update_params,
)

SIZES = (784, 10, 10)


@pytest.fixture
def digits():
    """Return X (784, m) in 0..1 and Y (m,)."""
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (300, 784)) * (random.rand(300, 784) < 0.2)
    return pixels.T / 255.0, random.randint(0, 10, 300)


@pytest.fixture
def weights():
    np.random.seed(3)
    return init_params()


def test_first_weights_are_the_notebooks():
    np.random.seed(5)
    found = init_params()
    np.random.seed(5)
    for array, shape in zip(found, ((10, 784), (10, 1), (10, 10), (10, 1)), strict=True):
        np.testing.assert_array_equal(array, np.random.rand(*shape) - 0.5)


def test_steps_by_hand_are_the_notebooks(digits, weights):
    X, Y = digits
    W1, _, W2, _ = weights
    found = forward_prop(*weights, X)
    expected = baseline.forward(baseline.Parameters(*weights), X)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)
    gradients = backward_prop(*found, W1, W2, X, Y)
    right = baseline.backward(expected, W2, X, Y)
    for mine, theirs in zip(gradients, right, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-14)
    updated = update_params(*weights, *gradients, 0.1)
    for mine, theirs in zip(
        updated, baseline.update(baseline.Parameters(*weights), right, 0.1), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)


def test_gradient_descent_learns_and_prints_as_the_notebook(digits, capsys):
    X, Y = digits
    np.random.seed(1)
    found = gradient_descent(X, Y, 0.1, 31)
    lines = capsys.readouterr().out.splitlines()
    np.random.seed(1)
    parameters = baseline.Parameters(*init_params())
    expected = []
    for iteration in range(31):
        activations = baseline.forward(parameters, X)
        if iteration % 10 == 0:
            share = get_accuracy(get_predictions(activations.A2), Y)
            expected.append(f"Iteration: {iteration}  - Accuracy: {share:.2%}")
        gradients = baseline.backward(activations, parameters.W2, X, Y)
        parameters = baseline.update(parameters, gradients, 0.1)
    assert lines == expected
    for mine, theirs in zip(found, parameters, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)


def test_the_class_trains_on_from_its_weights(digits, capsys):
    X, Y = digits
    np.random.seed(2)
    whole = NeuralNetwork()
    whole.train(X, Y, iterations=12, alpha=0.1)
    assert re.fullmatch(
        r"Iteration 0 - Accuracy: 0\.\d{4}\nIteration 10 - Accuracy: 0\.\d{4}\n",
        capsys.readouterr().out,
    )
    np.random.seed(2)
    by_hand = NeuralNetwork()
    for _ in range(12):
        Z1, A1, _, A2 = by_hand.forward(X)
        by_hand.update(*by_hand.backward(X, Y, Z1, A1, A2), 0.1)
    for name in ("W1", "b1", "W2", "b2"):
        np.testing.assert_allclose(getattr(by_hand, name), getattr(whole, name), atol=1e-12)
    assert whole.accuracy(whole.predict(X), Y) == np.mean(whole.predict(X) == Y)


def test_pixels_as_bytes_and_as_floats_are_the_same(digits, weights):
    X, _ = digits
    found = make_predictions(np.rint(X * 255).astype(int), *weights)
    np.testing.assert_array_equal(found, make_predictions(X, *weights))


def test_known_faults_of_notebooks_are_not_repeated():
    assert np.isfinite(softmax(np.array([[1000.0], [-1000.0]]))).all()
    assert one_hot(np.array([0, 1])).shape == (10, 2)


def test_a_prediction_is_drawn(digits, capsys):
    X, Y = digits
    parameters = gradient_descent(X, Y, 0.1, 1)
    capsys.readouterr()
    notebook.test_prediction(4, *parameters)
    assert f"Label:  {Y[4]}" in capsys.readouterr().out
    notebook.test_prediction(0, *parameters, X=X)
    assert "Label:  unknown" in capsys.readouterr().out
    with pytest.raises(IndexError, match="300 examples"):
        notebook.test_prediction(300, *parameters)


def test_without_data_it_says_what_is_missing(weights, monkeypatch):
    monkeypatch.setattr(notebook, "_last", None)
    with pytest.raises(ValueError, match="pass X and Y, or call gradient_descent"):
        notebook.test_prediction(0, *weights)


def test_shapes_that_do_not_fit_are_refused(digits, weights):
    X, Y = digits
    W1, b1, W2, b2 = weights
    with pytest.raises(DataError, match=r"try X\.T"):
        gradient_descent(X.T, Y, 0.1, 1)
    with pytest.raises(DataError, match=r"try X\.T"):
        forward_prop(*weights, X.T)
    Z1, A1, Z2, A2 = forward_prop(*weights, X)
    for wrong in (
        lambda: forward_prop(W1, b1[:5], W2, b2, X),
        lambda: forward_prop(W1, b1, W2[:, :5], b2, X),
        lambda: forward_prop(W1, b1, W2, b2[:2], X),
        lambda: backward_prop(Z1, A1[:, :5], Z2, A2, W1, W2, X, Y),
        lambda: backward_prop(Z1, A1, Z2, A2, W1, W2, X[:, :5], Y),
        lambda: backward_prop(Z1, A1, Z2, A2, W2, W1, X, Y),
        lambda: backward_prop(Z1, A1, Z2, A2, W1, W2[:, :3], X, Y),
        lambda: backward_prop(Z1, A1, Z2, A2[:5], W1, W2, X, np.zeros(300, int)),
        lambda: backward_prop(Z1, A1, Z2, A2, W1, W2, X, Y[:5]),
    ):
        with pytest.raises(ValueError, match="shape"):
            wrong()
