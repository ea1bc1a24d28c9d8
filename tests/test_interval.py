"""Intervals of ratios: known answers, how often they cover the truth, and what may be said."""

import math

import numpy as np
import pytest

from fastdigit.measure import interval
from fastdigit.measure.result import Interval, Ratio

COVERED = 0.96
"""Share of the intervals that must cover the truth; 99 % is what they are made for, and bootstrap
intervals of a median fall a little short of it."""


def drawn(seed, rounds, factor=1.0, drift=0.0, noise=0.02):
    """Return seconds of two contenders, of which the second takes so many times as long."""
    random = np.random.default_rng(seed)
    level = np.exp(np.cumsum(drift * random.normal(size=rounds)))
    base, other = np.exp(noise * np.abs(random.standard_t(3, (2, rounds)))) * level / 100
    return base, factor * other


class TestRatio:
    def test_by_hand(self):
        found = interval.ratio([4, 2, 3], [2, 2, 2])
        assert found["median"] == 1.5
        assert found["rounds"] == 3
        assert found["paired"]["median"] == 1.5
        assert (found["low"], found["high"]) == (1, 2)

    def test_of_medians_and_of_rounds_differ(self):
        found = interval.ratio([1, 2, 9], [2, 1, 3])
        assert found["median"] == 2 / 2
        assert found["paired"]["median"] == 2

    def test_one_round(self):
        found = interval.ratio([3.0], [2.0])
        assert found["low"] == found["median"] == found["high"] == 1.5

    def test_without_noise(self):
        found = interval.ratio([0.2] * 12, [0.1] * 12)
        for one in (found, found["paired"]):
            assert one["low"] == one["median"] == one["high"] == 2
        assert interval.half_width(found) == 0

    def test_seed(self):
        base, other = drawn(0, 30)
        assert interval.ratio(base, other, 1) == interval.ratio(base, other, 1)
        assert interval.ratio(base, other, 1) != interval.ratio(base, other, 2)

    def test_scale_does_not_matter(self):
        base, other = drawn(0, 30)
        one, two = interval.ratio(base, other), interval.ratio(1e3 * base, 1e3 * other)
        assert two["low"] == pytest.approx(one["low"])
        assert two["paired"]["high"] == pytest.approx(one["paired"]["high"])

    @pytest.mark.parametrize("drift", [0, 0.07])
    @pytest.mark.parametrize("rounds", [15, 60])
    def test_coverage(self, rounds, drift):
        truth, runs = 1 / 1.05, 60
        covered = {"medians": 0, "paired": 0}
        for seed in range(runs):
            found = interval.ratio(*drawn(seed, rounds, 1.05, drift), seed)
            covered["medians"] += found["low"] <= truth <= found["high"]
            covered["paired"] += found["paired"]["low"] <= truth <= found["paired"]["high"]
        assert min(covered.values()) >= COVERED * runs

    def test_within_rounds_drift_cancels(self):
        found = interval.ratio(*drawn(0, 40, drift=0.07))
        assert interval.half_width(found["paired"]) < interval.half_width(found) / 2

    def test_narrower_with_more_rounds(self):
        few, many = (interval.ratio(*drawn(0, rounds)) for rounds in (20, 500))
        assert interval.half_width(many) < interval.half_width(few) / 2


def ratio(low, high, median=None):
    """Return a ratio whose interval within rounds is this one, and whose other says nothing."""
    middle = (low + high) / 2 if median is None else median
    within = Interval(median=middle, low=low, high=high)
    return Ratio(median=1.0, low=0.0, high=9.0, rounds=20, paired=within)


class TestVerdict:
    @pytest.mark.parametrize(
        ("low", "high", "floor", "said"),
        [
            (1.02, 1.04, 0.01, "faster"),
            (1.02, 1.04, 0.02, "too close to call"),
            (1.02, 1.04, 0.03, "too close to call"),
            (0.94, 0.96, 0.01, "slower"),
            (0.94, 0.96, 0.05, "too close to call"),
            (0.99, 1.05, 0.0, "too close to call"),
            (0.95, 1.01, 0.0, "too close to call"),
            (1.0, 1.0, 0.0, "too close to call"),
            (20.0, 30.0, 0.5, "faster"),
            (math.nan, math.nan, 0.0, "too close to call"),
            (1.5, 1.6, math.nan, "too close to call"),
            (0.5, 0.6, math.inf, "too close to call"),
        ],
    )
    def test_rule(self, low, high, floor, said):
        assert interval.verdict(ratio(low, high), floor) == said

    def test_turned_round(self):
        opposite = {"faster": "slower", "slower": "faster"}
        for low, high in ((1.03, 1.05), (1.005, 1.05), (0.9, 1.1), (1.0101, 1.02)):
            said = interval.verdict(ratio(low, high), 0.01)
            turned = interval.verdict(ratio(1 / high, 1 / low), 0.01)
            assert turned == opposite.get(said, said)

    def test_noise_floor(self):
        assert interval.noise_floor(ratio(1.01, 1.03)) == pytest.approx(0.02)
        assert interval.noise_floor(ratio(0.96, 1.04)) == pytest.approx(0.04)
        assert interval.noise_floor(ratio(1.0, 1.0)) == 0

    def test_the_same_work_is_seldom_called_different(self):
        alarms = 0
        for seed in range(50):
            base, again = drawn(seed, 30)
            other, _ = drawn(seed + 10_000, 30)
            floor = interval.noise_floor(interval.ratio(base, again, seed))
            alarms += interval.verdict(interval.ratio(base, other, seed), floor) != (
                "too close to call"
            )
        assert alarms == 0

    def test_a_slowdown_is_seen(self):
        seen = 0
        for seed in range(30):
            base, slowed = drawn(seed, 40, 1.05)
            _, again = drawn(seed, 40)
            floor = interval.noise_floor(interval.ratio(base, again, seed))
            seen += interval.verdict(interval.ratio(base, slowed, seed), floor) == "slower"
        assert seen >= 29


class TestTurn:
    def test_fastest_third(self):
        assert interval.turn([5.0, 7.0, 1.0, 3.0, 9.0, 1.0]) == 2.0

    def test_thirds_of_any_length(self):
        assert interval.turn([3.0, 1.0, 2.0]) == 1.0
        assert interval.turn([4.0, 2.0, 9.0, 9.0, 9.0, 9.0, 9.0]) == 5.0

    @pytest.mark.parametrize("seconds", [[4.0], [4.0, 2.0]])
    def test_mean_of_less(self, seconds):
        assert interval.turn(seconds) == sum(seconds) / len(seconds)
