"""Iterations in compiled calls: as one after the other, and as in NumPy."""

import itertools

import numpy as np
import pytest

from fastdigit import DivergenceError, Network, fit, optimizers
from fastdigit.full_batch import FullBatch
from fastdigit.kernels import Learning, Problem, objective
from fastdigit.kernels.iterations import MOST
from fastdigit.kernels.parallel import available_threads

SIZES = (20, 17, 11, 3)
"""No layer fills its blocks of ten units."""
RATES = np.linspace(0.3, 0.1, MOST + 6)
"""More than one call makes."""


def problem_of(pixels, dtype, activation="relu", n=2113, sizes=SIZES):
    random = np.random.RandomState(1)
    lit = random.rand(n, sizes[0]) < 0.3
    images = (random.randint(1, 256, lit.shape) * lit).astype(np.uint8)
    if pixels == "floats":
        images = (images / 255).astype(dtype)
    labels = random.randint(0, sizes[-1], n).astype(np.uint8)
    return Problem(sizes, np.dtype(dtype), images, labels, activation)


def begun(problem, optimizer):
    """Return parameters, and what an optimizer remembers of them."""
    network = Network(problem.sizes, problem.dtype, seed=2, activation=problem.activation)
    return network.parameters, optimizers.state(optimizer, network.parameters)


def descended(problem, learning, rates, calls=(), **kernels):
    """Return the parameters, what is remembered, and all scores, after calls of so many steps."""
    loss = objective(problem, **kernels)
    parameters, remembered = begun(problem, learning.optimizer)
    scores, done = [], 0
    for steps in (*calls, len(rates) - sum(calls)):
        part = rates[done : done + steps]
        scores += loss.descend(parameters, remembered, learning, part, done)
        done += steps
    return [parameters, *remembered, np.array(scores)]


