"""Who is to be timed: built in a process of its own, shown right, and otherwise refused."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastdigit.measure import interval
from fastdigit.measure.contenders import Turn
from fastdigit.measure.peers import INSTALL
from fastdigit.measure.result import Check, Checked, Round
from fastdigit.measure.worker import Worker

TURN = 0.006
"""Seconds that a turn lasts at least. What disturbs goes on for milliseconds or for minutes: a
longer turn is hardly a more certain one, and many short rounds say more than a few long ones."""
TRIALS = 4
"""Turns that are tried to find out how many repetitions one needs."""
MOST_REPETITIONS = 10_000
LONG = 0.1
"""Seconds of a repetition of which one a turn is enough, if those of all contenders are as long."""


class Wrong(Exception):
    """A contender does not find what is right; says so in a sentence without a subject."""


class Entrant(NamedTuple):
    """Who is to take part."""

    name: str
    library: str
    """Such as "numba"."""
    dtype: str
    make: Callable[[Any], Any]
    """Given the task, in a process of its own, returns a `contenders.Contender`; can be pickled. If
    it has an attribute ``installed`` that is false, it is refused."""
    package: str | None = None
    """What `make` imports, as it is imported, to be timed by itself."""
    threads: int | None = None
    """By default as many as the task says."""

    def own(self, task: Any) -> Any:
        """Return the task as this one is given it."""
        return task if self.threads is None else task._replace(threads=self.threads)


@dataclass
class Seat:
    """An entrant, in its process or refused, and its turns."""

    entrant: Entrant
    worker: Worker | None = None
    refused: str | None = None
    check: Checked | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    repetitions: int = 1
    """In a turn."""
    rounds: list[Round] = field(default_factory=list)

    def refuse(self, why: str) -> None:
        """End its process, and forget what it has done."""
        self.refused = why
        self.rounds.clear()
        if self.worker:
            self.worker.kill()

    def step(self, warm_up: int) -> Turn | None:
        """Have a turn; None, and refused, if anything goes wrong."""
        assert self.worker is not None
        try:
            turn = self.worker.step(self.repetitions, warm_up)
        except Exception as error:  # whatever a library raises; the others go on
            self.refuse(reason(error))
            return None
        bad = [seconds for seconds in turn.seconds if not 0 < seconds < math.inf]
        if bad or len(turn.seconds) != self.repetitions:
            times = f"{bad[0]} s" if bad else f"{len(turn.seconds)} times"
            self.refuse(f"gave {times} for {self.repetitions} repetitions")
            return None
        return turn


def admit(
    entrant: Entrant,
    task: Any,
    check: Callable[[Worker], Check],
    facts: Callable[[Worker], Mapping[str, Any]],
) -> Seat:
    """Build an entrant and check it; see `paired.ask`."""
    seat = Seat(entrant)
    if not getattr(entrant.make, "installed", True):
        seat.refuse(f"not installed; {INSTALL} brings it")
        return seat
    try:
        seat.worker = Worker(entrant.name, entrant.own(task), entrant.make, entrant.package)
        found = check(seat.worker)
        seat.check = _recorded(found)
        if not found["difference"] <= found["allowed"]:
            raise Wrong(
                f"{found['what']} off by {found['difference']:.1e}, more than the "
                f"{found['allowed']:.0e} that is allowed"
            )
        seat.facts.update(facts(seat.worker))
    except Exception as error:  # whatever a library raises
        seat.refuse(reason(error))
    except BaseException:
        seat.refuse("interrupted")
        raise
    return seat


def fill(seat: Seat, repetitions: int | None = None) -> None:
    """Let a turn have so many repetitions; by default as many as make it long enough.

    The fastest of several trials tells how many these are: one that was disturbed would make turns
    too short, and a mean of fewer repetitions is disturbed less often than others are.
    """
    seat.repetitions = repetitions or 1
    seconds: list[float] = []
    while repetitions is None and len(seconds) < TRIALS and not seat.refused:
        if turn := seat.step(warm_up=1):
            seconds.append(min(turn.seconds))
            least = interval.THIRDS if min(seconds) < LONG else 1
            seat.repetitions = max(least, min(math.ceil(TURN / min(seconds)), MOST_REPETITIONS))
            if min(seconds) > 4 * TURN:
                break


def level(seats: Sequence[Seat], base: str) -> None:
    """Give all turns thirds, unless all are long, and those about as fast as the base the same.

    The first repetitions of a turn are slower: of more of them, the mean is less.
    """
    if any(seat.repetitions >= interval.THIRDS for seat in seats):
        for seat in seats:
            seat.repetitions = max(seat.repetitions, interval.THIRDS)
    first = next((seat for seat in seats if seat.entrant.name == base), None)
    for seat in seats:
        if first and first.repetitions / 2 <= seat.repetitions <= 2 * first.repetitions:
            seat.repetitions = first.repetitions


def _recorded(check: Check) -> Checked:
    by = check["difference"]
    finite = by if math.isfinite(by) else None
    return Checked(what=check["what"], difference=finite, allowed=check["allowed"])


def failed(check: Checked | None) -> bool:
    """Return whether something was compared, and is not right."""
    if check is None:
        return False
    return check["difference"] is None or check["difference"] > check["allowed"]


def reason(error: Exception) -> str:
    """Return what went wrong in one line that names no place of this machine or network."""
    line = next(iter(str(error).splitlines()), "")
    line = re.sub(r"\w+://\S+", "(an address)", line)
    line = re.sub(r"(?<![\w.])(/[\w.+-]+)+/?", "(a path)", line)
    return line if isinstance(error, Wrong) else f"{type(error).__name__}: {line}"
