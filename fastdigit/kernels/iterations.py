"""Full-batch iterations: pass after pass, with an update after each, in one compiled call.

The threads take one piece of a pass after the other. Whichever finishes the last piece makes the
update, alone, and opens the next pass: an update takes a hundredth of a pass. So no thread waits
for one that has lost its processor to another program, except for the piece in its hands.

Between compiled passes, Python's own memory is no longer in the caches: to return to it after each
took a tenth of the time of 41,000 images.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit
from fastdigit.kernels.barrier import wait_for
from fastdigit.kernels.compilation import address_of
from fastdigit.kernels.dense import Pointer
from fastdigit.kernels.interface import Score
from fastdigit.kernels.memory import REMEMBERED, Array, Floats, Memory
from fastdigit.kernels.parallel import Call, call, count_up
from fastdigit.kernels.parameters import views
from fastdigit.kernels.simd import advance, lanes, record
from fastdigit.kernels.steps import Learning
from fastdigit.kernels.sweep import Job
from fastdigit.kernels.tree import FREE, SUM, TREE, begin, new_tree
from fastdigit.kernels.update import SETTINGS, Rule, rates_of, settings_of, update

MOST = 64
"""Iterations in a call."""


class Plan(NamedTuple):
    """What is to be done: whole numbers, which follow those of a `tree`.

    Where something `_at` lies is counted in elements, from the beginning of the tree's numbers, or
    of the results.
    """

    iterations: int
    pieces: int
    threads: int
    learn: int
    """Address of the kernel that passes a piece of the images through."""
    pack: int
    """Address of that which brings the weights of the first layer into its form."""
    packs: int
    """Pieces that it is called for; 0 where weights are only copied."""
    memory: int
    square: int
    """Floats: what the optimizer remembers of each parameter, in blocks as these are."""
    copies: int
    copied_from_at: int
    copied_to_at: int
    """Numbers: which floats to copy, and where."""
    taken_at: int
    """Numbers: pieces taken of each thread's share, in each iteration."""
    finished_at: int
    """Numbers: pieces finished in each iteration."""
    opened_at: int
    """Number: iterations that have been completed."""
    rule_at: int
    """Results: the first six numbers of an `update.Rule`."""
    rates_at: int
    """Results: the last two, for each iteration."""
    factors_at: int
    """Results: what the sum is multiplied by to be the gradient."""
    decays_at: int
    """Results: 1 for each weight, and 0 for each bias; in blocks, as the factors."""


@njit(kernel=True)
def iterate(
    numbers: Any,
    floats: Pointer,
    blocks: Pointer,
    index: Pointer,
    labels: Pointer,
    results: Pointer,
    tree: Pointer,
    piece: int,
    thread: int,
) -> None:
    """Make iterations together with others: a kernel of as many pieces as threads.

    Parameters
    ----------
    numbers, floats, blocks, index, labels
        See the kernel that the plan names, such as `exact_learning.learn`. The parameters are
        loaded.
    results
        (iterations, pieces, 2) float64: receives losses and right answers. After these lies what
        the plan points to.
    tree
        A tree that has begun, and a `Plan`.
    """
    plan = record(Plan, advance(tree, TREE))
    opened = advance(tree, plan.opened_at)
    iteration = 0
    while iteration < plan.iterations:
        own = advance(results, 2 * plan.pieces * iteration)
        finished = advance(tree, plan.finished_at + iteration)
        for turn in range(plan.threads):
            # One's own share first, as in `parallel`.
            share = (piece + turn) % plan.threads
            first = plan.pieces * share // plan.threads
            end = plan.pieces * (share + 1) // plan.threads
            taken = advance(tree, plan.taken_at + plan.threads * iteration + share)
            number = first + count_up(taken)
            while number < end:
                arrays = (numbers, floats, blocks, index, labels, own, tree)
                call(plan.learn, (*arrays, number, thread))
                if count_up(finished) == plan.pieces - 1:
                    _step(plan, iteration, numbers, floats, results, tree, thread)
                    count_up(opened)
                number = first + count_up(taken)
        iteration += 1
        wait_for(opened, iteration)


@njit(inner=True)
def _step(
    plan: Plan,
    iteration: int,
    numbers: Pointer,
    floats: Pointer,
    results: Pointer,
    tree: Pointer,
    thread: int,
) -> None:
    """Update the parameters, and have them ready for the next pass."""
    job = record(Job, numbers)
    parameters = advance(floats, job.blocked)
    gradient = advance(floats, job.gradients + SUM * job.gradient_size)
    factors = advance(results, plan.factors_at)
    for k in range(job.gradient_size):
        # The factors are float64, so each product is rounded once for all.
        gradient[k] *= factors[k]
    settings, rates = advance(results, plan.rule_at), advance(results, plan.rates_at)
    l1, l2 = settings[4], settings[5]
    if l1 != 0 or l2 != 0:
        decays = advance(results, plan.decays_at)
        for k in range(job.gradient_size):
            w = parameters[k]
            gradient[k] += decays[k] * (l1 * ((w > 0) - (w < 0)) + l2 * w)
    rule = Rule(
        settings[0],
        settings[1],
        settings[2],
        settings[3],
        0.0,
        0.0,
        rates[2 * iteration],
        rates[2 * iteration + 1],
    )
    update(
        rule,
        1.0,
        False,
        gradient,
        parameters,
        advance(floats, plan.memory),
        advance(floats, plan.square),
        job.gradient_size // lanes(floats),
    )
    copied, to = advance(tree, plan.copied_from_at), advance(tree, plan.copied_to_at)
    for k in range(plan.copies):
        floats[to[k]] = floats[copied[k]]
    for number in range(plan.packs):
        arrays = (numbers, floats, tree, tree, tree, tree, tree)
        call(plan.pack, (*arrays, number, thread))
    tree[FREE] = -1


