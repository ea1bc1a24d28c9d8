"""Gradients against finite differences of the loss, for every single parameter."""

import hostile
import numpy as np
import pytest

from fastdigit.kernels import Problem, objective
from fastdigit.kernels.numpy_steps import NumpyTrainer
from fastdigit.kernels.parameters import views
from fastdigit.kernels.reference import ACTIVATIONS
from fastdigit.kernels.steps import Learning

STEP = 1e-6
DEPTHS = [(6, 3), (6, 5, 4), (7, 6, 5, 3), (5, 6, 5, 4, 3)]


def slopes_of(loss, parameters):
    """Return the slope of a function of the parameters along each of them."""
    slopes = np.empty_like(parameters)
    for k in range(len(slopes)):
        above, below = parameters.copy(), parameters.copy()
        above[k] += STEP
        below[k] -= STEP
        slopes[k] = (loss(above) - loss(below)) / (2 * STEP)
    return slopes


def assert_slopes(gradient, slopes):
    """Require a gradient to be what was found, and not to be 0 almost everywhere."""
    # The loss is about 1 and rounded to 1e-16, so a slope is right to about 1e-10.
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-9)
    assert np.count_nonzero(np.abs(gradient) > 1e-4) > len(gradient) / 4


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("sizes", [(6, 3), (6, 5, 4), (7, 6, 5, 3), (3, 18, 17)], ids=str)
def test_every_parameter(sizes, pixels, backend):
    case = hostile.drawn(9, sizes, pixels=pixels)
    problem = Problem(sizes, np.dtype("float64"), case.images, case.labels)
    if pixels == "floats":
        problem = problem._replace(images=case.images.astype(np.float64))
    loss = objective(problem, backend, 1)
    _, gradient = loss.gradient(case.parameters)
    found = gradient.copy()
    assert_slopes(found, slopes_of(lambda near: loss.evaluate(near).loss, case.parameters))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", DEPTHS, ids=str)
def test_every_activation(sizes, activation):
    case = hostile.drawn(9, sizes)
    problem = Problem(sizes, np.dtype("float64"), case.images, case.labels, activation)
    loss = objective(problem, "numpy")
    _, gradient = loss.gradient(case.parameters)
    assert_slopes(gradient, slopes_of(lambda near: loss.evaluate(near).loss, case.parameters))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", DEPTHS, ids=str)
@pytest.mark.parametrize(
    "settings",
    [
        {"label_smoothing": 0.1},
        {"dropout": 0.3},
        {"l1": 0.02},
        {"l2": 0.05},
        {"label_smoothing": 0.3, "dropout": 0.2, "l1": 0.03, "l2": 0.01},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_steps_go_along_the_gradient_of_what_they_minimise(settings, sizes, activation):
    """A step of rate 1 shows the gradient; one of rate 0 shows the loss and keeps the masks."""
    case = hostile.drawn(9, sizes)
    learning = Learning(activation=activation, **settings)
    images = np.arange(9)

    def stepped(parameters, rate):
        trainer = NumpyTrainer(
            learning, sizes, "float64", case.images, case.labels, parameters, seed=2
        )
        tally = trainer.advance(images, 0, 9, np.array([rate]))
        return tally.loss / 9, trainer.parameters()

    def loss(parameters):
        weights, _ = views(parameters, sizes)
        return (
            stepped(parameters, 0.0)[0]
            + learning.l1 * sum(np.abs(W).sum() for W in weights)
            + learning.l2 / 2 * sum((W * W).sum() for W in weights)
        )

    # The slope of |w| jumps at 0.
    assert min(np.abs(W).min() for W in views(case.parameters, sizes)[0]) > 10 * STEP
    gradient = case.parameters - stepped(case.parameters, 1.0)[1]
    assert_slopes(gradient, slopes_of(loss, case.parameters))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_along_the_gradient_lowers_the_loss_as_much_as_it_says(dtype, backend):
    case = hostile.drawn(40, (784, 10, 10))
    loss = objective(Problem(case.sizes, np.dtype(dtype), case.images, case.labels), backend)
    parameters = case.parameters.astype(dtype)
    score, gradient = loss.gradient(parameters)
    slope = float(gradient.astype(np.float64) @ gradient)
    step = 1e-3
    lower = loss.evaluate(parameters - np.dtype(dtype).type(step) * gradient).loss
    assert (score.loss - lower) / step == pytest.approx(slope, rel=0.05)
