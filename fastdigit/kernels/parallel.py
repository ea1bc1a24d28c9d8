"""Running a compiled kernel over fixed pieces of work, on several threads.

A *kernel* is a Numba function of seven arrays, as pointers, the number of a piece and the number
of the thread; it returns nothing. All kernels are called through one small parallel function, which
knows them by address: so Numba's parallel machinery is compiled once for all of them, and not
again for every kernel and type.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import get_thread_id, prange, types
from numba.core import config

from fastdigit.jit import launch_threads, njit
from fastdigit.kernels.simd import operation

ARRAYS = 7

PIECES = 64
"""Into which images, and sums, are cut, by however many threads they are worked on."""

Array = npt.NDArray[Any]


def available_threads() -> int:
    """Return how many threads a kernel may use: the processors allowed, or NUMBA_NUM_THREADS."""
    return int(config.NUMBA_NUM_THREADS)


def checked_threads(threads: int | None) -> int:
    """Return the number of threads to use: by default all that are available.

    Raises
    ------
    ValueError
        If there are not so many.
    """
    available = available_threads()
    if threads is None:
        return available
    if threads > available:
        raise ValueError(
            f"threads={threads}, but between 1 and {available} can be used here; to use more, set "
            f"NUMBA_NUM_THREADS={threads} in the environment before Python starts"
        )
    return threads


def run(kernel: Any, arrays: Sequence[Array], pieces: int, threads: int) -> None:
    """Call a kernel for each piece; returns when all are done.

    Parameters
    ----------
    kernel
        A function compiled by `jit.njit`. It is compiled for the types of the arrays' elements.
    arrays
        Up to seven C-contiguous arrays, of which the kernel gets pointers. They are not checked.
    pieces
        How many there are. Which thread gets which is not fixed.
    threads
        How many threads work on them.
    """
    kinds = tuple(array.dtype for array in arrays)
    addresses = [array.ctypes.data for array in arrays] + [0] * (ARRAYS - len(arrays))
    address = _address(kernel, kinds)
    launch_threads()
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        _run(address, *addresses, pieces)  # type: ignore[call-arg]
    finally:
        numba.set_num_threads(before)


@cache
def _address(kernel: Any, kinds: tuple[np.dtype[Any], ...]) -> int:
    """Return where the C form of a kernel begins, compiled for these element types."""
    pointers = [types.CPointer(numba.from_dtype(kind)) for kind in kinds]
    pointers += [types.CPointer(types.int64)] * (ARRAYS - len(kinds))
    compiled = kernel.get_compile_result(types.void(*pointers, types.int64, types.int64))
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name))


@operation
def _call(typing: Any, address: Any, words: Any) -> Any:
    """Call the C function at an address with a tuple of integers or pointers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = [builder.extract_value(arguments[1], i) for i in range(len(words))]
        form = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(arguments[0], form.as_pointer()), values)
        return context.get_dummy_value()

    return types.none(types.int64, types.UniTuple(types.int64, len(words))), generate


@njit(parallel=True)
def _run(kernel: int, a: int, b: int, c: int, d: int, e: int, f: int, g: int, pieces: int) -> None:
    for piece in prange(pieces):
        _call(kernel, (a, b, c, d, e, f, g, np.int64(piece), np.int64(get_thread_id())))
