"""The same bits: at any number of threads, in every run, and from the first weights on."""

import json
import zlib

import numpy as np
import pytest

from fastdigit import Network
from fastdigit.kernels import Problem, objective

PROGRAM = """
import itertools, json, zlib
import numpy as np
from fastdigit import Network, fit
from fastdigit.kernels import Problem, objective
from fastdigit.kernels.parallel import available_threads

def crc(array):
    return zlib.crc32(np.ascontiguousarray(array).tobytes())

random = np.random.RandomState(0)
results = {}
for n, sizes, iterations in (
    (33, (784, 10, 10), 20),
    (500, (784, 10, 10), 20),
    (2113, (20, 17, 11, 3), 20),
    (5, (9, 3), 20),
    (60_000, (4, 21, 2), 3),  # more than one tile a piece
):
    bytes_ = (random.randint(0, 256, (n, sizes[0])) * (random.rand(n, sizes[0]) < 0.3))
    labels = random.randint(0, sizes[-1], n)
    for images in (bytes_.astype(np.uint8), (bytes_ / 255).astype(np.float32)):
        for dtype, storage in itertools.product(("float32", "float64"), ("dense", "sparse")):
            crcs = []
            for threads in (1, 2, 3, 4, 1):
                network = Network(sizes, dtype, seed=2)
                history = fit(network, (images, labels), iterations=iterations,
                              learning_rate=0.3, threads=threads, storage=storage, progress=False)
                assert (history.threads, history.storage) == (threads, storage)
                crcs.append([
                    crc(network.parameters), crc(history.loss), crc(history.accuracy),
                    crc(network.predict_proba(images, threads=threads)),
                ])
            results[f"{n} {sizes} {images.dtype} {dtype} {storage}"] = crcs
# What has no pass of its own, ReLU, was trained above.
for activation, dtype in itertools.product(
    ("leaky_relu", "tanh", "logistic", "identity"), ("float32", "float64")
):
    network = Network((20, 17, 11, 3), dtype, seed=2, activation=activation)
    images = random.randint(0, 256, (2113, 20)).astype(np.uint8)
    labels = random.randint(0, 3, 2113).astype(np.uint8)
    problem = Problem(network.sizes, network.dtype, images, labels, activation)
    crcs = []
    for threads in (1, 2, 3, 4, 1):
        score, gradient = objective(problem, "numba", threads).gradient(network.parameters)
        probabilities = network.predict_proba(images, threads=threads)
        crcs.append([crc(score), crc(gradient), crc(probabilities)])
    results[f"{activation} {dtype}"] = crcs
print(json.dumps([available_threads(), results]))
"""


def test_same_bits_with_any_number_of_threads_and_in_every_run(output_of):
    # Where there are more threads than processors, those that wait had better not spin.
    first, second = (
        json.loads(
            output_of(
                PROGRAM,
                environment={"NUMBA_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive"},
            )[-1]
        )
        for threads in ("4", "5")
    )
    assert (first[0], second[0]) == (4, 5)
    for name, crcs in first[1].items():
        assert all(run == crcs[0] for run in crcs), name
    assert first[1] == second[1]
    assert len(first[1]) == 40 + 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_gradient_does_not_depend_on_what_was_computed_before(storage, dtype):
    """Scratch memory keeps the rows of earlier, longer tiles."""
    random = np.random.RandomState(4)
    sizes = (30, 17, 10)
    images = random.randint(0, 256, (161, 30)).astype(np.uint8)
    images[::2] = 0
    labels = random.randint(0, 10, 161).astype(np.uint8)
    network = Network(sizes, dtype, seed=0)
    problem = Problem(sizes, network.dtype, images, labels)
    loss = objective(problem, "numba", 1, storage)
    score, gradient = loss.gradient(network.parameters)
    expected = gradient.copy()
    with np.errstate(all="ignore"):
        loss.gradient(np.full_like(network.parameters, 1e30))
        loss.gradient(np.full_like(network.parameters, np.nan))
    again, gradient = loss.gradient(network.parameters)
    assert again == score
    np.testing.assert_array_equal(gradient, expected)


GOLDEN_WEIGHTS = {
    ((784, 10, 10), "he", "float32"): 3530334166,
    ((784, 10, 10), "he", "float64"): 2384376813,
    ((784, 10, 10), "uniform", "float32"): 2903183813,
    ((784, 10, 10), "uniform", "float64"): 3661168341,
    ((5, 4, 3), "he", "float32"): 1674286615,
    ((5, 4, 3), "he", "float64"): 3150720610,
    ((5, 4, 3), "uniform", "float32"): 4193163813,
    ((5, 4, 3), "uniform", "float64"): 1505060272,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("init", ["he", "uniform"])
@pytest.mark.parametrize("sizes", [(784, 10, 10), (5, 4, 3)], ids=str)
def test_first_weights_have_their_bits(sizes, init, dtype):
    network = Network(sizes, dtype, seed=42, init=init)
    assert zlib.crc32(network.parameters.tobytes()) == GOLDEN_WEIGHTS[sizes, init, dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_weights_are_those_of_the_notebooks(dtype):
    state = np.random.get_state()
    try:
        np.random.seed(7)
        expected = [
            np.random.rand(*shape) - 0.5 for shape in ((10, 784), (10, 1), (10, 10), (10, 1))
        ]
    finally:
        np.random.set_state(state)
    network = Network([784, 10, 10], dtype, seed=7, init="uniform")
    found = [network.weights[0], network.biases[0], network.weights[1], network.biases[1]]
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs.reshape(mine.shape).astype(dtype))


def test_he_weights():
    network = Network([784, 100, 10], "float64", seed=3)
    for W, b in zip(network.weights, network.biases, strict=True):
        inputs = W.shape[1]
        assert W.std() == pytest.approx(np.sqrt(2 / inputs), rel=0.05)
        assert np.abs(W).max() <= np.sqrt(6 / inputs)
        assert not b.any()


def test_drawing_weights_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    Network([5, 4, 3], seed=1)
    Network([5, 4, 3], seed=1, init="uniform")
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_another_seed_gives_other_weights():
    first, again, other = (Network([5, 4, 3], seed=seed).parameters for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_many_threads_are_refused_with_the_way_out(output_of):
    lines = output_of(
        """
import numpy as np
from fastdigit import Network
network = Network([2, 2])
for threads in (0, 3, 4):
    try:
        network.predict(np.zeros((1, 2), np.uint8), threads=threads)
        print("done")
    except ValueError as error:
        print(error)
""",
        environment={"NUMBA_NUM_THREADS": "3"},
    )
    assert "threads=0; it must be a whole number of at least 1" in lines[0]
    assert lines[1] == "done"
    assert "threads=4, but between 1 and 3 can be used" in lines[2]
    assert "NUMBA_NUM_THREADS=4" in lines[2]
