"""Network: sizes, types, predictions, and what it refuses."""

import copy
import pickle
import threading

import numpy as np
import pytest

import fastdigit.kernels
from fastdigit import DataError, Dataset, Network, make_digits
from fastdigit.kernels import reference


def drawn_images(n=20, features=12):
    return np.random.RandomState(n).randint(0, 256, (n, features)).astype(np.uint8)


def test_weights_and_biases_are_views_of_the_parameters():
    network = Network([4, 3, 2])
    assert network.sizes == (4, 3, 2)
    assert network.dtype == np.float32
    assert network.parameters.shape == (4 * 3 + 3 + 3 * 2 + 2,)
    assert [W.shape for W in network.weights] == [(3, 4), (2, 3)]
    assert [b.shape for b in network.biases] == [(3,), (2,)]
    network.weights[1][1, 2] = 7
    network.biases[1][1] = 8
    assert network.parameters[-3:].tolist() == [7, 0, 8]
    network.weights[1] += 1
    network.biases[-1] -= 1
    assert network.parameters[-3:].tolist() == [8, -1, 7]


def test_what_would_not_change_the_network_is_refused():
    network = Network([4, 3, 2])
    for arrays in (network.weights, network.biases):
        for place in (0, -1, slice(None)):
            with pytest.raises(TypeError, match=r"write into them.*weights\[0\]\[:\] = W"):
                arrays[place] = np.zeros((3, 4))
    for name in ("parameters", "weights", "biases"):
        with pytest.raises(AttributeError, match=name):
            setattr(network, name, [])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_is_a_whole_network_of_its_own(copied):
    network = Network([4, 3, 2], seed=1, activation="tanh")
    other = copied(network)
    assert (other.sizes, other.activation) == ((4, 3, 2), "tanh")
    np.testing.assert_array_equal(other.parameters, network.parameters)
    other.parameters[:] = 5
    assert (other.weights[0] == 5).all()
    assert not (network.parameters == 5).any()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([784], "inputs and outputs"),
        ([], "inputs and outputs"),
        ([784, 0, 10], "at least 1"),
        ([784, -1], "at least 1"),
        ([784, 10.0], "whole numbers"),
        (["784", 10], "whole numbers"),
        (784, "whole numbers"),
        (None, "whole numbers"),
        ([784, 257], "257 outputs.*256 at most"),
    ],
)
def test_wrong_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        Network(sizes)


@pytest.mark.parametrize("dtype", ["int32", "float16", "complex64"])
def test_wrong_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match="'float32' or 'float64'"):
        Network([2, 2], dtype)


def test_a_wrong_init_is_refused():
    with pytest.raises(ValueError, match=r"init='zeros'.*'he' or 'uniform'"):
        Network([2, 2], init="zeros")


@pytest.mark.parametrize("activation", ["sigmoid", "ReLU", "", None, ["tanh"]])
def test_a_wrong_activation_is_refused(activation):
    with pytest.raises(ValueError, match=r"activation=.*'relu', .*'tanh', 'logistic', 'identity'"):
        Network([2, 2], activation=activation)


def test_a_network_shows_what_it_is():
    assert repr(Network([4, 3, 2])) == "<Network 4-3-2, relu, float32, 23 parameters>"
    shown = repr(Network([784, 10], "float64", activation="tanh"))
    assert shown == "<Network 784-10, tanh, float64, 7,850 parameters>"


