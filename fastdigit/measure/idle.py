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
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastdigit import processors
from fastdigit.kernels import probes
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.transposition import lanes_of

UNDISTURBED = 0.8
"""Speed of the slowest processor from which on a machine counts as undisturbed. A core that is
shared has 0.5 to 0.7; but the clock, too, goes down with what strangers do elsewhere on the chip:
of 2,200 looks at a busy virtual machine, half had less than 0.83 of the fastest, and a tenth more
than 0.87."""
CHAINS = (0,) * 6
"""Multiply-adds side by side: as many as keep either kind of processor busy; see `probes`."""
ROUNDS = 25_000
"""Of multiply-adds in a call: 30 to 60 microseconds. The fastest of `CALLS` calls counts, since the
first is slow while the processor wakes up; all take half a millisecond."""
CALLS = 8
FIRST_LOOKS = 20
NAPS = (0.005, 0.5)
"""Seconds between two looks of a wait: the first, doubled each time, and the longest."""
STAT = Path("/proc/stat")


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
        self._ticks = _stolen()
        self._began = time.monotonic()

    def share(self) -> float | None:
        """Return it as a share of the time of the processors allowed; None where nothing tells."""
        now = _stolen()
        if self._ticks is None or now is None:
            return None
        ticks = (time.monotonic() - self._began) * os.sysconf("SC_CLK_TCK") * processors.allowed()
        return min(1.0, max(0.0, (now - self._ticks) / ticks))


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
