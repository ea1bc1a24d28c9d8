"""Contenders trained side by side in rounds, so that what disturbs one disturbs all."""

import random
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.data import Dataset
from fastdigit.errors import DataError, DivergenceError
from fastdigit.measure.contenders import BASE, CONTENDERS, REFERENCE, Task, Turn
from fastdigit.measure.result import Check
from fastdigit.measure.suites import trials
from fastdigit.measure.verdict import Standing, Verdict, judge
from fastdigit.measure.worker import Ready, Worker
from fastdigit.network import Network

ITERATIONS_A_TURN = 25


@dataclass
class Run:
    """One contender, from beginning to end."""

    name: str
    ready: Ready
    turns: list[Turn] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    """Its place in the order of each round, from 0."""
    parameters: npt.NDArray[Any] | None = None

    @property
    def seconds(self) -> list[float]:
        """Of each iteration."""
        return [seconds for turn in self.turns for seconds in turn.seconds]

    @property
    def loss(self) -> list[float]:
        """Before each update."""
        return [loss for turn in self.turns for loss in turn.loss]

    @property
    def accuracy(self) -> list[float]:
        """Before each update."""
        return [accuracy for turn in self.turns for accuracy in turn.accuracy]

    def network(self, sizes: Sequence[int]) -> Network:
        """Return what it has learned."""
        network = Network(sizes, dtype=self.ready.dtype)
        assert self.parameters is not None
        network.parameters[:] = self.parameters
        return network


Watcher = Callable[[Run], None]
"""Told of each turn that has ended."""


def train_side_by_side(
    task: Task, names: Sequence[str], iterations: int, started: Watcher, stepped: Watcher
) -> list[Run]:
    """Train each contender in a process of its own, turn by turn in random order.

    Parameters
    ----------
    task
        The work, the same for all; its seed also draws the orders.
    names
        Keys of `fastdigit.measure.contenders.CONTENDERS`.
    iterations
        Updates that each contender makes.
    started, stepped
        Told of each contender that was built, and of each turn.

    Raises
    ------
    DataError
        If a contender is wrong; nothing is timed then.
    DivergenceError
        If a loss becomes NaN or infinite; names the contender.
    ChildProcessError
        If a contender's process dies.
    """
    counts = [
        min(ITERATIONS_A_TURN, iterations - done)
        for done in range(0, iterations, ITERATIONS_A_TURN)
    ]
    with ExitStack() as stack:
        workers, runs = [], []
        for name in names:
            worker = Worker(name, task, CONTENDERS[name])
            stack.callback(worker.kill)
            _prove(worker, task.threads)
            workers.append(worker)
            runs.append(Run(name, worker.ready))
            started(runs[-1])
        take_turns(workers, runs, counts, task.seed, partial(_train, task.learning_rate), stepped)
        for worker, run in zip(workers, runs, strict=True):
            run.parameters = worker.parameters()
    return runs


def _prove(worker: Worker, threads: int) -> None:
    """Raise DataError unless a contender learns what the reference learns."""
    try:
        found = trials.put_to(worker.learn, worker.ready.dtype, threads, worker.name == BASE)
    except DivergenceError as error:
        found = Check(what=str(error), difference=np.inf, allowed=0.0)
    if not found["difference"] <= found["allowed"]:
        raise DataError(
            f"contender {worker.name} is wrong, so nothing is timed: {found['what']} off by "
            f"{found['difference']:.1e}, and {found['allowed']:.0e} is allowed"
        )


def take_turns(
    workers: Sequence[Worker],
    runs: Sequence[Run],
    counts: Sequence[int],
    seed: int,
    take: Callable[[Worker, int], Turn],
    stepped: Watcher,
) -> None:
    """Let each worker have its turn in every round, in random order.

    Parameters
    ----------
    workers, runs
        Who works, and where the turns are recorded.
    counts
        Iterations a turn, of each round.
    seed
        Draws the orders.
    take
        Has a turn of so many iterations.
    stepped
        Told of each turn.
    """
    order = random.Random(seed)
    for count in counts:
        places = list(range(len(workers)))
        order.shuffle(places)
        for position, place in enumerate(places):
            runs[place].positions.append(position)
            runs[place].turns.append(take(workers[place], count))
            stepped(runs[place])


def _train(learning_rate: float, worker: Worker, iterations: int) -> Turn:
    try:
        return worker.step(iterations)
    except DivergenceError as error:
        raise DivergenceError(
            f"contender {worker.name} diverged: {error}; try a smaller learning rate, such as "
            f"--lr {min(learning_rate / 10, 0.1):g}"
        ) from error


def records(
    runs: Sequence[Run], sizes: Sequence[int], train: Dataset, dev: Dataset
) -> tuple[list[dict[str, Any]], Verdict]:
    """Return everything that was measured, ready for JSON, and whether the contenders agree.

    All weights are judged by the NumPy reference in their own type.
    """
    by_name = {run.name: run for run in runs}
    base, reference = by_name.get(BASE), by_name.get(REFERENCE)
    standings = [_standing(run, reference, sizes, train, dev) for run in runs]
    iterations = len(runs[0].seconds)
    verdict = judge(standings, REFERENCE, (len(train), len(dev)), iterations)
    found = [_record(run, base, at) for run, at in zip(runs, standings, strict=True)]
    return found, verdict


def _standing(
    run: Run, reference: Run | None, sizes: Sequence[int], train: Dataset, dev: Dataset
) -> Standing:
    network = run.network(sizes)
    shares = []
    for data in (train, dev):
        if data.labels is None:
            raise DataError(f"{data.source} has no labels, so nothing can be learned from it")
        shares.append(network.accuracy(data.images, data.labels, backend="numpy"))
    difference = None
    if reference is not None:
        assert run.parameters is not None
        assert reference.parameters is not None
        difference = float(
            np.abs(run.parameters.astype(np.float64) - reference.parameters).max(initial=0)
        )
    return Standing(run.name, run.ready.dtype, shares[0], shares[1], difference)


def _record(run: Run, base: Run | None, standing: Standing) -> dict[str, Any]:
    assert run.parameters is not None
    milliseconds = [1e3 * seconds for seconds in run.seconds]
    median = float(np.median(milliseconds))
    ratio, ratio_quartiles = None, None
    if base is not None:
        ratio = float(np.median(base.seconds)) * 1e3 / median
        # Of the same round, so that a slow minute of the machine cancels out.
        pairs = zip(base.turns, run.turns, strict=True)
        ratios = [np.median(b.seconds) / np.median(r.seconds) for b, r in pairs]
        ratio_quartiles = _quartiles(ratios)
    ready = run.ready._asdict()
    del ready["pid"]
    return {
        "name": run.name,
        **ready,
        "training_seconds": sum(run.seconds),
        "milliseconds_median": median,
        "milliseconds_quartiles": _quartiles(milliseconds),
        "ratio": ratio,
        "ratio_quartiles": ratio_quartiles,
        "accuracy_training": standing.accuracy_training,
        "accuracy_held_out": standing.accuracy_held_out,
        "weight_difference": standing.weight_difference,
        "weights_crc32": f"{zlib.crc32(run.parameters.tobytes()):08x}",
        "rounds": [
            {
                "position": position,
                "iterations": len(turn.seconds),
                "milliseconds_median": 1e3 * float(np.median(turn.seconds)),
            }
            for position, turn in zip(run.positions, run.turns, strict=True)
        ],
        "loss": run.loss,
        "accuracy": run.accuracy,
        "seconds": run.seconds,
    }


def _quartiles(values: Sequence[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, [25, 75])]
