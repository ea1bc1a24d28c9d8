"""What this machine can do: its clock, its multiply-adds, and bytes from each cache and memory.

All threads work at once and on nothing else (`kernels.probes`). Whatever else runs on the machine
only slows down, so the highest rate counts that was reached in half a millisecond on end: long
enough to measure, and short enough to lie between two turns of other processes.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import probes
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.transposition import lanes_of
from fastdigit.measure.machine import processor
from fastdigit.measure.threads import allowed

ROW = 64
"""Bytes of a row: a cache line, and what is loaded or stored at once."""
DTYPES = ("float32", "float64")
SWEEPS = 4
"""How often everything is measured: a busy moment then spoils no number as a whole."""
SPAN = 5
"""Calls of a probe in a row over which a rate is taken."""
KIB, MIB = 2**10, 2**20
ASSUMED = {"L1": 32 * KIB, "L2": 512 * KIB, "L3": 0}
"""Cache sizes where the system does not tell them: small ones, which measure no wrong cache."""
LEAST_MEMORY, MOST_MEMORY = 64 * MIB, 512 * MIB
BYTES_A_CALL = {"L1": 24 * MIB, "L2": 8 * MIB, "L3": 2 * MIB, "memory": 2 * MIB}
"""Read from each level in one call: about a tenth of a millisecond, as the rounds below. Calling
takes a thousandth."""
ADDITION_ROUNDS, MULTIPLY_ADD_ROUNDS, UPDATE_ROUNDS = 3_500, 25_000, 500
CHAINS = (12, 6)
"""Multiply-adds side by side: for processors with 32 registers of 512 bits, and for smaller ones.
The faster number counts."""
CROWD = 8
"""Threads for which Python hands out calls without delay; for more, each call does more."""

Calls = Sequence[Callable[[], object]]


class Rates(NamedTuple):
    """What so many threads do at once, all together unless it says otherwise."""

    threads: int
    clock: float
    """Cycles a second of one thread (their mean), while it adds integers."""
    multiply_adds: dict[str, float]
    """"float32" and "float64": multiply-adds of single numbers a second; each is two FLOP."""
    loads: float
    """Rows of 64 bytes a second, from the first cache to registers."""
    updates: float
    """Rows of 64 bytes a second that are loaded, added to and stored again in the first cache."""
    bandwidth: dict[str, float]
    """"L1", "L2", "L3" if there is one, and "memory": bytes read a second, one after the other."""


class Roofline(NamedTuple):
    """What a machine can do."""

    caches: dict[str, int]
    """Bytes of "L1" and "L2" of a core, and of "L3" if there is one."""
    rates: tuple[Rates, ...]
    """For 1, 2, 4... threads, and for as many as there are."""

    def of(self, threads: int) -> Rates:
        """Return what so many threads do.

        Raises
        ------
        ValueError
            If that was not measured.
        """
        for rates in self.rates:
            if rates.threads == threads:
                return rates
        measured = ", ".join(str(rates.threads) for rates in self.rates)
        raise ValueError(f"{threads} threads were not measured, but {measured} were")


class Probe(NamedTuple):
    """Something to be done again and again, by each thread with memory of its own."""

    name: tuple[str, ...]
    operations: float
    """Done by one call."""
    calls: Sequence[Calls]
    """For each thread those that it makes in turn."""


def thread_counts(most: int) -> list[int]:
    """Return 1, 2, 4... below a number, and the number itself."""
    return sorted({most, *(2**k for k in range(most.bit_length()) if 2**k < most)})


def cache_sizes() -> dict[str, int]:
    """Return the bytes of "L1" and "L2" of a core and of "L3"; a guess where nothing tells them."""
    found = {name.removesuffix("d"): _bytes(size) for name, size in processor()["caches"].items()}
    sizes = {level: found.get(level) or assumed for level, assumed in ASSUMED.items()}
    return {level: size for level, size in sizes.items() if size}


def measure(
    threads: int | None = None,
    seconds: float = 2.0,
    told: Callable[[str], object] = lambda text: None,
) -> Roofline:
    """Measure what this machine can do, with 1, 2, 4... threads.

    Parameters
    ----------
    threads
        The most that work at once; by default all that may be used here.
    seconds
        How long to measure. Compiling, which happens once, and touching up to 512 MiB of memory
        come on top; with many threads it may take longer.
    told
        Called with a sentence on what happens next.
    """
    caches = cache_sizes()
    told("compiling the probes, if this is the first time, and touching memory")
    memory = min(max(LEAST_MEMORY, 3 * caches.get("L3", 0) // 2), MOST_MEMORY)
    buffer = aligned(memory // 4, np.float32)
    # Pages that were never written are all the same page of zeros.
    buffer.fill(1)
    probes_of = {
        count: make_probes(buffer, caches, count) for count in thread_counts(threads or allowed())
    }
    for probe in probes_of[1]:
        probe.calls[0][0]()
    # That all threads run at once is rarer than that one does, and needs more time to happen.
    share = seconds / SWEEPS / sum(count * len(found) for count, found in probes_of.items())
    best = {
        count: dict.fromkeys((p.name for p in found), 0.0) for count, found in probes_of.items()
    }
    for sweep in range(SWEEPS):
        told(f"measuring the machine, round {sweep + 1} of {SWEEPS}")
        for count, found in probes_of.items():
            for probe in found:
                best[count][probe.name] = max(best[count][probe.name], rate(probe, count * share))
    return Roofline(caches, tuple(_rates(count, rates) for count, rates in best.items()))


def make_probes(
    buffer: npt.NDArray[np.float32], caches: dict[str, int], threads: int
) -> list[Probe]:
    """Return what so many threads are to do at once, within a buffer larger than all caches.

    Several probes of one name measure the same thing in different ways.
    """
    more = -(-threads // CROWD)
    found = []

    def add(name: tuple[str, ...], operations: float, calls: Sequence[Calls]) -> None:
        found.append(Probe(name, operations, calls))

    rounds = ADDITION_ROUNDS * more
    # The sum is of no interest; that the addend is no constant is.
    additions = partial(probes.add_integers, 3, rounds)
    add(("clock",), probes.ADDITIONS * rounds, [[additions]] * threads)

    rounds = MULTIPLY_ADD_ROUNDS * more
    for dtype in DTYPES:
        for chains in CHAINS:
            numbers = aligned(lanes_of(dtype) * chains, dtype)
            numbers.fill(0.5)
            products = partial(probes.multiply_add, numbers, (0,) * chains, rounds)
            add(("multiply_adds", dtype), lanes_of(dtype) * chains * rounds, [[products]] * threads)

    footprints = {
        "L1": caches["L1"] // 2 * threads,
        "L2": caches["L2"] // 2 * threads,
        "L3": caches.get("L3", 0) // 2,
        "memory": buffer.nbytes,
    }
    for level, footprint in footprints.items():
        if footprint:
            parts = regions(buffer, footprint, threads, BYTES_A_CALL[level])
            size = parts[0][0].nbytes
            rounds = max(1, more * BYTES_A_CALL[level] // size if level in ("L1", "L2") else 1)
            calls = [[partial(probes.read, part, rounds) for part in own] for own in parts]
            add(("bandwidth", level), size * rounds, calls)

    rounds = UPDATE_ROUNDS * more
    parts = regions(buffer, footprints["L1"], threads, BYTES_A_CALL["L1"])
    size = parts[0][0].nbytes
    updates = [[partial(probes.update, part, rounds) for part in own] for own in parts]
    add(("updates",), size / ROW * rounds, updates)
    return found


def regions(
    buffer: npt.NDArray[np.float32], footprint: int, threads: int, largest: int
) -> list[list[npt.NDArray[np.float32]]]:
    """Cut `footprint` bytes of a buffer into equal parts, some for each thread.

    A part has at most `largest` bytes, and a multiple of what `probes.read` takes. The threads'
    parts lie far apart: a processor fetches beyond the end of what it reads, and would take rows
    away from its neighbour.
    """
    unit = ROW * len(probes.STREAMS)
    room = buffer.nbytes // threads // unit * unit
    share = min(footprint // threads // unit * unit, room)
    size = min(share, largest // unit * unit)
    begins = [range(own, own + share - size + 1, size) for own in range(0, room * threads, room)]
    return [[buffer[begin // 4 : (begin + size) // 4] for begin in own] for own in begins]


def rate(probe: Probe, seconds: float) -> float:
    """Return the operations a second of all threads together, at their best.

    Each thread notes when its calls end, so it is known how far all of them are at any time; the
    best of all times in which the first thread makes `SPAN` calls is taken.
    """
    together = threading.Barrier(len(probe.calls))
    places = processors(len(probe.calls))

    def work(calls: Calls, place: set[int]) -> npt.NDArray[np.float64]:
        if place:
            os.sched_setaffinity(0, place)
        together.wait()
        ends = [time.perf_counter()]
        for call in cycle(calls):
            call()
            ends.append(time.perf_counter())
            if ends[-1] - ends[0] >= seconds and len(ends) > SPAN:
                break
        return np.array(ends)

    with ThreadPoolExecutor(len(probe.calls)) as pool:
        ends = list(pool.map(work, probe.calls, places))
    return probe.operations * busiest(ends)


def processors(threads: int) -> list[set[int]]:
    """Return the processor of each thread where each gets one of all, otherwise empty sets.

    On a busy machine, two threads left to the system share one processor for some time.
    """
    if hasattr(os, "sched_getaffinity"):
        places = sorted(os.sched_getaffinity(0))
        if len(places) == threads:
            return [{place} for place in places]
    return [set()] * threads


def busiest(ends: Sequence[npt.NDArray[np.float64]]) -> float:
    """Return the most calls a second of all threads, given when the calls of each one ended.

    Parameters
    ----------
    ends
        For each thread the second in which it began, and those in which its calls ended.
    """
    since, until = ends[0][:-SPAN], ends[0][SPAN:]
    done = np.zeros(len(since))
    for times in ends:
        calls = np.arange(len(times))
        done += np.interp(until, times, calls) - np.interp(since, times, calls)
    return float((done / (until - since)).max())


def _rates(threads: int, best: dict[tuple[str, ...], float]) -> Rates:
    of: dict[str, Any] = {"multiply_adds": {}, "bandwidth": {}}
    for (kind, *detail), value in best.items():
        if detail:
            of[kind][detail[0]] = value
        else:
            of[kind] = value
    loads = of["bandwidth"]["L1"] / ROW
    return Rates(threads, of.pop("clock") / threads, loads=loads, **of)


def _bytes(size: str) -> int:
    """Return what the system writes as "48K"."""
    factor = {"K": KIB, "M": MIB, "G": 2**30}.get(size[-1:].upper(), 1)
    digits = size.rstrip("KMGkmg")
    return int(digits) * factor if digits.isdecimal() else 0