@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
@pytest.mark.parametrize("backend", ["numpy", "numba", "auto"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_are_those_of_the_formulas(dtype, backend, activation):
    network = Network([12, 9, 5], dtype, seed=3, activation=activation)
    images = drawn_images(77)
    labels = np.random.RandomState(0).randint(0, 5, 77)
    weights, biases = (
        [part.astype(np.float64) for part in parts] for parts in (network.weights, network.biases)
    )
    expected = reference.forward(images / 255, weights, biases, activation)[1][-1]
    for given in (images, images / 255, images.reshape(77, 3, 4), images.astype(np.int64)):
        probabilities = network.predict_proba(given, backend=backend)
        assert probabilities.dtype == network.dtype
        np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
        predicted = network.predict(given, backend=backend)
        assert predicted.dtype == np.intp
        np.testing.assert_array_equal(predicted, expected.argmax(axis=1))
        share = (expected.argmax(axis=1) == labels).mean()
        assert network.accuracy(given, labels, backend=backend) == share
    assert 0 < share < 1


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_one_image_and_none(backend):
    network = Network([12, 9, 5], seed=3)
    images = drawn_images()
    whole = network.predict_proba(images, backend=backend)
    single = network.predict_proba(images[4:5], backend=backend)
    np.testing.assert_allclose(single, whole[4:5], rtol=1e-6)
    assert network.predict(images[:0], backend=backend).shape == (0,)
    assert network.predict_proba(images[:0], backend=backend).shape == (0, 5)


def test_256_outputs():
    network = Network([3, 256], "float64", seed=0)
    network.biases[0][255] = 100
    images = drawn_images(9, 3)
    for backend in ("numpy", "numba"):
        assert network.predict(images, backend=backend).tolist() == [255] * 9
        assert network.accuracy(images, np.full(9, 255), backend=backend) == 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (drawn_images(3, 11), "11 pixels.*12 inputs"),
        (drawn_images(3)[0], "give a single image as"),
        (np.full((3, 12), np.nan), "nan in row 0, column 0"),
        (drawn_images().astype(int) + 200, "outside 0..255"),
        (drawn_images().astype(bool), "dtype bool"),
        ([["a"] * 12], "dtype <U1"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    network = Network([12, 9, 5])
    for predict in (network.predict, network.predict_proba):
        with pytest.raises(DataError, match=message):
            predict(images)


def test_labels_that_do_not_fit_are_refused():
    network = Network([12, 9, 5])
    images = drawn_images(3)
    with pytest.raises(DataError, match=r"label 5 in row 1.*5 outputs \(0..4\)"):
        network.accuracy(images, [0, 5, 0])
    with pytest.raises(DataError, match="3 images, but 2 labels"):
        network.accuracy(images, [0, 1])
    with pytest.raises(DataError, match="no images"):
        network.accuracy(images[:0], [])


def test_unknown_backends_and_threads_are_refused():
    network = Network([12, 9, 5])
    with pytest.raises(ValueError, match="backend='torch'"):
        network.predict(drawn_images(), backend="torch")
    with pytest.raises(ValueError, match="threads=0"):
        network.predict(drawn_images(), backend="numba", threads=0)


def test_several_python_threads_predict_at_once():
    network = Network([784, 10, 10], seed=0)
    images = [drawn_images(1000 + k, 784) for k in range(4)]
    expected = [network.predict_proba(part) for part in images]
    found = {}

    def predict(k):
        found[k] = [network.predict_proba(images[k]) for _ in range(10)]

    workers = [threading.Thread(target=predict, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for k in range(4):
        for probabilities in found[k]:
            np.testing.assert_array_equal(probabilities, expected[k])


def test_without_a_compiler_the_reference_runs_and_says_so(output_of):
    lines = output_of(
        """
import warnings
import numpy as np
from fastdigit import Network, fit
network = Network([4, 3, 2])
images = np.zeros((3, 4), np.uint8)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(network.predict_proba(images).sum(axis=1).tolist())
    print(fit(network, (images, [0, 1, 1]), iterations=1, progress=False).backend)
print({str(w.message) for w in caught})
try:
    network.predict(images, backend="numba")
except ValueError as error:
    print(error)
""",
        environment={"NUMBA_DISABLE_JIT": "1"},
    )
    assert lines[0] == "[1.0, 1.0, 1.0]"
    assert lines[1] == "numpy"
    assert "NUMBA_DISABLE_JIT is set: training runs on the NumPy reference" in lines[2]
    assert "NUMBA_DISABLE_JIT is set" in lines[3]


def test_auto_is_numba_here():
    assert fastdigit.kernels.chosen("auto") == "numba"


def test_data_sets_have_the_arrays_a_network_takes():
    data = Dataset(drawn_images(), np.arange(20) % 5)
    network = Network([12, 5])
    assert 0 <= network.accuracy(data.images, data.labels) <= 1


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None])
def test_wrong_seeds_are_named(seed):
    with pytest.raises(ValueError, match="seed="):
        Network([2, 2], seed=seed)


@pytest.mark.parametrize("dtype", ["bogus", None, "float16"])
def test_wrong_dtypes_are_named(dtype):
    with pytest.raises(ValueError, match=f"dtype={dtype!r}; a network is 'float32'"):
        Network([2, 2], dtype=dtype)


@pytest.mark.parametrize("pixel", [1e300, -1e300])
@pytest.mark.filterwarnings("ignore:the largest pixel")
def test_pixels_too_large_for_the_type_are_refused(pixel):
    images = np.full((3, 2), pixel)
    with pytest.raises(DataError, match=r"beyond 3\.4e"):
        Network([2, 2], "float32").predict(images)
    assert Network([2, 2], "float64").predict(images).shape == (3,)


def test_a_data_set_is_not_its_images():
    with pytest.raises(DataError, match=r"predict\(data\.images\)"):
        Network([784, 2]).predict(make_digits(3))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_not_finite_give_no_answers(number):
    network, images = Network([12, 3, 2], seed=0), drawn_images()
    network.biases[0][1] = number
    asked = (
        lambda: network.predict(images),
        lambda: network.predict_proba(images),
        lambda: network.accuracy(images, np.zeros(len(images), np.uint8)),
    )
    for ask in asked:
        with pytest.raises(ValueError, match="weights contain NaN or infinity; train it anew"):
            ask()
