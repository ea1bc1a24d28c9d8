"""A process of its own for each contender, asleep between its turns.

So no contender inherits another's memory, threads or warm caches, and all have the same number of
threads. This module is imported in the child before the number of threads is set, so it must not
import numpy, nor anything that does.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from fastdigit.measure import threads

if TYPE_CHECKING:
    import numpy.typing as npt

    from fastdigit.measure.contenders import Contender, Task, Turn
    from fastdigit.measure.revision import Place

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_SPIN = 1.0
NAP = 0.002
"""Seconds in which threads that are asleep take no time of a processor."""
TASKS = Path("/proc/self/task")

_contender: "Contender"
"""The one that lives in this child."""
_make: Callable[[Any], Any]
"""What built it."""


class Ready(NamedTuple):
    """What a contender tells of itself once it is built."""

    dtype: str
    backend: str
    prepare_seconds: float
    compile_seconds: float
    blas_threads: int | None
    """As found in the child; None where threadpoolctl is not installed."""
    threading_layer: str | None
    """Numba's, once its threads have run."""
    pid: int
    import_seconds: float | None = None
    """Of the package that was named, before anything else was imported."""
    compiled: dict[str, int] | None = None
    """"hits" and "misses" of the cache of compiled kernels."""


class Worker:
    """A contender in a child process; leave it by `close`, or `kill` if it may be at work.

    Every method raises `ChildProcessError` if the child has died, and what the contender raises.

    Parameters
    ----------
    name
        Of the contender.
    task
        What it is built from; anything that tells a number of ``threads``.
    constructor
        Builds it, in the child; by default what CONTENDERS has under the name. If it has a
        ``place``, that is entered before anything is imported; see `revision.Place`.
    package
        To be imported before it, and timed.
    """

    def __init__(
        self,
        name: str,
        task: Any,
        constructor: Callable[[Any], Any] | None = None,
        package: str | None = None,
    ) -> None:
        self.name = name
        self.threads: int = task.threads
        self._executor = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(task.threads, getattr(constructor, "place", None)),
        )
        self._processes: list[Any] = []
        try:
            # In a call of its own: what the task is made of would be imported with it.
            seconds = self._call(_import, package) if package else None
            ready = self._call(_build, name, task, constructor)
            self.ready = ready._replace(import_seconds=seconds)
        except BaseException:
            self.kill()
            raise

    def step(self, iterations: int, warm_up: int = 0) -> "Turn":
        """Let the contender train on, and wait for its records; before it, so much without any."""
        return self._call(_step, iterations, warm_up)

    def parameters(self) -> "npt.NDArray[Any]":
        """Return the weights so far, flat."""
        parameters: npt.NDArray[Any] = self.ask("parameters")
        return parameters

    def ask(self, method: str) -> Any:
        """Return what a method of the contender returns that takes no arguments."""
        return self._call(_ask, method)

    def learn(self, task: "Task") -> "npt.NDArray[Any]":
        """Return the weights of another contender of this kind after one iteration of a task."""
        return self._call(_learn, task)

    def close(self) -> None:
        """End the child once it has finished."""
        self._executor.shutdown(cancel_futures=True)

    def kill(self) -> None:
        """End the child now, whatever it is doing."""
        for process in self._processes:
            process.terminate()
        self.close()

    def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        before = set(multiprocessing.active_children())
        with _uninterrupted():
            try:
                future = self._executor.submit(function, *args, **kwargs)
                self._processes += set(multiprocessing.active_children()) - before
            except BrokenProcessPool as error:
                raise self._died() from error
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise self._died() from error
        except KeyboardInterrupt:
            self.kill()
            raise

    def _died(self) -> ChildProcessError:
        codes = [process.exitcode for process in self._processes]
        return ChildProcessError(
            f"the process of contender {self.name} has died (exit code {codes[-1:] or 'unknown'}); "
            "it was killed, perhaps for want of memory: use fewer --rows or --contenders"
        )


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while a child may be starting.

    A child inherits what is blocked, so that Ctrl-C in the terminal reaches the parent alone, even
    before the child's first line. Another thread of the parent may still receive the signal; the
    parent then waits until the child has been told all it needs.
    """
    # The resource tracker, when it starts, would unblock the signal again.
    resource_tracker.ensure_running()
    in_main = threading.current_thread() is threading.main_thread()
    held: list[tuple[Any, ...]] = []
    handler = signal.getsignal(signal.SIGINT)
    if in_main:
        signal.signal(signal.SIGINT, lambda *what: held.append(what))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if in_main:
            signal.signal(signal.SIGINT, handler)
            if held and callable(handler):
                handler(*held[0])


def _begin(number_of_threads: int, place: "Place | None") -> None:
    """Prepare the child, before numpy is imported there."""
    if "numpy" in sys.modules:
        raise RuntimeError("numpy was imported before its number of threads could be set")
    threads.limit(number_of_threads)
    threads.confine(number_of_threads)
    if place is not None:
        place.enter()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End the child when its parent is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _import(package: str) -> float:
    started = time.perf_counter()
    import_module(package)
    return time.perf_counter() - started


def _build(name: str, task: Any, constructor: Callable[[Any], Any] | None) -> Ready:
    global _contender, _make
    from fastdigit.measure.contenders import CONTENDERS
    from fastdigit.measure.machine import blas_threads, compiled, threading_layer

    _make = constructor or CONTENDERS[name]
    _contender = _make(task)
    _settle()
    return Ready(
        _contender.dtype,
        _contender.backend,
        _contender.prepare_seconds,
        _contender.compile_seconds,
        blas_threads(),
        threading_layer(),
        os.getpid(),
        compiled=compiled(),
    )


def _step(iterations: int, warm_up: int) -> "Turn":
    if warm_up:
        _contender.step(warm_up)
    turn = _contender.step(iterations)
    _settle()
    return turn


def _learn(task: "Task") -> "npt.NDArray[Any]":
    from fastdigit.measure.contenders import learned

    found = learned(_make, task)
    _settle()
    return found


def _settle() -> None:
    """Wait until the threads of this process are asleep, so that the next turn is undisturbed.

    Threads of BLAS and OpenMP go on spinning after their work: those of OpenBLAS for 2**28 cycles,
    0.13 s at 2 GHz, which is longer than a whole turn of the fused kernels.
    """
    deadline = time.monotonic() + LONGEST_SPIN
    while time.monotonic() < deadline:
        before = time.process_time()
        time.sleep(NAP)
        if time.process_time() - before < NAP / 4 and not _running():
            return


def _running() -> bool:
    """Return whether another thread would run if it had a processor; False if nothing tells."""
    own = str(threading.get_native_id())
    try:
        others = [task / "stat" for task in TASKS.iterdir() if task.name != own]
        # The state follows the name, which is in parentheses and may contain anything.
        return any(stat.read_text().rpartition(") ")[2].startswith("R") for stat in others)
    except OSError:  # no such directory, or a thread that has just ended
        return False


def _ask(method: str) -> Any:
    return getattr(_contender, method)()
