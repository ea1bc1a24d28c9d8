"""Optimizers against their formulas in loops over scalars, against another library, and bits."""

import importlib.util
import json
import math
import zlib
from fractions import Fraction

import numpy as np
import pytest

from fastdigit import optimizers
from fastdigit.optimizers import SGD, Adam, optimizer, power

STEPS = 9
CHOICES = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.75, nesterov=True),
    "adam": Adam(),
    "adam of other numbers": Adam(beta1=0.8, beta2=0.98, epsilon=1e-3),
}

GOLDEN = {
    "sgd float32": 1274528609,
    "sgd float64": 2356873496,
    "momentum float32": 2623806823,
    "momentum float64": 3591864026,
    "nesterov float32": 1572456924,
    "nesterov float64": 2298677860,
    "adam float32": 740132894,
    "adam float64": 1128642085,
    "adam of other numbers float32": 2225127682,
    "adam of other numbers float64": 1530126154,
}
"""Checksums of parameters after nine steps; a change of one needs a reason."""


def drawn(dtype, size=37):
    """Return parameters and a gradient and learning rate for each step, quotients of integers."""
    numbers = (np.arange(1, (STEPS + 1) * size + 1) * 7919 % 2003 - 1001).reshape(-1, size)
    gradients = (numbers[1:] / 512).astype(dtype)
    gradients[3] = 0
    gradients[:, 0] = 0
    return (numbers[0] / 256).astype(dtype), gradients, [0.1 / (k + 1) for k in range(STEPS)]


def stepped(chosen, dtype, rates=None):
    parameters, gradients, own = drawn(dtype)
    arrays = optimizers.state(chosen, parameters)
    for k, gradient in enumerate(gradients):
        before = gradient.copy()
        rate = (own if rates is None else rates)[k]
        assert optimizers.step(chosen, parameters, gradient, arrays, rate, k + 1) is None
        np.testing.assert_array_equal(gradient, before)
    return parameters, arrays


def by_hand(chosen, w, gradients, rates):
    """Return one parameter after all steps, by scalars."""
    if isinstance(chosen, SGD):
        past = []
        for g, rate in zip(gradients, rates, strict=True):
            past.append(g)
            # The velocity, written out: each gradient has faded once for every step since.
            v = sum(chosen.momentum**age * old for age, old in enumerate(reversed(past)))
            w -= rate * (g + chosen.momentum * v if chosen.nesterov else v)
        return w
    m = s = 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = chosen.beta1 * m + (1 - chosen.beta1) * g
        s = chosen.beta2 * s + (1 - chosen.beta2) * g**2
        unbiased_m, unbiased_s = m / (1 - chosen.beta1**t), s / (1 - chosen.beta2**t)
        w -= rate * unbiased_m / (math.sqrt(unbiased_s) + chosen.epsilon)
    return w


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("name", CHOICES)
def test_the_formulas(name, dtype, tolerance):
    parameters, gradients, rates = drawn(dtype)
    expected = [
        by_hand(CHOICES[name], float(w), gradients[:, i].astype(float), rates)
        for i, w in enumerate(parameters)
    ]
    found, arrays = stepped(CHOICES[name], dtype)
    assert found.dtype == dtype
    assert {array.dtype for array in arrays} <= {np.dtype(dtype)}
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    # The first parameter never had a gradient.
    assert found[0] == parameters[0]
    assert (found[1:] != parameters[1:]).all()


def test_first_steps_by_hand():
    """Adam steps by the rate, whatever the gradient's size; momentum's first step is plain."""
    for chosen, expected in (
        (SGD(), [1 - 0.5 * 4, -2 + 0.5 * 0.25]),
        (SGD(momentum=0.5), [1 - 0.5 * 4, -2 + 0.5 * 0.25]),
        (SGD(momentum=0.5, nesterov=True), [1 - 0.5 * 6, -2 + 0.5 * 0.375]),
        (Adam(epsilon=1e-300), [0.5, -1.5]),
    ):
        w = np.array([1.0, -2.0])
        optimizers.step(chosen, w, np.array([4, -0.25]), optimizers.state(chosen, w), 0.5, 1)
        np.testing.assert_allclose(w, expected, rtol=1e-15)


@pytest.mark.parametrize("name", CHOICES)
def test_the_state_is_zeros_with_names(name):
    parameters = np.ones((3, 2), np.float32)
    arrays = optimizers.state(CHOICES[name], parameters)
    names = {"sgd": (), "momentum": ("velocity",), "nesterov": ("velocity",)}
    assert CHOICES[name].arrays == names.get(name, ("mean", "square"))
    assert len(arrays) == len(CHOICES[name].arrays)
    for array in arrays:
        assert (array.shape, array.dtype) == ((3, 2), np.float32)
        assert not array.any()


