"""Contenders in turns: what is timed, what is refused, what counts, and what may be said of it."""

import json
import math
import os
import random
import time
import types
from typing import Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
import synthetic

from fastdigit.measure import answer, paired, result
from fastdigit.measure.entrants import Entrant, Seat, level, reason
from fastdigit.measure.idle import State
from fastdigit.measure.paired import Budget, Topic
from fastdigit.measure.worker import Worker

TOPIC = Topic("kernels", "sums", "sum", {"images": 3})


def entrant(name, make):
    return Entrant(name, "none", "float32", make)


def ask(makes, base="base", rounds=4, seed=0, **more):
    entrants = [entrant(name, make) for name, make in makes.items()]
    budget = Budget(seconds=1, least_rounds=rounds, most_rounds=rounds, patience=0)
    return paired.ask(
        TOPIC,
        entrants,
        synthetic.Task(seed),
        synthetic.check,
        base,
        budget=budget,
        seed=seed,
        progress=False,
        **more,
    )


def fits(value, form):
    """Return whether a value is what a type says, all keys of a TypedDict there and no others."""
    if is_typeddict(form):
        hints = get_type_hints(form)
        whole = isinstance(value, dict) and value.keys() == hints.keys()
        return whole and all(fits(value[key], hints[key]) for key in hints)
    kind, parts = get_origin(form), get_args(form)
    if kind in (types.UnionType, Union):
        return any(fits(value, part) for part in parts)
    if kind is list:
        return isinstance(value, list) and all(fits(part, parts[0]) for part in value)
    if kind is dict:
        return isinstance(value, dict)
    if parts:  # a Literal
        return value in parts
    return isinstance(value, form) and not (form is float and not math.isfinite(value))


@pytest.fixture(scope="module")
def everyone():
    """Return the question that all kinds of contenders were asked, and where its time went."""
    makes = {
        "base": synthetic.Drawn,
        "slow": synthetic.Slow,
        "wrong": synthetic.Wrong,
        "undefined": synthetic.Undefined,
        "timeless": synthetic.Timeless,
        "mortal": synthetic.Mortal,
        "absent": synthetic.Absent,
        "unbuilt": synthetic.unbuilt,
    }
    parts = {}
    began = time.perf_counter()
    question = ask(makes, parts=parts)
    return question, parts, time.perf_counter() - began


@pytest.fixture(scope="module")
def alone():
    """Return a question with the base alone, which runs twice."""
    return ask({"base": synthetic.Drawn}, rounds=12, seed=1)


def by_name(question):
    return {found["name"]: found for found in question["contenders"]}


