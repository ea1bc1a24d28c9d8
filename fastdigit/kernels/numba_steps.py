"""Mini-batch training on the fused kernels: data as they read it, and one call for some steps."""

import math
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.kernels import columns
from fastdigit.kernels.backward import back
from fastdigit.kernels.batch import STEPS, Job, Layer, come_out_even
from fastdigit.kernels.batch_memory import BatchMemory
from fastdigit.kernels.compilation import address_of, compile_beside, kinds_of
from fastdigit.kernels.descent import descend
from fastdigit.kernels.forward import forward, take_in
from fastdigit.kernels.layout import aligned
from fastdigit.kernels.memory import whole
from fastdigit.kernels.numba_backend import chosen_storage, kernel_images
from fastdigit.kernels.output import score
from fastdigit.kernels.pace import Pace
from fastdigit.kernels.parallel import checked_threads, run
from fastdigit.kernels.randomness import DROPOUT, key
from fastdigit.kernels.step import step
from fastdigit.kernels.steps import Learning, Tally
from fastdigit.kernels.strips import QUAD
from fastdigit.kernels.transposition import lanes_of
from fastdigit.kernels.update import rates_of, settings_of
from fastdigit.threads import threads_lost

Floats = npt.NDArray[Any]

PHASES = (take_in, forward, score, back, step)
"""In the order of the last fields of a `batch.Job`."""
COMPILED_BESIDE = (forward, step)
"""By another process: they take as long as all others."""


