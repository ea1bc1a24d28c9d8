"""How every Numba function of fastdigit is compiled: its options and its on-disk cache.

The compiled code lives in a directory of its own, named by the versions of Numba and LLVM and by
a hash of the sources: Numba looks only at a function's own file, so after an edit of another
module it would go on running the old machine code of the callers. Where files cannot be written,
one warning is given and functions are compiled in memory; files that are damaged are replaced.
What no version has used for a month is removed.
"""

import ctypes
import hashlib
import os
import re
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import llvmlite
import numba
from llvmlite import binding
from numba import types
from numba.core import config
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys
from platformdirs import user_cache_path

from fastdigit.inner import InnerCompiler
from fastdigit.interrupts import ENDING

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

P = ParamSpec("P")
R = TypeVar("R")

COMPILED = ("inner.py", "jit.py", "data/*.py", "kernels/*.py")
"""Where compiled functions, and the constants in them, are written."""

DIRECTORY = re.compile(r"numba-[^/]+-llvmlite-[^/]+-[0-9a-f]{16}")
KEPT = 30 * 24 * 3600
"""Seconds without use after which the code of another version is removed."""


@cache
def compiled_features() -> frozenset[str]:
    """Return the names of what Numba's code may contain beyond the basic instructions."""
    if config.CPU_FEATURES is not None:
        names = config.CPU_FEATURES.split(",")
        return frozenset(name.strip()[1:] for name in names if name.strip().startswith("+"))
    try:
        found = binding.get_host_cpu_features()
    except RuntimeError:
        return frozenset()
    return frozenset(name for name, present in found.items() if present)


REQUEST_PERMISSION, TILE_DATA = 0x1023, 18
"""Of Linux: `arch_prctl`'s number of the request, and that of the state of the matrix unit."""
ARCH_PRCTL = 158


@cache
def matrix_unit() -> bool:
    """Return whether code may use the processor's matrix unit (AMX), after asking the system.

    Linux gives each process leave to use it on request (Documentation/arch/x86/xstate.rst), since
    its state is large. ``FASTDIGIT_MATRIX_UNIT=0`` does without it; all results stay the same.
    """
    if os.environ.get("FASTDIGIT_MATRIX_UNIT") == "0" or sys.platform != "linux":
        return False
    if not {"amx-tile", "amx-int8", "avx512f"} <= compiled_features():
        return False
    system = ctypes.CDLL(None, use_errno=True)
    return bool(system.syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0)


@cache
def source_key() -> str:
    """Return what the compiled code depends on: the versions, the sources, and the matrix unit.

    The processor's name and features are in Numba's own key.
    """
    digest = hashlib.sha256(b"matrix unit" if matrix_unit() else b"")
    for pattern in COMPILED:
        for source in sorted(Path(__file__).parent.glob(pattern)):
            digest.update(source.read_bytes())
    return f"numba-{numba.__version__}-llvmlite-{llvmlite.__version__}-{digest.hexdigest()[:16]}"


@cache
def cache_directory() -> Path | None:
    """Return the directory of compiled code, made if need be, or None where there can be none."""
    try:
        directory = user_cache_path("fastdigit") / "compiled" / source_key()
        if not directory.exists():
            directory.mkdir(parents=True, exist_ok=True)
            _remove_unused(directory.parent)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(f"no permission to write in {directory}")
    except (OSError, RuntimeError) as error:
        _warn(error)
        return None
    with suppress(OSError):
        os.utime(directory)  # its time is that of its last use
    return directory


def _remove_unused(compiled: Path) -> None:
    """Remove the code of versions that nobody used for long, and nothing else."""
    with suppress(OSError):
        for directory in compiled.iterdir():
            unused = time.time() - directory.lstat().st_mtime
            if unused > KEPT and DIRECTORY.fullmatch(directory.name):
                shutil.rmtree(directory, ignore_errors=True)  # refuses links


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
        """Return the compiled function, or None where there is none that can be read.

        Numba's own method first imports all that a compiler may need, SciPy included, which takes
        0.7 s. Machine code needs no more than Numba's runtime; what is compiled later imports
        the rest by itself.
        """
        try:
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)
        except Exception:  # whatever unpickling a damaged file may raise
            return None

    def holds(self, sig: Any, target_context: Any) -> bool:
        """Return whether there is a compiled function that can be read."""
        try:
            key = self._index_key(sig, target_context.codegen())
            return self._cache_file.load(key) is not None
        except Exception:
            return False

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


_holding = False


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold Ctrl-C and its like back until a compilation has ended.

    LLVM calls back into Python meanwhile, and what a signal's handler raises there is lost, or
    leaves a function half compiled.
    """
    global _holding
    if _holding or threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[Any, ...]] = []
    handlers: dict[int, Callable[..., Any]] = {}
    for number in ENDING:
        handler = signal.getsignal(number)
        if callable(handler):
            handlers[number] = handler
    _holding = True
    try:
        for number in handlers:
            signal.signal(number, lambda *what: arrived.append(what))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _holding = False
        for what in arrived[:1]:
            handlers[what[0]](*what)


def to_be_kept(compiled: Any, signature: Any) -> bool:
    """Return whether a function has yet to be compiled, and will be kept on disk then."""
    kept = getattr(compiled, "_cache", None)
    if not isinstance(kept, _Cache) or signature.args in compiled.overloads:
        return False
    return not kept.holds(signature, compiled.targetctx)


def _for_any_value(signature: Any) -> Any:
    """Return the same types of arguments, where Numba has types of one value.

    It tries those first, and would compile a function that is called with 0 and with others twice.
    """
    return tuple(map(types.unliteral, signature)) if isinstance(signature, tuple) else signature


def njit(
    *, parallel: bool = False, kernel: bool = False, inner: bool = False, inlined: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function on its first call; no fastmath, so that the order of sums is fixed.

    Division by zero gives inf or NaN as in NumPy, and other Python threads run meanwhile. A
    `kernel` is called by its address alone, as `kernels.parallel` does. An `inner` function can be
    called from compiled code only; see `fastdigit.inner`. One that is also `inlined` is copied to
    where it is called: what it is given need not be written to memory.
    """

    def compile_lazily(function: Callable[P, R]) -> Callable[P, R]:
        compiled = numba.njit(
            nogil=True,
            error_model="numpy",
            parallel=parallel,
            forceinline=inlined,
            no_cpython_wrapper=inner or kernel,
            no_cfunc_wrapper=inner,
            pipeline_class=InnerCompiler if inner else None,
        )(function)
        compile_now = getattr(compiled, "compile", None)
        if compile_now is not None:

            def compile_undisturbed(signature: Any) -> Any:
                with _signals_held():
                    return compile_now(_for_any_value(signature))

            compiled.compile = compile_undisturbed
        directory = None if inner else cache_directory()
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