class Iterations:
    """What `iterate` works on, looked up once for many calls.

    Parameters
    ----------
    memory
        With room for gradients.
    sizes
        Units of each layer, inputs first.
    learn
        The kernel of a pass.
    images
        The arrays that it is given between the floats and the results.
    pieces
        Of a pass.
    threads
        How many work on it.
    """

    def __init__(
        self,
        memory: Memory,
        sizes: tuple[int, ...],
        learn: Any,
        images: Sequence[Array],
        pieces: int,
        threads: int,
    ) -> None:
        self._memory, self._learn, self._pieces = memory, learn, pieces
        self._pack, self._packed, packs = memory.packing()
        copied, to = memory.copies()
        factors = memory.factors()
        decays = np.ones(len(factors))
        for biases in views(decays, sizes)[1]:
            biases[:] = 0
        self._tree, numbers_at = joined(
            tree=new_tree(),
            plan=np.zeros(len(Plan._fields), np.int64),
            copied_from_at=copied,
            copied_to_at=to,
            taken_at=np.zeros(MOST * threads, np.int64),
            finished_at=np.zeros(MOST, np.int64),
            opened_at=np.zeros(1, np.int64),
        )
        self._results, results_at = joined(
            sums=np.zeros(2 * MOST * pieces),
            rule_at=np.zeros(SETTINGS),
            rates_at=np.zeros(2 * MOST),
            factors_at=memory.in_blocks(factors),
            decays_at=memory.in_blocks(decays),
        )
        places = numbers_at | results_at
        self._plan = Plan(
            iterations=0,
            pieces=pieces,
            threads=threads,
            learn=0,
            pack=0,
            packs=packs,
            copies=len(copied),
            **{name: memory.at(name) for name in REMEMBERED},
            **{name: at for name, at in places.items() if name in Plan._fields},
        )
        self._arrays = [memory.numbers(True), memory.floats, *images, self._results, self._tree]
        self._call = Call(iterate, self._arrays, threads, threads)

    def run(
        self,
        parameters: Floats,
        remembered: Sequence[Floats],
        learning: Learning,
        rates: npt.NDArray[np.float64],
        done: int,
    ) -> list[Score]:
        """Make an iteration for each rate, `MOST` at most; see `interface.Objective.descend`."""
        memory, steps = self._memory, len(rates)
        pack = address_of(self._pack, self._packed) if self._packed else 0
        self._call.prepare()
        # Another process may be compiling this one: wait for it last.
        learn = address_of(self._learn, self._arrays)
        plan = self._plan._replace(iterations=steps, learn=learn, pack=pack)
        self._tree[TREE : TREE + len(plan)] = plan
        self._tree[plan.taken_at :] = 0
        self._results[plan.rule_at : plan.rates_at] = settings_of(learning)
        rules = rates_of(learning.optimizer, rates, done).ravel()
        self._results[plan.rates_at : plan.rates_at + len(rules)] = rules
        memory.load(parameters)
        parts = [memory.part(name) for name in REMEMBERED[: len(remembered)]]
        for part, array in zip(parts, remembered, strict=True):
            part[:] = memory.in_blocks(array)
        begin(self._tree)
        self._call()
        blocked = memory.part("blocked")
        parameters[:] = memory.flat(blocked)
        # What fills up blocks must be 0 next time, even if it is not finite now.
        blocked[:] = 0
        for part, array in zip(parts, remembered, strict=True):
            array[:] = memory.flat(part)
        found = self._results[: 2 * self._pieces * steps].reshape(steps, -1, 2)
        return [score_of(sums, memory.count) for sums in found]


def joined(**parts: Array) -> tuple[Array, dict[str, int]]:
    """Return arrays in one, and where each of them begins."""
    ends = np.cumsum([0, *map(len, parts.values())]).tolist()
    return np.concatenate(list(parts.values())), dict(zip(parts, ends, strict=False))


def score_of(sums: npt.NDArray[np.float64], images: int) -> Score:
    """Return the score of all images from the loss and the right answers of each piece."""
    # fsum rounds once, so NumPy's choice of vector instructions cannot show.
    loss, right = (math.fsum(column) / images for column in sums.T.tolist())
    return Score(loss, right)
