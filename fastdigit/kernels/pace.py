"""How many threads are worth it just now: all of them, or one, as other processes need processors.

Threads that meet several times in a step wait for the slowest; if one of them has to share its
processor with another program, two take longer than one alone. Which is faster is measured now and
then, on a few steps that have to be made anyway, and changes no result.
"""

from typing import NamedTuple

ASKED_EVERY = 16
"""Calls from one trial of the other choice to the next; the trial is so small a part of a call."""
BETTER = 0.9
"""Share of the time that the other choice must need to be taken: less would be the noise."""


class Stretch(NamedTuple):
    """So many steps with so many threads."""

    threads: int
    steps: int


class Pace:
    """Chooses between some threads and one.

    Parameters
    ----------
    threads
        How many there are.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._chosen = threads
        self._calls = 0
        self._trial: float | None = None

    def plan(self, steps: int) -> list[Stretch]:
        """Return how to make some steps: mostly as chosen, now and then a few otherwise."""
        self._calls += 1
        self._trial = None
        few = steps // ASKED_EVERY
        if self._most == 1 or not few or self._calls % ASKED_EVERY != ASKED_EVERY // 2:
            return [Stretch(self._chosen, steps)]
        return [Stretch(self._other(), few), Stretch(self._chosen, steps - few)]

    def note(self, stretch: Stretch, seconds: float) -> None:
        """Take note of how long it took, and change the choice if the other one was faster."""
        each = seconds / stretch.steps
        if stretch.threads != self._chosen:
            self._trial = each
        elif self._trial is not None and self._trial < BETTER * each:
            self._chosen = self._other()

    def _other(self) -> int:
        return 1 if self._chosen > 1 else self._most
