"""Contenders whose times are drawn by a seed, to be timed in processes of their own.

Nothing is imported here that imports NumPy: each process reads this before its number of threads is
set.
"""

import os
import random
import time
from typing import NamedTuple

from fastdigit.measure.result import Check


class Task(NamedTuple):
    """What they are built from."""

    seed: int = 0
    threads: int = 1


class Drawn:
    """Says that a repetition takes so many seconds, give or take 1 %."""

    dtype = "float32"
    backend = "none"
    prepare_seconds = 0.25
    compile_seconds = 0.0
    difference = 0.0

    def __init__(self, task, seconds=0.05):
        self._seconds = seconds
        self._random = random.Random(task.seed)

    def step(self, repetitions):
        from fastdigit.measure.contenders import Turn

        times = [self._seconds * self._random.uniform(0.99, 1.01) for _ in range(repetitions)]
        return Turn([], [], times)

    def off_by(self):
        return self.difference


class Threaded(Drawn):
    """Takes as much longer as it has threads."""

    def __init__(self, task):
        super().__init__(task, 0.05 * task.threads)


class Slow(Drawn):
    def __init__(self, task):
        super().__init__(task, seconds=0.1)


class Wrong(Drawn):
    difference = 0.5


class Undefined(Drawn):
    difference = float("nan")


class Timeless(Drawn):
    def step(self, repetitions):
        return super().step(repetitions)._replace(seconds=[float("nan")] * repetitions)


class Mortal(Drawn):
    """Its process dies in its third turn."""

    turns = 0

    def step(self, repetitions):
        self.turns += 1
        if self.turns == 3:
            os._exit(9)
        return super().step(repetitions)


class Absent(Drawn):
    installed = False


class Restless(Drawn):
    """Goes on for a moment after its turn, as threads of BLAS and OpenMP do."""

    def step(self, repetitions):
        import threading

        def spin():
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                pass

        threading.Thread(target=spin).start()
        return super().step(repetitions)


def unbuilt(task):
    raise RuntimeError("no compiler in /usr/bin, see https://example.org/help\nand more")


def check(worker):
    return Check(what="sums", difference=worker.ask("off_by"), allowed=0.1)