def assert_same_bits(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("optimizer", optimizers.NAMED)
@pytest.mark.parametrize(
    ("pixels", "storage"), [("bytes", "sparse"), ("bytes", "dense"), ("floats", "sparse")]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_calls_of_any_size_have_the_same_bits(dtype, pixels, storage, optimizer):
    problem = problem_of(pixels, dtype)
    learning = Learning(optimizers.NAMED[optimizer], l1=1e-4, l2=1e-3)
    rates = RATES * (0.1 if optimizer == "adam" else 1)
    whole = descended(problem, learning, rates, storage=storage)
    assert whole[-1][-1, 0] < whole[-1][0, 0]
    for calls in ((1,) * 9, (3, 40), (MOST,), (MOST + 5,)):
        assert_same_bits(whole, descended(problem, learning, rates, calls, storage=storage))


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_nothing_is_left_of_what_was_not_finite(optimizer, pixels):
    """Not even in what fills up blocks, which no parameters are loaded into."""
    problem = problem_of(pixels, "float32", n=500)
    learning = Learning(optimizers.NAMED[optimizer], l1=1e-4, l2=1e-3)
    used = objective(problem, "numba")
    parameters, remembered = begun(problem, learning.optimizer)
    scores = used.descend(parameters, remembered, learning, np.full(5, 1e38), 0)
    assert not np.isfinite(scores).all()
    assert np.isnan(parameters).any()
    ends = []
    for loss in (used, objective(problem, "numba")):
        parameters, remembered = begun(problem, learning.optimizer)
        scores = loss.descend(parameters, remembered, learning, RATES[:5], 0)
        ends.append([parameters, *remembered, np.array(scores)])
    assert np.isfinite(ends[0][0]).all()
    assert_same_bits(*ends)


@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("n", [1, 5, 33, 2113])
def test_any_number_of_threads_has_the_same_bits(n, pixels):
    problem = problem_of(pixels, "float32", n=n)
    learning = Learning(optimizers.NAMED["momentum"])
    one = descended(problem, learning, RATES, backend="numba", threads=1)
    for threads in range(2, available_threads() + 1):
        assert_same_bits(one, descended(problem, learning, RATES, backend="numba", threads=threads))


@pytest.mark.parametrize("optimizer", optimizers.NAMED)
@pytest.mark.parametrize("activation", ["relu", "logistic"])
@pytest.mark.parametrize(("l1", "l2"), [(0, 0), (1e-3, 0), (0, 1e-2)])
@pytest.mark.parametrize("pixels", ["bytes", "floats"])
def test_the_twin_gets_the_same(pixels, l1, l2, activation, optimizer):
    """With logistic units, those that only fill up a block have outputs that are not 0."""
    problem = problem_of(pixels, "float64", activation, n=300)
    learning = Learning(optimizers.NAMED[optimizer], l1=l1, l2=l2)
    rates = RATES * (0.1 if optimizer == "adam" else 1)
    fast, slow = (
        descended(problem, learning, rates, backend=backend) for backend in ("numba", "numpy")
    )
    for a, b in zip(fast, slow, strict=True):
        assert np.linalg.norm(a - b) <= 1e-11 * np.linalg.norm(b)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("pixels", ["bytes", "floats"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_plain_step_is_one_along_the_gradient(dtype, pixels, backend):
    problem = problem_of(pixels, dtype)
    loss = objective(problem, backend)
    parameters, _ = begun(problem, optimizers.SGD())
    score, gradient = loss.gradient(parameters)
    expected = parameters - parameters.dtype.type(0.25) * gradient
    (found,) = loss.descend(parameters, [], Learning(), np.array([0.25]), 0)
    np.testing.assert_array_equal(parameters, expected)
    assert found == score
    # What a call leaves behind does not show in the next.
    assert loss.evaluate(parameters) == loss.gradient(parameters)[0]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_divergence_is_found_where_it_happens():
    """Callbacks have every iteration made on its own."""
    problem = problem_of("bytes", "float32", n=300)
    found = []
    for callbacks in ([], [lambda network, history: None]):
        for optimizer, rate in itertools.product(("sgd", "nesterov"), (30.0, 1e3, 1e9, 1e20)):
            network = Network(SIZES, "float32", seed=2, activation="identity")
            with pytest.raises(DivergenceError) as raised:
                fit(
                    network,
                    (problem.images, problem.labels),
                    iterations=3000,
                    learning_rate=rate,
                    optimizer=optimizer,
                    callbacks=callbacks,
                    progress=False,
                )
            history = raised.value.history
            assert np.isfinite(history.loss).all()
            assert np.isfinite(network.parameters).all()
            assert history.steps == len(history) == len(history.loss)
            found.append((network.parameters, history.loss, history.accuracy))
    half = len(found) // 2
    assert {len(losses) for _, losses, _ in found} - {1, 2, 3}
    for one, other in zip(found[:half], found[half:], strict=True):
        assert_same_bits(one, other)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_divergence_of_the_last_weights_is_found(iterations, backend):
    """Also where no weight is infinite, and where a callback ends the training."""
    problem = problem_of("bytes", "float32", n=300)
    data = problem.images, problem.labels
    for callbacks in ([], [lambda network, history: len(history) == iterations]):
        network, expected = (Network(SIZES, "float32", seed=2) for _ in range(2))
        with pytest.raises(DivergenceError) as raised:
            fit(
                network,
                data,
                iterations=iterations + bool(callbacks),
                learning_rate=1e30,
                callbacks=callbacks,
                backend=backend,
                progress=False,
            )
        assert len(raised.value.history) == 1
        np.testing.assert_array_equal(network.parameters, expected.parameters)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_resumed_before_divergence_the_last_sound_weights_are_kept():
    problem = problem_of("bytes", "float32", n=300)
    data = problem.images, problem.labels

    def interrupt(network, history):
        raise KeyboardInterrupt

    network, expected = (Network(SIZES, "float32", seed=2) for _ in range(2))
    with pytest.raises(KeyboardInterrupt) as interrupted:
        fit(network, data, learning_rate=1e30, callbacks=[interrupt], progress=False)
    so_far = interrupted.value.history
    assert len(so_far) == 1
    with pytest.raises(DivergenceError):
        fit(network, data, learning_rate=1e30, resume=so_far, progress=False)
    np.testing.assert_array_equal(network.parameters, expected.parameters)


def test_an_interrupt_while_it_goes_back_leaves_weights_and_record_together(monkeypatch):
    problem = problem_of("bytes", "float32", n=300)
    data = problem.images, problem.labels
    settings = {"learning_rate": 30.0, "progress": False, "backend": "numpy"}

    def diverged_after(**more):
        network = Network(SIZES, "float32", seed=2, activation="identity")
        with np.errstate(all="ignore"), pytest.raises(DivergenceError) as raised:
            fit(network, data, iterations=3000, **settings, **more)
        return len(raised.value.history), network.parameters

    expected = diverged_after()
    go_back = FullBatch._go_back

    def interrupted(self, bad):
        go_back(self, bad)
        raise KeyboardInterrupt

    network = Network(SIZES, "float32", seed=2, activation="identity")
    monkeypatch.setattr(FullBatch, "_go_back", interrupted)
    with np.errstate(all="ignore"), pytest.raises(KeyboardInterrupt) as raised:
        fit(network, data, iterations=3000, **settings)
    monkeypatch.undo()
    history = raised.value.history
    again = Network(SIZES, "float32", seed=2, activation="identity")
    fit(again, data, iterations=len(history), **settings)
    np.testing.assert_array_equal(network.parameters, again.parameters)
    found = diverged_after(resume=history)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])