class TestAsk:
    def test_record_is_whole(self, everyone):
        question, _, _ = everyone
        assert fits(question, result.Question)
        assert json.loads(json.dumps(question, allow_nan=False)) == question
        assert question["parameters"] == {"images": 3}

    def test_who_is_timed(self, everyone):
        found = by_name(everyone[0])
        timed = {name for name in found if found[name]["median_seconds"] is not None}
        assert timed == {"base", "slow"}
        assert found["base"]["ratio"] is None
        assert found["base"]["median_seconds"] == pytest.approx(0.05, rel=0.01)
        assert found["slow"]["ratio"]["median"] == pytest.approx(0.5, rel=0.02)
        assert found["slow"]["prepare_seconds"] == 0.25
        assert found["slow"]["facts"]["repetitions"] == 3

    def test_verdict_unless_busy(self, everyone):
        question, _, _ = everyone
        verdict = by_name(question)["slow"]["verdict"]
        assert verdict == (None if question["busy"] else "slower")

    def test_who_is_refused(self, everyone):
        found = by_name(everyone[0])
        for name, why in {
            "wrong": "sums off by 5.0e-01, more than the 1e-01 that is allowed",
            "undefined": "sums off by nan, more than the 1e-01 that is allowed",
            "timeless": "gave nan s for 1 repetitions",
            "absent": 'not installed; pip install -e ".[peers]" brings it',
            "unbuilt": "RuntimeError: no compiler in (a path), see (an address)",
        }.items():
            assert found[name]["refused"] == why
        assert found["mortal"]["refused"].startswith("ChildProcessError: ")
        for one in found.values():
            if one["refused"]:
                assert one["rounds"] == []
                empty = ("median_seconds", "quartiles_seconds", "ratio", "verdict")
                assert {one[key] for key in empty} == {None}

    def test_a_difference_that_is_no_number(self, everyone):
        found = by_name(everyone[0])
        assert found["undefined"]["check"]["difference"] is None
        assert found["wrong"]["check"] == {"what": "sums", "difference": 0.5, "allowed": 0.1}

    def test_the_others_go_on(self, everyone):
        found = by_name(everyone[0])
        assert len(found["base"]["rounds"]) == len(found["slow"]["rounds"]) == 4

    def test_every_turn_is_recorded(self, everyone):
        question, _, _ = everyone
        found = by_name(question)
        turns = [found["base"]["rounds"], found["slow"]["rounds"], question["again"]["rounds"]]
        for together in zip(*turns, strict=True):
            # The mortal one was there, too, for a round.
            assert len({turn["position"] for turn in together}) == 3
            for turn in together:
                assert 0 < turn["speed"] <= 1
                assert turn["steal"] is None or 0 <= turn["steal"] <= 1

    def test_base_ran_twice(self, everyone):
        question, _, _ = everyone
        again = question["again"]
        assert again["name"] == "base (again)"
        assert again["ratio"]["median"] == pytest.approx(1, abs=0.02)
        assert 0 <= question["noise_floor"] < 0.02
        assert "base (again)" not in by_name(question)

    def test_where_the_time_went(self, everyone):
        _, parts, wall = everyone
        assert parts.keys() == {"build", "check", "wait", "time"}
        assert min(parts.values()) >= 0
        # The rest passes where a busy machine interrupts in between.
        assert 0.8 * wall < sum(parts.values()) <= wall

    def test_no_process_is_left(self, everyone):
        import multiprocessing

        assert multiprocessing.active_children() == []

    def test_base_refused(self):
        question = ask({"base": synthetic.Wrong, "slow": synthetic.Slow}, rounds=2)
        found = by_name(question)
        assert found["base"]["refused"]
        assert question["again"] is question["noise_floor"] is question["busy"] is None
        assert found["slow"]["median_seconds"] == pytest.approx(0.1, rel=0.02)
        assert found["slow"]["ratio"] is found["slow"]["verdict"] is None
        assert fits(question, result.Question)

    def test_one_contender(self, alone):
        (base,) = alone["contenders"]
        assert base["ratio"] is base["verdict"] is None
        assert alone["noise_floor"] < 0.02
        assert fits(alone, result.Question)

    def test_nobody(self):
        question = ask({"base": synthetic.Absent})
        assert [found["rounds"] for found in question["contenders"]] == [[]]
        assert fits(question, result.Question)


def test_entrants_may_have_threads_of_their_own():
    entrants = [
        Entrant("base", "none", "float32", synthetic.Threaded),
        Entrant("two", "none", "float32", synthetic.Threaded, threads=2),
    ]
    budget = Budget(seconds=1, least_rounds=2, most_rounds=2, patience=0)
    question = paired.ask(
        TOPIC, entrants, synthetic.Task(), synthetic.check, "base", budget=budget, progress=False
    )
    base, two = question["contenders"]
    assert (base["threads"], two["threads"]) == (1, 2)
    assert two["median_seconds"] == pytest.approx(2 * base["median_seconds"], rel=0.05)


def orders(question):
    every = [found["rounds"] for found in [*question["contenders"], question["again"]]]
    return [[turn["position"] for turn in together] for together in zip(*every, strict=True)]


def test_order_is_random_but_seeded(alone):
    assert orders(alone) == orders(ask({"base": synthetic.Drawn}, rounds=12, seed=1))
    assert len({tuple(order) for order in orders(alone)}) == 2


def test_a_turn_ends_when_its_threads_sleep():
    worker = Worker("restless", synthetic.Task(), synthetic.Restless)
    try:
        worker.step(1)
        before = cpu_seconds(worker.ready.pid)
        time.sleep(0.05)
        assert cpu_seconds(worker.ready.pid) - before <= 0.02
    finally:
        worker.kill()


