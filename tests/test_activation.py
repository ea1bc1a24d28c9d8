"""Activations of vectors and their slopes against NumPy, and gradients of whole networks."""

import hostile
import numpy as np
import pytest
from test_gradients import assert_slopes, slopes_of

from fastdigit.jit import njit
from fastdigit.kernels import Problem, activation, classify, objective, reference
from fastdigit.kernels.activation import ACTIVATIONS, activated, slope
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.simd import lanes, load, pointer, splat, store

DTYPES = ["float32", "float64"]


@njit()
def both(kind, given, activations, slopes):
    """Compute activations of all numbers, and slopes where these are the outputs."""
    p = pointer(given)
    zero, one, leak = splat(p, 0.0), splat(p, 1.0), splat(p, reference.LEAK)
    for k in range(0, given.size, lanes(p)):
        x = load(p, k)
        store(pointer(activations), k, activated(kind, x, zero, one, leak))
        store(pointer(slopes), k, slope(kind, x, zero, one, leak))


def computed(name, numbers, dtype):
    """Return the activations of numbers, and the slopes where they are the outputs."""
    given, activations, slopes = (aligned(-(-numbers.size // 16) * 16, dtype) for _ in range(3))
    given[: numbers.size] = numbers
    both(ACTIVATIONS.index(name), given, activations, slopes)
    return activations[: numbers.size], slopes[: numbers.size]


def inputs(dtype):
    """Return numbers of both signs: in steps, of all magnitudes, and the largest and smallest."""
    limits = np.finfo(dtype)
    numbers = [0, limits.smallest_subnormal, limits.tiny, limits.eps, limits.max, np.inf, 89, 1000]
    steps = np.linspace(0, 60, 3001), np.logspace(-30, 30, 301), numbers
    positive = np.concatenate(steps).astype(dtype)
    return np.concatenate([positive, -positive])


def test_compiled_code_and_the_reference_know_the_same_activations():
    places = {name: getattr(activation, name.upper()) for name in reference.ACTIVATIONS}
    assert [ACTIVATIONS[place] for place in places.values()] == list(places)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_the_reference(name, dtype):
    z = inputs(dtype)
    found, _ = computed(name, z, dtype)
    expected = reference.ACTIVATIONS[name].function(z.astype(np.longdouble))
    if name in ("tanh", "logistic"):
        assert np.abs(found - expected).max() <= 4 * np.finfo(dtype).eps
        assert np.abs(found).max() == 1
    else:
        smallest = np.finfo(dtype).smallest_subnormal
        np.testing.assert_allclose(found, expected, rtol=np.finfo(dtype).eps, atol=smallest)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_those_of_the_reference(name, dtype):
    a = np.linspace(-1, 1, 2001) if name in ("tanh", "logistic") else inputs(dtype)
    a = a.astype(dtype)
    _, found = computed(name, a, dtype)
    expected = reference.ACTIVATIONS[name].derivative(a.astype(np.longdouble))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_not_a_number_stays_one(name, dtype):
    found, _ = computed(name, np.array([np.nan, 1]), dtype)
    assert np.isnan(found).tolist() == [True, False]


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("sizes", [(6, 3), (7, 6, 5, 3)], ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS[1:])
def test_fused_gradients_are_slopes_of_the_loss(name, sizes, pixels):
    case = hostile.drawn(9, sizes, pixels=pixels)
    problem = Problem(sizes, np.dtype("float64"), case.images, case.labels, name)
    loss = objective(problem, "numba", 1)
    gradient = loss.gradient(case.parameters)[1].copy()
    assert_slopes(gradient, slopes_of(lambda near: loss.evaluate(near).loss, case.parameters))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_unknown_activations_are_refused(backend):
    case = hostile.drawn()
    message = "activation='sigmoid'; the activations are 'relu', 'leaky_relu', 'tanh', 'logistic'"
    problem = Problem(case.sizes, np.dtype("f8"), case.images, case.labels, "sigmoid")
    with pytest.raises(ValueError, match=message):
        objective(problem, backend)
    with pytest.raises(ValueError, match=message):
        classify(case.parameters, case.sizes, case.images, True, backend, activation="sigmoid")
