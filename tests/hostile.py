"""Inputs that break careless kernels; every equivalence test runs on all of them."""

from typing import NamedTuple

import numpy as np

from fastdigit.network import Network

SIZES = (19, 18, 17)
N = 67
TIED = (3, 7, 13, 16)


class Case(NamedTuple):
    """A network, in float64 but exact in float32 as well, and the data to run it on."""

    sizes: tuple[int, ...]
    parameters: np.ndarray
    images: np.ndarray
    labels: np.ndarray


def drawn(n=N, sizes=SIZES, seed=1, pixels="bytes"):
    """Return a plain case: random images, four fifths black, and weights that reach every unit."""
    random = np.random.RandomState(seed)
    images = random.randint(1, 256, (n, sizes[0])) * (random.rand(n, sizes[0]) < 0.5)
    images = images.astype(np.uint8)
    if pixels == "floats":
        images = (images / 255).astype(np.float32)
    labels = random.randint(0, sizes[-1], n).astype(np.uint8)
    network = Network(sizes, "float32", seed=seed)
    for b in network.biases:
        b[:] = random.rand(len(b)) - 0.5
    return Case(tuple(sizes), network.parameters.astype(np.float64), images, labels)


def _network(case):
    network = Network(case.sizes, "float64")
    network.parameters[:] = case.parameters
    return network


def _whole(low, high):
    """Return a case whose pixels, weights and sums are whole numbers, so that no sum rounds."""
    random = np.random.RandomState(5)
    parameters = random.randint(low, high + 1, len(drawn().parameters)).astype(np.float64)
    images = random.randint(0, 2, (N, SIZES[0])).astype(np.float32)
    return drawn()._replace(parameters=parameters, images=images)


def black():
    """Every pixel is 0: only biases speak, and the gradient of W1 is exactly 0."""
    return drawn()._replace(images=np.zeros((N, SIZES[0]), np.uint8))


def white():
    """Every pixel is 255."""
    return drawn()._replace(images=np.full((N, SIZES[0]), 255, np.uint8))


def one_class():
    """Every label is the last one."""
    return drawn()._replace(labels=np.full(N, SIZES[-1] - 1, np.uint8))


def constant_pixels():
    """All images are the same."""
    case = drawn()
    return case._replace(images=np.repeat(case.images[:1], N, axis=0))


def one_lit_pixel():
    """Each image has one bright pixel, the last image in the last column."""
    images = np.zeros((N, SIZES[0]), np.uint8)
    images[np.arange(N), (np.arange(N) - N) % SIZES[0]] = 255
    return drawn()._replace(images=images)


def half_black():
    """Two of three images are black: in groups of similar ones, some are empty."""
    case = drawn()
    images = case.images.copy()
    images[1::3] = images[2::3] = 0
    return case._replace(images=images)


def half_black_floats():
    """As `half_black`, in floats, and some of the zeros are negative."""
    images = half_black().images / np.float32(255)
    images[:40][images[:40] == 0] = -0.0
    return drawn()._replace(images=images)


def unused_columns():
    """Pixels at the borders that no image has."""
    case = drawn()
    images = case.images.copy()
    images[:, [0, 1, 2, 6, 7, 18]] = 0
    return case._replace(images=images)


def negative_pixels():
    """Floats below 0, as after subtracting a mean."""
    case = drawn(pixels="floats")
    return case._replace(images=case.images - np.float32(0.5))


def subnormal_pixels():
    """Floats so small that float32 has only a few bits left for them."""
    images = np.random.RandomState(3).randint(0, 9, (N, SIZES[0])) * 2.0**-149
    return drawn()._replace(images=images.astype(np.float32))


def dead_units():
    """No hidden unit is ever active: no gradient reaches the first layer."""
    case = drawn()
    network = _network(case)
    network.biases[0][:] = -1000
    return case._replace(parameters=network.parameters)


def at_the_kink():
    """All pre-activations are exactly 0, where the slope of ReLU counts as 0."""
    case = drawn()
    network = _network(case)
    network.weights[0][:] = 0
    network.biases[0][:] = 0
    return case._replace(parameters=network.parameters)


def logits_of_a_thousand():
    """Logits of about +-1000, where e^z overflows unless the maximum is subtracted."""
    case = drawn()
    network = _network(case)
    network.weights[-1] *= 256
    network.biases[-1] *= 256
    return case._replace(parameters=network.parameters)


def saturated():
    """Whole-number logits of several hundred, with ties: probabilities are 0, 1, or an even share.

    The tied classes lie in both halves of a vector and beyond it; the first of them has to win.
    """
    case = _whole(-5, 5)
    network = _network(case)
    for o in TIED:
        network.weights[-1][o] = network.weights[-1][13]
        network.biases[-1][o] = network.biases[-1][13]
    network.parameters[:] *= 4
    return case._replace(parameters=network.parameters)


def huge_logits():
    """Logits of about 1e8: differences are beyond anything that e^z can tell from 0."""
    case = _whole(-3, 3)
    return case._replace(parameters=case.parameters * 1024)


def all_equal():
    """All weights are 0, so that all classes are equally likely and class 0 wins everywhere."""
    case = drawn()
    return case._replace(parameters=np.zeros_like(case.parameters))


CASES = {
    builder.__name__: builder
    for builder in (
        black,
        white,
        one_class,
        constant_pixels,
        one_lit_pixel,
        half_black,
        half_black_floats,
        unused_columns,
        negative_pixels,
        subnormal_pixels,
        dead_units,
        at_the_kink,
        logits_of_a_thousand,
        saturated,
        huge_logits,
        all_equal,
    )
}
