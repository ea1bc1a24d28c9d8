"""How every Numba function of fastdigit is compiled: its options and its on-disk cache.

The compiled code lives in a directory of its own, named by the versions of Numba and LLVM and by
a hash of the package's sources: Numba looks only at a function's own file, so after an edit of
another module it would go on running the old machine code of the callers. Where the directory
cannot be written, one warning is given and functions are compiled in memory.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import llvmlite
import numba
from numba.core import config
from platformdirs import user_cache_path

P = ParamSpec("P")
R = TypeVar("R")


COMPILED = ("jit.py", "data/*.py", "kernels/*.py")
"""Where compiled functions and the constants in them are written."""


@cache
def source_key() -> str:
    """Return what the compiled code depends on: the versions, and the sources."""
    digest = hashlib.sha256()
    for pattern in COMPILED:
        for source in sorted(Path(__file__).parent.glob(pattern)):
            digest.update(source.read_bytes())
    return f"numba-{numba.__version__}-llvmlite-{llvmlite.__version__}-{digest.hexdigest()[:16]}"


@cache
def cache_directory() -> Path | None:
    """Return the directory of compiled code, made if need be, or None where there can be none."""
    try:
        directory = user_cache_path("fastdigit") / "compiled" / source_key()
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(f"no permission to write in {directory}")
    except (OSError, RuntimeError) as error:
        warnings.warn(
            f"compiled kernels cannot be kept on disk, so every start compiles again ({error}); "
            "set XDG_CACHE_HOME to a directory that can be written",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return directory


def njit(*, parallel: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function on its first call; no fastmath, so that the order of sums is fixed.

    Division by zero gives inf or NaN as in NumPy, and other Python threads run meanwhile.
    """

    def compile_lazily(function: Callable[P, R]) -> Callable[P, R]:
        directory = cache_directory()
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "parallel": parallel}
        before = config.CACHE_DIR
        config.CACHE_DIR = str(directory or "")
        try:
            compiled: Callable[P, R] = numba.njit(cache=directory is not None, **options)(function)
        finally:
            config.CACHE_DIR = before
        return compiled

    return compile_lazily
