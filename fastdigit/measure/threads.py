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
