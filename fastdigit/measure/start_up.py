"""What the first run costs: imports, compilation without a cache, and every later start.

Each is timed in new processes, and by itself. Nothing is imported here that imports NumPy: a child
has to set its number of threads before.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from fastdigit.measure import threads
from fastdigit.measure.revision import Place

IMAGES = 40
"""Trained on: as few as take no time themselves."""
TIMEOUT = 600
"""Seconds after which a start counts as failed."""
CACHES = ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
"""Variables that name the directories of compiled code."""
CALL = "from fastdigit.measure.start_up import child; child()"


class Starter(NamedTuple):
    """Something that is started."""

    library: str
    dtype: str
    package: str
    """What is imported first, as it is imported."""
    contender: str | None = None
    """Of `CONTENDERS` or `PEERS`, which then trains for one iteration."""

    @property
    def installed(self) -> bool:
        """Whether it can be imported."""
        with suppress(ModuleNotFoundError):
            return find_spec(self.package) is not None
        return False


class Start(NamedTuple):
    """A new process, from the first line of Python."""

    import_seconds: float
    """Until its library was imported."""
    first_seconds: float
    """From there to the end of the first iteration: compiling, or loading what is compiled."""
    process_seconds: float
    """All of it, as its parent saw it: the interpreter's start and end included."""


OURS = "fastdigit.kernels.numba_backend"
TRIVIAL = "trivial-njit"

STARTERS: Mapping[str, Starter] = {
    TRIVIAL: Starter("Numba", "float64", "numba"),
    "reference-f64": Starter("numpy", "float64", "numpy", "reference-f64"),
    "dense-f64": Starter("fastdigit", "float64", OURS, "dense-f64"),
    "dense-f32": Starter("fastdigit", "float32", OURS, "dense-f32"),
    "sparse-f64": Starter("fastdigit", "float64", OURS, "sparse-f64"),
    "sparse-f32": Starter("fastdigit", "float32", OURS, "sparse-f32"),
}


def start(
    starter: Starter, cache: Path, number_of_threads: int, place: Place | None = None
) -> Start:
    """Start something in a new process, and return what that took.

    Parameters
    ----------
    starter
        What to start.
    cache
        Where compiled code is looked for and kept; an empty directory for a cold start.
    number_of_threads
        That it uses.
    place
        Of an earlier revision, whose kernels are to be started.

    Raises
    ------
    ChildProcessError
        If it fails, with what it said last.
    """
    job: dict[str, Any] = {"starter": starter, "threads": number_of_threads, "place": None}
    if place:
        job["place"] = [place.revision, str(place.root), str(cache)]
    variables = dict.fromkeys(CACHES, str(cache))
    package = str(Path(__file__).parents[2])
    places = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-c", CALL, json.dumps(job)],
            env={**os.environ, **variables, "PYTHONPATH": places},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildProcessError(f"it had not started after {TIMEOUT} s") from error
    seconds = time.perf_counter() - began
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["it did not say why"]
        raise ChildProcessError(said[0])
    imported, first = json.loads(done.stdout.splitlines()[-1])
    return Start(imported, first, seconds)


def cold(starter: Starter, number_of_threads: int, place: Place | None = None) -> Start:
    """Start something without any compiled code."""
    with tempfile.TemporaryDirectory(prefix="fastdigit-") as cache:
        return start(starter, Path(cache), number_of_threads, place)


def child() -> None:
    """Do in this process what `start` asks for, and print the seconds."""
    job = json.loads(sys.argv[1])
    starter = Starter(*job["starter"])
    threads.limit(job["threads"])
    if job["place"]:
        revision, root, cache = job["place"]
        Place(revision, Path(root), Path(cache)).enter()
    began = time.perf_counter()
    import_module(starter.package)
    imported = time.perf_counter()
    if starter.contender:
        _train(starter.contender, job["threads"])
    else:
        from fastdigit.measure import trivial

        trivial.run()
    print(json.dumps([imported - began, time.perf_counter() - imported]))


def _train(name: str, number_of_threads: int) -> None:
    """Build a contender on a few images, and make one iteration."""
    import numpy as np

    from fastdigit.measure.contenders import CONTENDERS, Task
    from fastdigit.measure.peers import PEERS

    random = np.random.RandomState(0)
    images = random.randint(0, 256, (IMAGES, 784)) * (random.rand(IMAGES, 784) < 0.2)
    labels = (np.arange(IMAGES) % 10).astype(np.uint8)
    task = Task(images.astype(np.uint8), labels, (784, 10, 10), 0, 0.1, number_of_threads)
    table: dict[str, Any] = {**CONTENDERS, **PEERS}
    table[name](task).step(1)
