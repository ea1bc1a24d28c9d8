"""Schedules: first, highest and last learning rates, curves against the formulas, and bits."""

import math
import zlib

import numpy as np
import pytest

from fastdigit.schedules import NAMED, Constant, Cosine, Linear, Step, rates, schedule, sine

PEAK = 0.3
COUNTS = [(1, 1), (2, 1), (3, 2), (10, 5), (1407, 469), (4690, 469)]

GOLDEN = {"constant": 2515708477, "step": 2864554869, "cosine": 3307326449, "linear": 664450693}
"""Checksums of 10,000 rates; a change of one needs a reason."""


@pytest.mark.parametrize(("steps", "epoch"), COUNTS)
@pytest.mark.parametrize(
    "chosen",
    [*NAMED.values(), Step(1, 0.5), Linear(0), Linear(1), Linear(0.5), Cosine(0.3, 0.1), Cosine(1)],
    ids=repr,
)
def test_every_rate_is_positive_and_the_peak_is_reached(chosen, steps, epoch):
    found = rates(chosen, PEAK, steps, epoch)
    assert found.shape == (steps,)
    assert found.dtype == np.float64
    assert (found > 0).all()
    assert found.max() == PEAK
    highest = int(found.argmax())
    assert (np.diff(found[: highest + 1]) > 0).all()
    assert (np.diff(found[highest:]) <= 0).all()


@pytest.mark.parametrize("name", NAMED)
def test_any_part_is_that_of_the_whole(name):
    chosen = schedule(name)
    whole = rates(chosen, PEAK, 1000, 7)
    for first, last in ((0, 1), (300, 517), (999, 1000), (5, 5)):
        part = rates(chosen, PEAK, 1000, 7, first, last)
        np.testing.assert_array_equal(part, whole[first:last])
    (far,) = rates(chosen, PEAK, 10**15, 469, 10**9, 10**9 + 1)
    assert 0 <= far <= PEAK


@pytest.mark.parametrize("name", NAMED)
def test_no_steps(name):
    assert rates(schedule(name), PEAK, 0, 5).shape == (0,)


def test_constant():
    np.testing.assert_array_equal(rates(Constant(), PEAK, 4, 2), [PEAK] * 4)


def test_step_changes_after_whole_epochs():
    found = rates(Step(every=2, factor=0.5), 1.0, 14, 3)
    np.testing.assert_array_equal(found, [1] * 6 + [0.5] * 6 + [0.25] * 2)
    assert rates(Step(every=10**30, factor=0.5), 1.0, 14, 3).tolist() == [1.0] * 14
    growing = rates(Step(every=1, factor=3), 1.0, 3, 1)
    np.testing.assert_array_equal(growing, [1, 3, 9])


def test_linear_by_hand():
    # Three steps up to the peak; then down by a fifth of it, to 0 at the step after the last.
    found = rates(Linear(warm_up=0.4), 30.0, 7, 7)
    np.testing.assert_allclose(found, [10, 20, 30, 24, 18, 12, 6], rtol=1e-15)


@pytest.mark.parametrize("steps", [5, 10, 1407])
@pytest.mark.parametrize("warm_up", [0, 0.2, 0.5])
def test_linear_is_two_lines(warm_up, steps):
    found = rates(Linear(warm_up), PEAK, steps, 5)
    peak = int(found.argmax())
    assert peak == max(1, round(warm_up * steps)) - 1
    np.testing.assert_allclose(found[: peak + 1], PEAK * np.arange(1, peak + 2) / (peak + 1))
    # The next rate on the line down is 0.
    down = np.append(found[peak:], 0)
    np.testing.assert_allclose(np.diff(down), -PEAK / (steps - peak), rtol=1e-10)


@pytest.mark.parametrize("end", [0, 0.25, 1])
@pytest.mark.parametrize("steps", [1, 2, 9, 5000])
def test_cosine_without_warm_up(steps, end):
    found = rates(Cosine(end=end), 1.0, steps, 1)
    expected = [end + (1 - end) * (1 + math.cos(math.pi * k / steps)) / 2 for k in range(steps)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


def test_cosine_with_warm_up():
    found = rates(Cosine(warm_up=0.2, end=0.1), 1.0, 1000, 1)
    np.testing.assert_allclose(found[:200], np.arange(1, 201) / 200, rtol=1e-15)
    wave = [0.1 + 0.9 * (1 + math.cos(math.pi * k / 801)) / 2 for k in range(801)]
    np.testing.assert_allclose(found[199:], wave, rtol=0, atol=1e-15)


def test_sine():
    x = np.linspace(0, math.pi / 2, 10_001)
    found = sine(x)
    np.testing.assert_allclose(found, [math.sin(one) for one in x], rtol=3e-16)
    assert found[0] == 0
    assert found[-1] == 1
    assert (np.diff(found) >= 0).all()
    assert found.tolist() == [float(sine(float(one))) for one in x]


@pytest.mark.parametrize("name", NAMED)
def test_golden_bits(name):
    found = rates(schedule(name), PEAK, 10_000, 469)
    assert zlib.crc32(found.tobytes()) == GOLDEN[name]


def test_the_type_of_the_peak_does_not_matter():
    found = rates(Linear(), np.float32(0.5), 7, 7)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, rates(Linear(), 0.5, 7, 7))


def test_names():
    assert [schedule(name) for name in ("constant", "step", "cosine", "linear")] == [
        Constant(),
        Step(10, 0.1),
        Cosine(0.0, 0.0),
        Linear(0.2),
    ]
    own = Cosine(0.1)
    assert schedule(own) is own


@pytest.mark.parametrize("wrong", ["Linear", "", None, 0.1, Linear, ["linear"]])
def test_other_names_are_refused_with_the_right_ones(wrong):
    with pytest.raises(ValueError, match="'constant', 'step', 'cosine', 'linear', and"):
        schedule(wrong)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Step(every=0), "every=0; it must be a whole number of at least 1"),
        (lambda: Step(every=1.5), "every=1.5"),
        (lambda: Step(factor=0), "factor=0; it must be a positive number"),
        (lambda: Linear(warm_up=1.1), "warm_up=1.1; it must be a share, 0 to 1"),
        (lambda: Linear(warm_up=float("nan")), "warm_up=nan"),
        (lambda: Cosine(warm_up=-0.1), "warm_up=-0.1"),
        (lambda: Cosine(end=2), "end=2"),
    ],
)
def test_settings_that_make_no_sense(build, message):
    with pytest.raises(ValueError, match=message):
        build()
