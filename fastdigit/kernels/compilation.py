"""Compiling kernels, some of them in a second process.

A *kernel* is a Numba function of seven arrays, as pointers, the number of a piece and the number
of the thread; it returns nothing, and is called by its address. It is compiled for the types of the
arrays' elements.

Numba compiles one function after the other, whatever the number of threads. But what one process
has compiled, another finds on disk. So a training with several threads has half of its kernels
compiled by a second process, as soon as it knows the types, and compiles the others meanwhile.
Where that is impossible, everything is compiled here.
"""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from fastdigit.jit import to_be_kept
from fastdigit.threads import threads_lost

ARRAYS = 7

Kinds = tuple[np.dtype[Any], ...]
"""Of the elements of the arrays; numbers are int64 if they are not given."""

ROOT = str(Path(__file__).parents[2])
"""Where this package is."""
ALONE = ("-I", "-S")
"""Python's options for a process that only imports from where it is told."""
PROGRAM = """
import json, sys
sys.path[:], names, kinds = map(json.loads, sys.argv[1:])
from fastdigit.kernels.compilation import compile_named
compile_named(names, kinds)
"""

PATIENCE = 120.0
"""Seconds to wait for the other process, which needs a few."""

_processes: dict[tuple[Any, Kinds], "subprocess.Popen[bytes]"] = {}


def kinds_of(*kinds: npt.DTypeLike) -> Kinds:
    """Return the types of arrays' elements in the form that the functions here take."""
    return tuple(map(np.dtype, kinds))


def compile_beside(kernels: Sequence[Any], kinds: Kinds) -> None:
    """Have kernels compiled by another process, which `address_of` then waits for.

    Nothing happens if they are compiled already, or could not be kept on disk.
    """
    signature = _signature(kinds)
    missing = [
        kernel
        for kernel in kernels
        if (kernel, kinds) not in _processes and to_be_kept(kernel, signature)
    ]
    # What is "frozen", or embeds Python, would start itself again.
    able = Path(sys.executable or "").stem.startswith("python") and not threads_lost()
    if not missing or not able:
        return
    functions = [kernel.py_func for kernel in missing]
    names = [(function.__module__, function.__name__) for function in functions]
    places = [place for place in sys.path if isinstance(place, str)]
    if ROOT not in places:
        places.insert(0, ROOT)
    words = [json.dumps(word) for word in (places, names, [kind.name for kind in kinds])]
    options = (*ALONE, "-B") if sys.dont_write_bytecode else ALONE
    with suppress(OSError):  # no memory, or no more processes
        process = subprocess.Popen(
            [sys.executable, *options, "-c", PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _processes.update({(kernel, kinds): process for kernel in missing})


def compile_named(names: Sequence[tuple[str, str]], kinds: Sequence[str]) -> None:
    """Compile kernels and keep them on disk: what the other process does."""
    for module, name in names:
        kernel = getattr(import_module(module), name)
        kernel.get_compile_result(_signature(kinds_of(*kinds)))


@atexit.register
def _stop() -> None:
    """End the processes that nobody waited for."""
    for process in list(_processes.values()):
        process.kill()
        process.wait()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_processes.clear)  # they are its parent's


def address_of(kernel: Any, arrays: Sequence[npt.NDArray[Any]]) -> int:
    """Return where the C form of a kernel begins, compiled for the types of these arrays."""
    return _address(kernel, tuple(array.dtype for array in arrays))


@cache
def _address(kernel: Any, kinds: Kinds) -> int:
    """Return where the C form of a kernel begins, compiled for these types of elements."""
    process = _processes.get((kernel, kinds))
    if process:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
    _processes.pop((kernel, kinds), None)
    compiled = kernel.get_compile_result(_signature(kinds))
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name))


def _signature(kinds: Kinds) -> Any:
    pointers = [types.CPointer(numba.from_dtype(kind)) for kind in kinds]
    pointers += [types.CPointer(types.int64)] * (ARRAYS - len(kinds))
    return types.void(*pointers, types.int64, types.int64)