class NumbaTrainer:
    """Parameters, an optimizer and a data set, moved on by whole steps; see `steps.Trainer`."""

    backend = "numba"

    def __init__(
        self,
        learning: Learning,
        sizes: tuple[int, ...],
        dtype: np.dtype[Any],
        images: npt.NDArray[Any],
        labels: npt.NDArray[np.uint8],
        parameters: Floats,
        seed: int,
        batch_size: int,
        storage: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.threads = checked_threads(threads)
        self._pace = Pace(self.threads)
        self._learning, self._dtype, self._seed = learning, dtype, seed
        self._labels = labels
        self._asked_storage = storage
        self._batch = min(batch_size, len(images))
        self.replace(images)
        self._memory = BatchMemory(
            learning,
            sizes,
            dtype,
            self._batch,
            self._columns,
            self.storage == "dense",
            self.threads,
        )
        self._memory.load(0, parameters)
        self._step = 0
        self._tallies = np.zeros((self._memory.groups, 2))
        """Losses and right answers of the epoch, a row for each group of rows of a batch."""

    def replace(self, images: npt.NDArray[Any]) -> None:
        """Go on with other pixels for the same labels."""
        images = kernel_images(images, self._dtype)
        self._asked_storage = self.storage = self._chosen_storage(images)
        self._as_bytes = images.dtype == np.uint8
        if self.threads > 1:
            dtype = self._dtype
            kinds = np.int64, dtype, images.dtype, np.uint32, np.int64, np.float64, np.int64
            compile_beside(COMPILED_BESIDE, kinds_of(*kinds))
        features = images.shape[1]
        self._columns = columns.in_squares(features) if self._as_bytes else np.arange(features)
        if self.storage == "sparse":
            self._words, self._starts = columns.compress(images, self._columns, self.threads)
            self._used = np.flatnonzero(_with_ink(images, self._columns))
            self._images = np.zeros(0, np.uint8)
        else:
            self._words, self._starts = np.zeros(0, np.uint32), np.zeros(0, np.int64)
            self._used = np.zeros(0, np.int64)
            self._images = images

    def _chosen_storage(self, images: npt.NDArray[Any]) -> str:
        fits = images.dtype == np.uint8 and images.shape[1] <= columns.MOST_FEATURES
        if self._asked_storage == "sparse" and not fits:
            raise ValueError(
                "storage='sparse' with batches needs pixels as bytes, at most "
                f"{columns.MOST_FEATURES} an image; leave storage out, or train with all images at "
                "once, without batch_size"
            )
        storage = chosen_storage(self._asked_storage, images)
        return storage if fits else "dense"

    def advance(
        self, order: npt.NDArray[np.int64], epoch: int, batch_size: int, rates: Floats
    ) -> Tally:
        """Make one step for each learning rate, a batch of the order each."""
        done = 0
        for stretch in self._pace.plan(len(rates)):
            last = done + stretch.steps
            batches = order[done * batch_size : last * batch_size]
            began = time.perf_counter()
            self._descend(batches, epoch, batch_size, rates[done:last], stretch.threads)
            self._pace.note(stretch, time.perf_counter() - began)
            done = last
        return self.tally()

    def tally(self) -> Tally:
        """Return how the epoch has gone since `begin_epoch`."""
        # fsum rounds once, so NumPy's choice of vector instructions cannot show.
        loss, right = map(math.fsum, self._tallies.T)
        return Tally(loss, round(right))

    def begin_epoch(self) -> None:
        """Begin a new tally."""
        self._tallies[:] = 0

    def _descend(
        self,
        order: npt.NDArray[np.int64],
        epoch: int,
        batch_size: int,
        rates: Floats,
        threads: int,
    ) -> None:
        """Make some steps with so many threads."""
        threads = 1 if threads_lost() else threads
        memory, steps = self._memory, len(rates)
        reals = np.empty(STEPS + 2 * steps + self._tallies.size)
        learning = self._learning
        reals[:STEPS] = *settings_of(learning), learning.label_smoothing
        table = rates_of(learning.optimizer, rates, self._step)
        reals[STEPS : STEPS + 2 * steps] = table.ravel()
        reals[STEPS + 2 * steps :] = self._tallies.ravel()
        lists, room = self._lists(threads)
        job = memory.job._replace(
            sparse=self.storage == "sparse",
            bytes=self._as_bytes,
            room=room,
            lists_at=whole(memory.job.columns * threads),
            threads=threads,
            batch=batch_size,
            images=len(order),
            # The same 64 bits, as Numba's arrays of numbers have them.
            key=int(np.uint64(key(self._seed, epoch, DROPOUT)).view(np.int64)),
        )
        numbers = self._numbers(job, order)
        arrays = [numbers, memory.floats, self._images, self._words, lists, reals]
        arrays.append(np.zeros(1, np.int64))
        for phase in sorted(PHASES, key=COMPILED_BESIDE.__contains__):
            place = len(job) - len(PHASES) + PHASES.index(phase)
            numbers[place] = address_of(phase, arrays)
        run(descend, arrays, threads, threads)
        self._tallies.ravel()[:] = reals[STEPS + 2 * steps :]
        self._step += steps

    def _lists(self, threads: int) -> tuple[npt.NDArray[np.int64], int]:
        """Return memory for the lists of all threads, and the entries in each list."""
        if self.storage == "dense":
            return np.zeros(0, np.int64), 0
        groups = self._memory.groups
        if not come_out_even(self._memory.layers[0].blocks, threads):
            groups = -(-groups // threads)
        lines = -(-groups * lanes_of(self._dtype) // columns.ENTRIES_OF_LINE)
        # An odd number of cache lines: otherwise all lists would begin in a few places of the
        # first cache, and listing took half as long again.
        room = (lines | 1) * columns.ENTRIES_OF_LINE
        lists = self._memory.job.columns * threads
        return aligned(whole(lists) + lists * room, np.float64).view(np.int64), room

    def _numbers(self, job: Job, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return what `descend` reads: a job, the layers, and the tables that the job points to."""
        used = self._used
        if job.decays:
            used = np.arange(job.columns)
        head = len(job) + len(self._memory.layers) * len(Layer._fields)
        tables: list[npt.NDArray[Any]] = [used, self._columns, order, self._labels[order]]
        if job.sparse:
            tables += [self._starts[order], self._starts[1:][order]]
        places = np.cumsum([head, *map(len, tables)]).tolist()
        fields = "used_at", "places_at", "order_at", "labels_at", "starts_at", "ends_at"
        job = job._replace(used=len(used), **dict(zip(fields, places, strict=False)))
        return np.concatenate([job, *self._memory.layers, *tables]).astype(np.int64, copy=False)

    def parameters(self) -> Floats:
        """Return a copy of the parameters, flat."""
        return self._memory.unload(0)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all that the next step depends on, under their names."""
        arrays = {name: self._memory.unload(kind) for kind, name in self._names()}
        return {**arrays, "step": np.array(self._step), "tallies": self._tallies.copy()}

    def restore(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from what `state` returned."""
        for kind, name in self._names():
            self._memory.load(kind, state[name])
        self._step = int(state["step"])
        self._tallies[:] = state["tallies"]

    def keep(self) -> None:
        """Remember where the training is."""
        self._kept = self._memory.copy(), self._step, self._tallies.copy()

    def go_back(self) -> None:
        """Return to where `keep` was called last; only once."""
        floats, self._step, self._tallies = self._kept
        self._memory.paste(floats)

    def finite(self) -> bool:
        """Return whether no weight is NaN or infinite."""
        return self._memory.finite()

    def _names(self) -> list[tuple[int, str]]:
        return list(enumerate(("parameters", *self._learning.optimizer.arrays)))


def _with_ink(images: npt.NDArray[np.uint8], order: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which quads of columns are not 0 in all images."""
    ink = np.bitwise_or.reduce(images, axis=0)[order]
    filled = np.pad(ink, (0, -len(ink) % QUAD))
    return (filled.reshape(-1, QUAD) != 0).any(axis=1)
