"""Contenders that take turns until it is clear who is faster, or clear that it is not.

Each lives in a process of its own, warm and asleep while others work. In each round all have one
turn, in random order, after the machine was found undisturbed. The base runs twice, in two
processes: what differs between the two is the noise floor, and no difference inside it counts.
"""

import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from fastdigit.measure import answer, interval, result
from fastdigit.measure.answer import Topic
from fastdigit.measure.entrants import Entrant, Seat, Wrong, admit, fill, level
from fastdigit.measure.idle import UNDISTURBED, State, Steal, Watch
from fastdigit.measure.worker import Worker
from fastdigit.progress import interactive

__all__ = ["Budget", "Entrant", "Topic", "Wrong", "ask"]

MOST_STEAL = 0.25
"""Share of the processors' time in the last second from which on a turn counts as disturbed."""
MOST_WAITING = 0.5
"""Share of the budget that may be spent on waiting for an undisturbed machine."""
UNDISTURBED_ROUNDS = 0.7
"""Share of the fewest rounds that a question may have, which is needed for a verdict."""
LOOKED_AGAIN = 1.2
"""Times as many rounds as when it was last asked whether the intervals are narrow enough."""
AGAIN = "{} (again)"
RULE = (
    "What counts of a turn is the mean of the fastest third of it, if it has three repetitions. "
    f"It is disturbed if, just before or after it, a processor had less than {UNDISTURBED:.0%} "
    "of the fastest speed that was seen, or another process was running, or if the hypervisor "
    f"took more than {MOST_STEAL:.0%} of the processors' time in the second before its end. "
    "Ratios, medians and intervals are of the rounds in which neither turn of two was disturbed, "
    "wherever there are enough of these; otherwise they are of all rounds, and no verdict is given."
)
"""Fixed beforehand, and the same for all."""


class Budget(NamedTuple):
    """How long to go on."""

    seconds: float = 20.0
    """After which no round begins, once there are `least_rounds`; building comes before."""
    least_rounds: int = 10
    """For a verdict, `UNDISTURBED_ROUNDS` of so many have to be undisturbed."""
    most_rounds: int | None = None
    repetitions: int | None = None
    """In a turn; by default as many of each contender as fill `entrants.TURN` seconds."""
    warm_up: int = 1
    """Repetitions before each turn that are not timed."""
    width: float = 0.01
    """Half of an interval, as a share of its ratio, that is narrow enough to stop."""
    patience: float = 2.0
    """Seconds to wait for an undisturbed machine before a round."""

    @property
    def enough(self) -> int:
        """How many undisturbed rounds are needed for a verdict."""
        return math.ceil(UNDISTURBED_ROUNDS * self.least_rounds)


USUAL = Budget()


def disturbs(before: State, after: State, steal: float | None) -> bool:
    """Return whether a turn between two looks was disturbed; see `RULE`."""
    stolen = steal is not None and steal > MOST_STEAL
    return stolen or any(state.disturbance is not None for state in (before, after))


def ask(
    topic: Topic,
    entrants: Sequence[Entrant],
    task: Any,
    check: Callable[[Worker], result.Check],
    base: str,
    *,
    budget: Budget = USUAL,
    seed: int = 0,
    facts: Callable[[Worker], dict[str, Any]] = lambda worker: {},
    watch: Watch | None = None,
    parts: dict[str, float] | None = None,
    progress: bool = True,
) -> result.Question:
    """Build, check and time all entrants, and return the answer.

    Parameters
    ----------
    topic
        What is asked.
    entrants
        In the order in which they are built and checked: one that others are compared with comes
        first.
    task
        What they are built from; can be pickled and has ``threads``.
    check
        Compares what a contender computes with what is right, by `Worker.step`,
        `Worker.parameters` or `Worker.ask`. If the difference is more than is allowed, or NaN,
        or anything is raised, the contender is refused.
    base
        Name of the entrant that ratios are against, and that runs twice.
    budget
        How long to go on.
    seed
        Draws the orders and the samples of the intervals.
    facts
        Returns what else is worth knowing of a contender that was found right.
    watch
        Remembers the fastest speed of the machine; by default a new one.
    parts
        To which the seconds are added that went into "build", "check", "wait" and "time".
    progress
        Whether to show a progress bar.
    """
    parts = {} if parts is None else parts
    seats: list[Seat] = []
    names = [entrant.name for entrant in entrants]

    def checked(worker: Worker) -> result.Check:
        with _spent(parts, "check", out_of="build"):
            return check(worker)

    try:
        with _bar(len(entrants) + 1, "building", progress) as bar, _spent(parts, "build"):
            watch = watch or Watch()
            for entrant in entrants:
                bar.set_postfix_str(entrant.name, refresh=interactive())
                seats.append(admit(entrant, task, checked, facts))
                if why := seats[-1].refused:
                    bar.write(f"{entrant.name} is refused: {why}", file=sys.stderr)
                bar.update()
            if base in names and not (first := seats[names.index(base)]).refused:
                twin = first.entrant._replace(name=AGAIN.format(base))
                seats.append(admit(twin, task, checked, facts))
            bar.update()
        with _bar(100, "timing", progress) as bar, _spent(parts, "time"):
            _play(seats, base, budget, seed, watch, parts, bar)
    finally:
        with _spent(parts, "build"):
            for seat in seats:
                if seat.worker:
                    seat.worker.kill()
    again = seats.pop() if len(seats) > len(entrants) else None
    return answer.question(topic, seats, again, base, task.threads, budget.enough, seed)


