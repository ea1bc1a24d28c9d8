"""Gradients against finite differences of the loss, for every single parameter."""

import hostile
import numpy as np
import pytest

from fastdigit.kernels import Problem, objective

STEP = 1e-6


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
    slopes = np.empty_like(found)
    for k in range(len(slopes)):
        above, below = case.parameters.copy(), case.parameters.copy()
        above[k] += STEP
        below[k] -= STEP
        slopes[k] = (loss.evaluate(above).loss - loss.evaluate(below).loss) / (2 * STEP)
    # The loss is about 1 and rounded to 1e-16, so a slope is right to about 1e-10.
    np.testing.assert_allclose(found, slopes, rtol=1e-6, atol=1e-9)
    assert np.count_nonzero(np.abs(found) > 1e-4) > len(found) / 4


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
