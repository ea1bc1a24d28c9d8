"""How every Numba function of fastdigit is compiled: its options and its on-disk cache.

The compiled code lives in a directory of its own, named by the versions of Numba and LLVM and by
a hash of the sources: Numba looks only at a function's own file, so after an edit of another
module it would go on running the old machine code of the callers. Where files cannot be written,
one warning is given and functions are compiled in memory; files that are damaged are replaced.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import llvmlite
import numba
from numba.core import config
from numba.core.caching import FunctionCache
from platformdirs import user_cache_path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

P = ParamSpec("P")
R = TypeVar("R")

COMPILED = ("jit.py", "data/*.py", "kernels/*.py")
"""Where compiled functions, and the constants in them, are written."""


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
        _warn(error)
        return None
    return directory


_warned: list[Exception] = []


def _warn(error: Exception) -> None:
    """Say it once, whatever the number of functions."""
    if _warned:
        return
    _warned.append(error)
    warnings.warn(
        f"compiled kernels cannot be kept on disk, so every start compiles again ({error}); "
        "set XDG_CACHE_HOME to a directory that can be written",
        RuntimeWarning,
        stacklevel=3,
    )


class _Cache(FunctionCache):
    """Numba's cache of a function's machine code, except that no file can make a call fail."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function, or None where there is none that can be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling a damaged file may raise
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, if that is possible."""
        try:
            with self._alone():
                try:
                    super().save_overload(sig, data)
                except OSError:
                    raise
                except Exception:  # the index is damaged: begin a new one
                    self.flush()
                    super().save_overload(sig, data)
        except OSError as error:
            _warn(error)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from saving: two at once may give one file name to two types."""
        with open(Path(self.cache_path) / "lock", "wb") as lock:
            if fcntl:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def njit(
    *, parallel: bool = False, inner: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function on its first call; no fastmath, so that the order of sums is fixed.

    Division by zero gives inf or NaN as in NumPy, and other Python threads run meanwhile. An
    `inner` function can be called from compiled code only, which saves a tenth of its compilation.
    """

    def compile_lazily(function: Callable[P, R]) -> Callable[P, R]:
        compiled = numba.njit(
            nogil=True,
            error_model="numpy",
            parallel=parallel,
            no_cpython_wrapper=inner,
            no_cfunc_wrapper=inner,
        )(function)
        directory = cache_directory()
        if directory is not None and not config.DISABLE_JIT:
            before = config.CACHE_DIR
            config.CACHE_DIR = str(directory)
            try:
                compiled._cache = _Cache(function)
            except (OSError, RuntimeError) as error:
                _warn(error)
            finally:
                config.CACHE_DIR = before
        return compiled

    return compile_lazily


@cache
def launch_threads() -> None:
    """Start Numba's threads, such that they sleep while they wait, and do not spin.

    Beside one busy process, spinning made two threads take 32 ms for what one does in 15;
    asleep they take 16 to 22. OpenMP reads the policy once, when its library is loaded.
    """
    name = "OMP_WAIT_POLICY"
    if name in os.environ:
        numba.get_num_threads()
        return
    os.environ[name] = "passive"
    try:
        numba.get_num_threads()
    finally:
        del os.environ[name]