def _play(
    seats: Sequence[Seat],
    base: str,
    budget: Budget,
    seed: int,
    watch: Watch,
    parts: dict[str, float],
    bar: Any,
) -> None:
    """Time everyone, round by round, until the budget ends or all intervals are narrow."""
    began, waited = time.monotonic(), parts.get("wait", 0.0)
    for seat in seats:
        fill(seat, budget.repetitions)
    if budget.repetitions is None:
        level([seat for seat in seats if not seat.refused], base)
    order, steal = random.Random(seed), Steal()
    rounds, look_at = 0, budget.least_rounds
    while rounds < budget.least_rounds or time.monotonic() - began < budget.seconds:
        playing = [seat for seat in seats if not seat.refused]
        if not playing or rounds == budget.most_rounds:
            break
        with _spent(parts, "wait", out_of="time"):
            left = MOST_WAITING * budget.seconds - (parts["wait"] - waited)
            state = watch.wait(min(budget.patience, max(0.0, left)))
        for position, seat in enumerate(order.sample(playing, len(playing))):
            bar.set_postfix_str(f"round {rounds + 1}, {seat.entrant.name}", refresh=False)
            state = _turn(seat, position, budget.warm_up, state, watch, steal)
        rounds += 1
        bar.update(_percent(rounds, time.monotonic() - began, budget) - bar.n)
        if rounds >= look_at:
            if answer.widest(playing, base, budget.enough, seed) <= budget.width:
                break
            look_at = math.ceil(LOOKED_AGAIN * rounds)


def _percent(rounds: int, seconds: float, budget: Budget) -> int:
    """Return how much is done, by whichever limit is nearer."""
    shares = [seconds / budget.seconds if budget.seconds else 1.0]
    if budget.most_rounds:
        shares.append(rounds / budget.most_rounds)
    return int(100 * min(1.0, rounds / budget.least_rounds, max(shares)))


def _turn(
    seat: Seat, position: int, warm_up: int, before: State, watch: Watch, steal: Steal
) -> State:
    """Let one contender have its turn, and return the state of the machine after it."""
    turn = seat.step(warm_up)
    share = steal.recent()
    after = watch.look()
    if turn is not None:
        others = [state.others for state in (before, after) if state.others is not None]
        seat.rounds.append(
            result.Round(
                position=position,
                seconds=[round(seconds, 9) for seconds in turn.seconds],
                counted=interval.turn(turn.seconds),
                speed=min(before.speed, after.speed),
                steal=share,
                others=max(others, default=None),
                disturbed=disturbs(before, after, share),
            )
        )
    return after


@contextmanager
def _spent(parts: dict[str, float], name: str, out_of: str | None = None) -> Iterator[None]:
    """Add the seconds to a part, and take them out of the one around it."""
    started = time.perf_counter()
    parts.setdefault(name, 0.0)
    try:
        yield
    finally:
        seconds = time.perf_counter() - started
        parts[name] += seconds
        if out_of:
            parts[out_of] = parts.get(out_of, 0.0) - seconds


def _bar(total: int, description: str, shown: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(
        total=total,
        desc=description,
        disable=not shown,
        dynamic_ncols=True,
        # A rate would say nothing, since some take much longer than others.
        bar_format="{desc} {percentage:3.0f}%|{bar}| [{elapsed}]{postfix}",
        mininterval=0.1 if interactive() else 20,
    )
