"""How many threads are worth it."""

import pytest

from fastdigit.kernels.pace import ASKED_EVERY, Pace, Stretch


def after(pace, calls, seconds, steps=160):
    """Return the threads of each call, when a step takes as long as is said for each choice."""
    found = []
    for _ in range(calls):
        plan = pace.plan(steps)
        assert sum(stretch.steps for stretch in plan) == steps
        for stretch in plan:
            pace.note(stretch, seconds[stretch.threads] * stretch.steps)
        found.append(plan[-1].threads)
    return found


def test_one_thread_is_never_asked_about():
    assert after(Pace(1), 100, {1: 1.0}) == [1] * 100


def test_all_threads_stay_where_they_are_faster():
    assert after(Pace(4), 100, {4: 0.3, 1: 1.0}) == [4] * 100


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_one_takes_over_where_many_hinder_each_other_and_gives_back(threads):
    pace = Pace(threads)
    assert after(pace, 3 * ASKED_EVERY, {threads: 2.0, 1: 1.0})[-ASKED_EVERY:] == [1] * ASKED_EVERY
    assert after(pace, 2 * ASKED_EVERY, {threads: 0.5, 1: 1.0})[-1] == threads


def test_a_small_difference_changes_nothing():
    assert after(Pace(2), 100, {2: 1.0, 1: 0.95}) == [2] * 100


def test_trials_are_a_small_part():
    pace = Pace(2)
    plans = [pace.plan(160) for _ in range(ASKED_EVERY)]
    assert sum(stretch.steps for plan in plans for stretch in plan if stretch.threads == 1) == 10


def test_few_steps_are_not_divided():
    pace = Pace(2)
    assert [pace.plan(3) for _ in range(50)] == [[Stretch(2, 3)]] * 50
