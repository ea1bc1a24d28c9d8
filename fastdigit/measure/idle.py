"""Whether this machine has its full speed right now, and waiting until it has.

Three things slow a measurement down, and only two of them can be read from the system: other
processes here, and time that the hypervisor gives to other machines ("steal"). The third stands in
no counter: strangers on the second thread of the same core leave us between 0.6 and 1.0 of its
arithmetic, on each processor by itself, for seconds or minutes. So a short loop of multiply-adds
runs on all processors at once, and its speed is compared with the fastest that was ever seen.
"""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastdigit import processors
from fastdigit.kernels import probes
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.transposition import lanes_of

UNDISTURBED = 0.6
"""Speed of the slowest processor from which on a machine counts as undisturbed. A core of which a
stranger takes half has 0.5. Less than the full speed is usual: of 2,200 looks at a busy virtual
machine, half had less than 0.83, since the clock, too, goes down with what others do elsewhere on
the chip. What remains slows both turns of a round alike, and widens the interval of their ratio."""
CHAINS = (0,) * 6
"""Multiply-adds side by side: as many as keep either kind of processor busy; see `probes`."""
ROUNDS = 25_000
"""Of multiply-adds in a call: 30 to 60 microseconds. The fastest of `CALLS` calls counts, since the
first is slow while the processor wakes up; all take half a millisecond."""
CALLS = 8
FIRST_LOOKS = 20
MOMENT = 0.002
"""Seconds after which another process that was running counts, if it is still there."""
NAPS = (0.005, 0.5)
"""Seconds between two looks of a wait: the first, doubled each time, and the longest."""
RECENT = 1.0
"""Seconds after which steal is believed: it is told in ticks of 10 ms, many for a single turn."""
STAT = Path("/proc/stat")

Mark = tuple[float, int | None]
"""A time, and the ticks stolen until then."""


class State(NamedTuple):
    """What was found at one moment."""

    speed: float
    """Of the slowest of the processors that may be used, as a share of the fastest ever seen."""
    others: int | None
    """Processes beside this one that were running or ready to; None where nothing tells."""

    @property
    def disturbance(self) -> str | None:
        """What disturbs, in words; None if nothing does."""
        if self.others is not None and self.others > _spare():
            return f"{self.others} other process{'es' * (self.others > 1)} running"
        if self.speed < UNDISTURBED:
            return f"a processor at {self.speed:.2f} of its full speed"
        return None


class Watch:
    """Looks at the machine, and remembers the fastest speed; make one for a whole run.

    To make it compiles the loop if need be, and looks for the first time. All processors are held
    against the fastest of them: where some are slower by their make, leave them out by the
    affinity of this process.
    """

    def __init__(self) -> None:
        self._numbers = aligned(lanes_of("float32") * len(CHAINS), "float32")
        self._numbers.fill(0.5)
        self._shortest = np.inf
        self._work()
        for _ in range(FIRST_LOOKS):
            self.look()

    def look(self) -> State:
        """Return how fast the processors are now; takes 1 ms, and leaves no thread behind."""
        places = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        count = len(places) or processors.allowed()
        others = _others()  # before there are threads of ours that end
        if others:
            # A worker that has just answered still runs for a moment.
            time.sleep(MOMENT)
            others = min(others, _others() or 0)
        found = [np.inf] * count
        together = threading.Barrier(count)

        def work(number: int) -> None:
            if places:
                os.sched_setaffinity(0, {places[number]})
            together.wait()
            found[number] = self._work()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._shortest = min(self._shortest, *found)
        return State(self._shortest / max(found), others)

    def wait(self, seconds: float) -> State:
        """Return as soon as nothing disturbs, or after so many seconds, with what was found."""
        end = time.monotonic() + seconds
        nap, longest = NAPS
        while (state := self.look()).disturbance and time.monotonic() + nap < end:
            time.sleep(nap)
            nap = min(2 * nap, longest)
        return state

    def _work(self) -> float:
        """Return the seconds of the fastest call."""
        seconds = []
        for _ in range(CALLS):
            started = time.perf_counter()
            probes.multiply_add(self._numbers, CHAINS, ROUNDS)
            seconds.append(time.perf_counter() - started)
        return min(seconds)


class Steal:
    """Time that the hypervisor gives to other machines, from when this is made."""

    def __init__(self) -> None:
        self._first = (time.monotonic(), _stolen())
        self._recent = deque([self._first])

    def share(self) -> float | None:
        """Return it as a share of the time of the processors allowed; None where nothing tells."""
        return _share(self._first, (time.monotonic(), _stolen()))

    def recent(self) -> float | None:
        """Return the share since this was asked last, or at least of the last `RECENT` seconds.

        None, too, while this is younger.
        """
        now = (time.monotonic(), _stolen())
        self._recent.append(now)
        while len(self._recent) > 2 and now[0] - self._recent[1][0] >= RECENT:
            self._recent.popleft()
        first = self._recent[0]
        return _share(first, now) if now[0] - first[0] >= RECENT else None


def _share(before: Mark, now: Mark) -> float | None:
    """Return how much was stolen between two times, as a share."""
    if before[1] is None or now[1] is None:
        return None
    ticks = (now[0] - before[0]) * os.sysconf("SC_CLK_TCK") * processors.allowed()
    return min(1.0, max(0.0, (now[1] - before[1]) / ticks))


def _spare() -> int:
    """Return how many processors others may use without taking one from us."""
    return max(0, (os.cpu_count() or 1) - processors.allowed())


def _others() -> int | None:
    running = next((line.split()[1] for line in _stat() if line.startswith("procs_running")), None)
    return None if running is None else max(0, int(running) - 1)


def _stolen() -> int | None:
    """Return the ticks that were stolen from the processors allowed, since they were started."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    rows = [line.split() for line in _stat() if re.match(r"cpu\d", line)]
    ticks = [int(row[8]) for row in rows if row[0] in mine and len(row) > 8]
    return sum(ticks) if ticks else None


def _stat() -> Iterator[str]:
    try:
        yield from STAT.read_text().splitlines()
    except OSError:
        return