@pytest.mark.parametrize("name", CHOICES)
def test_numbers_of_numpy_change_neither_type_nor_bits(name):
    """Learning rates come as an array of float64, settings may come from one."""
    _, _, rates = drawn("float32")
    expected, _ = stepped(CHOICES[name], "float32")
    found, arrays = stepped(CHOICES[name], "float32", np.array(rates))
    np.testing.assert_array_equal(found, expected)
    assert {array.dtype for array in arrays} <= {np.dtype("float32")}
    fields = vars(CHOICES[name])
    of_numpy = {
        key: value if isinstance(value, bool) else np.float64(value)
        for key, value in fields.items()
    }
    found, _ = stepped(type(CHOICES[name])(**of_numpy), "float32")
    np.testing.assert_array_equal(found, expected)


def test_numpy_numbers_are_not_upcast_within_a_step():
    """A product rounded to float64 first would differ from one rounded to float32."""
    w, g, v = (np.array([x], np.float32) for x in (1, 1 / 3, 0.7))
    optimizers.step(SGD(momentum=np.float64(0.9)), w, g, [v], np.float64(0.1), 2)
    velocity = np.float32(0.9) * np.float32(0.7) + np.float32(1 / 3)
    assert v[0] == velocity
    assert w[0] == np.float32(1) - np.float32(0.1) * velocity


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CHOICES)
def test_golden_bits(name, dtype):
    found, arrays = stepped(CHOICES[name], dtype)
    assert zlib.crc32(b"".join(a.tobytes() for a in (found, *arrays))) == GOLDEN[f"{name} {dtype}"]


def test_sgd_is_the_step_of_plain_descent():
    parameters, gradients, rates = drawn("float32")
    other = parameters.copy()
    optimizers.sgd(parameters, gradients[0], rates[0])
    optimizers.step(SGD(), other, gradients[0], [], rates[0], 1)
    np.testing.assert_array_equal(parameters, other)
    np.testing.assert_array_equal(parameters, drawn("float32")[0] - np.float32(0.1) * gradients[0])


@pytest.mark.parametrize("base", [0.0, 0.5, 0.9, 0.98, 0.999, 1.0, -0.75])
def test_power(base):
    assert power(base, 0) == 1
    assert power(base, 1) == base
    for exponent in (2, 3, 7, 100, 1023, 2811):
        exact = Fraction(base) ** exponent
        assert power(base, exponent) == pytest.approx(float(exact), rel=2e-13), exponent


def test_names():
    assert optimizer("sgd") == SGD()
    assert optimizer("momentum") == SGD(momentum=0.9)
    assert optimizer("nesterov") == SGD(momentum=0.9, nesterov=True)
    assert optimizer("adam") == Adam(0.9, 0.999, 1e-8)
    own = Adam(beta2=0.98)
    assert optimizer(own) is own


@pytest.mark.parametrize("wrong", ["Adam", "", None, 3, SGD, ["sgd"]])
def test_other_names_are_refused_with_the_right_ones(wrong):
    with pytest.raises(ValueError, match="'sgd', 'momentum', 'nesterov', 'adam', SGD"):
        optimizer(wrong)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SGD(momentum=1), "momentum=1; it must be a number, at least 0 and less than 1"),
        (lambda: SGD(momentum="0.9"), "momentum='0.9'; it must be a number"),
        (lambda: Adam(beta1=None), "beta1=None; it must be a number"),
        (lambda: Adam(epsilon="1e-8"), "epsilon='1e-8'; it must be a positive number"),
        (lambda: SGD(momentum=float("nan")), "momentum=nan"),
        (lambda: SGD(nesterov=True), "needs a momentum"),
        (lambda: SGD(momentum=0.9, nesterov="no"), "nesterov='no'; it is True or False"),
        (lambda: Adam(beta1=-0.1), "beta1=-0.1"),
        (lambda: Adam(beta2=1.0), "beta2=1.0"),
        (lambda: Adam(epsilon=0), "epsilon=0; it must be a positive number"),
    ],
)
def test_settings_that_make_no_sense(build, message):
    with pytest.raises(ValueError, match=message):
        build()


PEER = """
import json
from fastdigit.measure import threads
threads.limit(1)  # two would wait for each other where the tests have no core of their own
import torch
import test_optimizers as ours

def stepped(chosen):
    parameters, gradients, rates = ours.drawn("float64")
    w = torch.tensor(parameters, requires_grad=True)
    if isinstance(chosen, ours.SGD):
        peer = torch.optim.SGD([w], 1, chosen.momentum, nesterov=chosen.nesterov)
    else:
        peer = torch.optim.Adam([w], 1, (chosen.beta1, chosen.beta2), chosen.epsilon)
    for gradient, rate in zip(gradients, rates):
        peer.param_groups[0]["lr"] = rate
        w.grad = torch.tensor(gradient)
        peer.step()
    return w.detach().numpy().tolist()

print(json.dumps({name: stepped(chosen) for name, chosen in ours.CHOICES.items()}))
"""


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_steps_alike(output_of):
    for name, expected in json.loads(output_of(PEER)[-1]).items():
        found, _ = stepped(CHOICES[name], "float64")
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15, err_msg=name)
