"""How many threads the libraries may use; imports none of them, since they read it only once."""

import os

from fastdigit import processors

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def allowed() -> int:
    """Return the threads to use by default: NUMBA_NUM_THREADS, or the processors allowed."""
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    return processors.allowed()


def limit(threads: int) -> None:
    """Give BLAS, OpenMP and Numba that many threads; works only before they are imported."""
    for variable in VARIABLES:
        os.environ[variable] = str(threads)


def confine(threads: int) -> None:
    """Keep this process to as many of its processors, where the system can.

    Processors that share their cores with strangers differ in speed for minutes: two processes of
    one thread each, which stay where they first ran, would be compared by that.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
