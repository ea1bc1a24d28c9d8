"""Numba's threads: how many, and one parallel region at a time.

Not every threading layer of Numba survives what Python programs do. "workqueue" aborts the process
when two Python threads start work at once, and GNU's OpenMP kills a forked child that uses it. So
regions take turns, and a child of a process whose threads had started gets none: it works with
one thread, which gives the same bits.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import numba
from numba.core import config
from numba.core.compiler_lock import global_compiler_lock

from fastdigit.processors import allowed

_turn = threading.RLock()
_lost = False
"""Whether the threads stayed behind in the process that this one was forked from."""


@cache
def available_threads() -> int:
    """Return how many threads there can be: the processors allowed, or NUMBA_NUM_THREADS."""
    threads = int(config.NUMBA_NUM_THREADS)
    if os.environ.get("NUMBA_NUM_THREADS"):
        return threads
    return min(threads, allowed())


def threads_lost() -> bool:
    """Return whether this process has to do without, because it was forked from one with them."""
    return _lost


@contextmanager
def parallel_region(threads: int | None = None) -> Iterator[None]:
    """Have so many of Numba's threads for oneself; not to be entered when `threads_lost`."""
    with _turn:
        launch()
        before = numba.get_num_threads()
        numba.set_num_threads(threads or min(before, available_threads()))
        try:
            yield
        finally:
            numba.set_num_threads(before)


WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "20000"}
"""How threads wait for work: about a millisecond awake, which is more than there is between two
iterations, and then asleep. Those that slept at once, often woke up on the processor of the thread
that woke them, and every iteration took twice as long. Those that never sleep take the time of
other processes."""


@cache
def launch() -> None:
    """Start the threads, such that they wait as `WAITING` says, unless the user says otherwise.

    OpenMP reads these variables once, when its library is loaded.
    """
    ours = {} if WAITING.keys() & os.environ.keys() else WAITING
    os.environ.update(ours)
    try:
        numba.get_num_threads()
    finally:
        for name in ours:
            del os.environ[name]


def _before_fork() -> None:
    """Wait until no thread works or compiles: a child would inherit locks that nobody opens."""
    _turn.acquire()
    global_compiler_lock.acquire()


def _after_fork_in_parent() -> None:
    global_compiler_lock.release()
    _turn.release()


def _after_fork_in_child() -> None:
    """Take note of what a child does not inherit: all threads but the one that forked."""
    global _lost
    with suppress(ValueError):  # not started, so the child can start its own
        numba.threading_layer()
        _lost = True
    _after_fork_in_parent()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
