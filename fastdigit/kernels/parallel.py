"""Running a compiled kernel over fixed pieces of work, on several threads.

All kernels (see `compilation`) are called through one small parallel function, which knows them by
address: so Numba's parallel machinery is compiled once for all of them, and not again for every
kernel and type.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import prange, types

from fastdigit.jit import njit
from fastdigit.kernels.compilation import ARRAYS, address_of
from fastdigit.kernels.simd import advance, operation
from fastdigit.threads import available_threads as available_threads
from fastdigit.threads import parallel_region, threads_lost

PIECES = 64
"""Into which images, and sums, are cut at most, by however many threads they are worked on."""

FEWEST = 24
"""Groups of images in a piece at least, if there are so many. Each piece begins with sums of its
own, and ends by adding them to others: 10,000 images took a seventh longer in 64 of them."""

Array = npt.NDArray[Any]


def checked_threads(threads: int | None) -> int:
    """Return the number of threads to use: by default all that are available.

    Raises
    ------
    ValueError
        If there are not so many.
    """
    available = available_threads()
    if threads is not None and threads > available:
        raise ValueError(
            f"threads={threads}, but between 1 and {available} can be used here; to use more, set "
            f"NUMBA_NUM_THREADS={threads} in the environment before Python starts"
        )
    return 1 if threads_lost() else threads or available


def pieces_of(groups: int) -> int:
    """Return into how many pieces so many groups of images are cut, a power of 2."""
    pieces = PIECES
    while pieces > 1 and groups < FEWEST * pieces:
        pieces //= 2
    return pieces


class Call:
    """A kernel and what it works on, looked up once for many calls.

    Parameters
    ----------
    kernel
        A function compiled by `jit.njit`.
    arrays
        Up to seven C-contiguous arrays, of which the kernel gets pointers. They are not checked.
    pieces
        How many there are. Which thread gets which is not fixed.
    threads
        How many threads work on them; their numbers are below that.
    """

    def __init__(self, kernel: Any, arrays: Sequence[Array], pieces: int, threads: int) -> None:
        self._kernel, self._arrays = kernel, arrays
        self._pieces, self._threads = pieces, threads
        self._taken = np.zeros(threads, np.int64)
        self._address: int | None = None

    def prepare(self) -> int:
        """Return the kernel's address. The first call may compile it."""
        if self._address is None:
            pointers = [array.ctypes.data for array in self._arrays]
            self._pointers = tuple(pointers + [0] * (ARRAYS - len(pointers)))
            self._counters = self._taken.ctypes.data
            self._address = address_of(self._kernel, self._arrays)
        return self._address

    def __call__(self) -> None:
        """Work on all pieces; returns when all are done. The first call may compile the kernel."""
        address = self.prepare()
        self._taken.fill(0)
        work = address, self._pointers, self._pieces, self._counters
        if self._threads == 1 or threads_lost():
            _work(*work, 0, self._threads)
            return
        with parallel_region(self._threads):
            _share(*work, self._threads)


def run(kernel: Any, arrays: Sequence[Array], pieces: int, threads: int) -> None:
    """Call a kernel once for each piece; see `Call`."""
    Call(kernel, arrays, pieces, threads)()


@operation
def call(typing: Any, address: Any, words: Any) -> Any:
    """Call the C function at an address with a tuple of integers and pointers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = [builder.extract_value(arguments[1], i) for i in range(len(words))]
        form = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(arguments[0], form.as_pointer()), values)
        return context.get_dummy_value()

    return types.none(types.int64, words), generate


def _changed(builder: Any, how: str, place: Any, value: Any) -> Any:
    """Change an integer with no thread in between, and return what it was.

    What a thread wrote before is seen by those that change the integer after it.
    """
    return builder.atomic_rmw(how, place, value, "acq_rel")


@operation
def count_up(typing: Any, counter: Any) -> Any:
    """Return the integer that a pointer leads to, and add one to it; see `_changed`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _changed(builder, "add", arguments[0], ir.IntType(64)(1))

    return types.int64(types.CPointer(types.int64)), generate


@operation
def set_bits(typing: Any, place: Any, bits: Any) -> Any:
    """Set bits of the integer that a pointer leads to, and return what it was; see `_changed`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _changed(builder, "or", *arguments)

    return types.int64(types.CPointer(types.int64), types.int64), generate


@operation
def clear_bits(typing: Any, place: Any, bits: Any) -> Any:
    """Clear bits of the integer that a pointer leads to, and return what it was; see `_changed`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, bits = arguments
        return _changed(builder, "and", place, builder.not_(bits))

    return types.int64(types.CPointer(types.int64), types.int64), generate


@operation
def _at_address(typing: Any, address: Any) -> Any:
    """Return a pointer to the integers at an address."""
    place = types.CPointer(types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(place))

    return place(types.int64), generate


@njit()
def _work(
    kernel: int, arrays: tuple[int, ...], pieces: int, taken: int, thread: int, threads: int
) -> None:
    """Work on one piece after another, until all are taken: one's own share first.

    So a thread works on neighbours, and on the same pieces in each pass.
    """
    for turn in range(threads):
        share = (thread + turn) % threads
        first, end = pieces * share // threads, pieces * (share + 1) // threads
        counter = advance(_at_address(taken), share)
        piece = first + count_up(counter)
        while piece < end:
            call(kernel, (*arrays, piece, np.int64(thread)))
            piece = first + count_up(counter)


@njit(parallel=True)
def _share(kernel: int, arrays: tuple[int, ...], pieces: int, taken: int, threads: int) -> None:
    """Let each thread take pieces: one that has to wait for its processor holds up but one."""
    for thread in prange(threads):
        _work(kernel, arrays, pieces, taken, np.int64(thread), threads)  # type: ignore[arg-type]
