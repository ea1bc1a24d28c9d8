"""Where threads of one compiled call wait for each other."""

from typing import Any

from llvmlite import ir
from numba import types

from fastdigit.jit import njit
from fastdigit.kernels.parallel import count_up
from fastdigit.kernels.simd import operation

Pointer = Any
"""To elements of one type, in compiled code."""

SPINS = 1000
"""Looks at the counter before a thread offers its processor to others: longer than threads that
have one each wait for each other, and short beside the time slice of a thread that has none."""

_give_way = types.ExternalFunction("sched_yield", types.int32())


@operation
def counted(typing: Any, counter: Any) -> Any:
    """Return the integer that a pointer leads to, as other threads have left it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(arguments[0], "acquire", 8)

    return types.int64(types.CPointer(types.int64)), generate


@operation
def _pause(typing: Any) -> Any:
    """Let the other half of the processor's core have its turn, where there is such a thing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if "x86" in builder.module.triple:
            name = "llvm.x86.sse2.pause"
            function = builder.module.globals.get(name)
            if function is None:
                nothing = ir.FunctionType(ir.VoidType(), [])
                function = ir.Function(builder.module, nothing, name)
            builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), generate


@njit(inner=True)
def meet(counter: Pointer, threads: int) -> None:
    """Wait until all threads have come here; what they wrote before is seen by all afterwards.

    Parameters
    ----------
    counter
        Of arrivals, 0 before the first; a multiple of the number of threads after each meeting.
    threads
        All must be running: one that waits to be started keeps the others here for ever.
    """
    if threads > 1:
        wait_for(counter, (count_up(counter) // threads + 1) * threads)


@njit(inner=True)
def wait_for(counter: Pointer, goal: int) -> None:
    """Wait until others have counted as far; what they wrote before is seen afterwards."""
    spins = 0
    while counted(counter) < goal:
        _pause()
        spins += 1
        if spins > SPINS:
            _give_way()
