"""Mini-batch steps: forward, backward and update of one batch after another, in one compiled call.

All threads go through the same phases, and meet where one reads what others have written. What they
divide among them are blocks of units, whose weights, gradients and optimizer's memory then stay in
the caches of one thread; or, where the blocks do not come out even, rows of the batch. Every sum is
formed by one thread in one order, whichever thread that is: so the weights have the same bits at
any number of threads.

The phases are kernels of their own, called by address: in one function the compiler would take
twice as long over them.
"""

from typing import Any

from fastdigit.jit import njit
from fastdigit.kernels.barrier import meet
from fastdigit.kernels.batch import Job, Pointer, layer_at, whole_blocks
from fastdigit.kernels.parallel import call
from fastdigit.kernels.simd import record


@njit(kernel=True)
def descend(
    numbers: Any,
    floats: Pointer,
    images: Pointer,
    words: Pointer,
    lists: Pointer,
    reals: Pointer,
    arrivals: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Make some steps: a kernel of as many pieces as threads, all of which must run at once.

    Parameters
    ----------
    numbers
        A `batch.Job`, a `batch.Layer` for each layer, and the numbers that they point to.
    floats
        What the job points into, aligned.
    images, words, lists, reals
        See `batch.Work`.
    arrivals
        Counter of `barrier.meet`, 0.
    """
    job = record(Job, numbers)
    arrays = (numbers, floats, images, words, lists, reals, arrivals)
    last, first_layer = job.layers - 1, layer_at(numbers, 0)
    # A thread with whole blocks has its own weights and lists, and its own part of the sums of the
    # last layer. Then it needs others only where these sums are added up, and the loss is known.
    whole = whole_blocks(job, first_layer)
    alone = whole and job.sparse and last < 2
    for step in range(-(-job.images // job.batch)):
        first = step * job.layers
        call(job.take_in, (*arrays, first, piece))
        if not alone:
            meet(arrivals, job.threads)
        call(job.forward, (*arrays, first, piece))
        for index in range(1, job.layers):
            if index < last:
                meet(arrivals, job.threads)
            call(job.forward, (*arrays, first + index, piece))
        meet(arrivals, job.threads)
        call(job.score, (*arrays, first + last, piece))
        meet(arrivals, job.threads)
        for index in range(last - 1, -1, -1):
            call(job.back, (*arrays, first + index, piece))
            if index > 0 or not whole:
                meet(arrivals, job.threads)
        call(job.step, (*arrays, first, piece))
        if not alone:
            # The other layers' weights, and what `take_in` writes, were read until here.
            meet(arrivals, job.threads)
        for index in range(1, job.layers):
            call(job.step, (*arrays, first + index, piece))