def cpu_seconds(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        pytest.skip("there is no /proc")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- what counts, on turns that were never taken --------------------------------------------------


def seat(name, seconds, disturbed=()):
    """Return a contender with a turn for each number of seconds."""
    rounds = [
        result.Round(
            position=0,
            seconds=[value],
            counted=value,
            speed=1.0,
            steal=0.0,
            others=0,
            disturbed=number in disturbed,
        )
        for number, value in enumerate(seconds)
    ]
    return Seat(entrant(name, None), rounds=rounds)


def noisy(seconds, rounds, seed):
    draw = random.Random(seed)
    return [seconds * draw.uniform(0.995, 1.005) for _ in range(rounds)]


def judged(other, again=None, base=None, enough=10):
    base = base or seat("base", noisy(1.0, 30, 0))
    again = again or seat("base (again)", noisy(1.0, 30, 1))
    return answer.question(TOPIC, [base, other], again, "base", 2, enough, 0)


def test_those_about_as_fast_have_as_many_repetitions():
    seats = [seat(name, []) for name in ("faster", "base", "slower", "slowest")]
    for one, repetitions in zip(seats, (21, 14, 7, 1), strict=True):
        one.repetitions = repetitions
    level(seats, "base")
    assert [one.repetitions for one in seats] == [14, 14, 14, 3]


class TestAnswer:
    @pytest.mark.parametrize(
        ("seconds", "verdict"),
        [(0.9, "faster"), (1.05, "slower"), (1.0, "too close to call")],
    )
    def test_verdict(self, seconds, verdict):
        question = judged(seat("other", noisy(seconds, 30, 2)))
        _, other = question["contenders"]
        assert other["verdict"] == verdict
        assert question["busy"] is None
        assert other["ratio"]["rounds"] == 30
        assert fits(question, result.Question)

    def test_nothing_inside_the_noise(self):
        # The base differs by 6 % from itself, so 5 % mean nothing.
        again = seat("base (again)", noisy(1.06, 30, 1))
        question = judged(seat("other", noisy(1.05, 30, 2)), again)
        assert question["noise_floor"] > 0.05
        assert question["contenders"][1]["verdict"] == "too close to call"

    def test_disturbed_rounds_do_not_count(self):
        seconds = noisy(1.05, 30, 2)
        spoiled = [5.0 if i < 18 else s for i, s in enumerate(seconds)]
        question = judged(seat("other", spoiled, range(18)))
        _, other = question["contenders"]
        assert other["ratio"]["rounds"] == 12
        assert other["verdict"] == "slower"
        assert other["median_seconds"] == pytest.approx(1.05, rel=0.01)
        assert len(other["rounds"]) == 30

    def test_either_of_a_pair_disturbs_it(self):
        base = seat("base", noisy(1.0, 30, 0), range(10))
        question = judged(seat("other", noisy(1.0, 30, 2), range(5, 15)), base=base)
        assert question["contenders"][1]["ratio"]["rounds"] == 15
        assert question["again"]["ratio"]["rounds"] == 20

    def test_too_few_undisturbed_rounds(self):
        question = judged(seat("other", noisy(1.5, 30, 2), range(21)))
        _, other = question["contenders"]
        assert question["busy"] == (
            "machine busy: of 30 rounds beside base, too few were undisturbed to be sure "
            "(9 for other; 10 are needed)"
        )
        assert other["verdict"] is None
        assert other["ratio"]["rounds"] == 30

    def test_noise_that_is_unknown(self):
        again = seat("base (again)", noisy(1.0, 30, 1), range(30))
        question = judged(seat("other", noisy(1.5, 30, 2)), again)
        assert question["contenders"][1]["verdict"] is None
        assert "base (again)" in question["busy"]

    def test_second_process_died(self):
        again = Seat(entrant("base (again)", None), refused="ChildProcessError: died")
        question = judged(seat("other", noisy(1.5, 30, 2)), again)
        assert question["noise_floor"] is None
        assert question["contenders"][1]["verdict"] is None
        assert question["busy"] == "base did not run twice: ChildProcessError: died"

    def test_when_to_stop(self):
        base, other = seat("base", noisy(1.0, 30, 0)), seat("other", noisy(1.0, 30, 2))
        assert 0 < answer.widest([base, other], "base", 10, 0) < 0.01
        assert answer.widest([base, other], "base", 31, 0) == math.inf
        assert answer.widest([base], "base", 10, 0) == math.inf
        assert answer.widest([other], "base", 10, 0) == math.inf


IDLE, SLOW, CROWDED = State(1.0, 0), State(0.5, 0), State(1.0, 500)


@pytest.mark.parametrize(
    ("before", "after", "steal", "disturbed"),
    [
        (IDLE, IDLE, 0.0, False),
        (IDLE, IDLE, None, False),
        (IDLE, State(1.0, None), 0.25, False),
        (IDLE, IDLE, 0.26, True),
        (SLOW, IDLE, 0.0, True),
        (IDLE, SLOW, 0.0, True),
        (IDLE, CROWDED, 0.0, True),
    ],
)
def test_what_disturbs_a_turn(before, after, steal, disturbed):
    assert paired.disturbs(before, after, steal) == disturbed


def test_reason_names_no_place():
    assert reason(OSError("no /home/me/x.so")) == "OSError: no (a path)"
    assert reason(ValueError("")) == "ValueError: "
