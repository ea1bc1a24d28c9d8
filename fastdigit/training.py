"""The training loop: it joins an objective, an optimizer and a network, and watches over them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from fastdigit import interrupts, optimizers
from fastdigit import progress as shown
from fastdigit.data import Dataset
from fastdigit.errors import DataError, DivergenceError
from fastdigit.full_batch import FullBatch
from fastdigit.history import Checkpoint, History
from fastdigit.kernels import Objective, Problem, Trainer, objective, trainer
from fastdigit.kernels import chosen as kernel_backend
from fastdigit.network import Network
from fastdigit.settings import TOO_LARGE, Settings, settings
from fastdigit.watch import Watch

if TYPE_CHECKING:
    from fastdigit.data.augment import Augment
    from fastdigit.mini_batch import MiniBatch
    from fastdigit.optimizers import Optimizer
    from fastdigit.schedules import Schedule

Examples = Dataset | tuple[npt.ArrayLike, npt.ArrayLike]
Callback = Callable[[Network, History], bool | None]


class Kernels(NamedTuple):
    """Who computes, and how; see `fit`."""

    backend: str
    threads: int | None
    storage: str


def fit(
    network: Network,
    data: Examples,
    *,
    validation: Examples | None = None,
    iterations: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float = 0.1,
    optimizer: "str | Optimizer" = "sgd",
    schedule: "str | Schedule" = "constant",
    l1: float = 0.0,
    l2: float = 0.0,
    dropout: float = 0.0,
    label_smoothing: float = 0.0,
    augment: "str | Augment | None" = None,
    patience: int | None = None,
    monitor: str = "loss",
    seed: int = 0,
    backend: str = "auto",
    storage: str = "auto",
    threads: int | None = None,
    progress: bool = True,
    every: int | None = None,
    callbacks: Sequence[Callback] = (),
    resume: History | None = None,
) -> History:
    """Train a network by gradient descent on the mean cross-entropy.

    Each update sees all images, or, with a `batch_size`, so many of them, drawn anew each epoch.
    The same network, data and settings give the same bits, at any number of threads; the NumPy
    backend cannot promise that, since it leaves sums to a BLAS library.

    Parameters
    ----------
    network
        Changed in place.
    data
        A `Dataset`, or a pair of images (n, features) and labels (n,). Integer images are pixels
        0..255; floats are used as they are.
    validation
        Held-out data, scored every `every` records and at the end.
    iterations, epochs
        Updates to make, or passes over the data; by default 500 iterations, with batches 10 epochs.
    batch_size
        Images of an update; all of them by default.
    learning_rate
        What the gradient is multiplied by; the highest one of the schedule.
    optimizer
        ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"adam"``, or one of `fastdigit.optimizers`.
    schedule
        How the learning rate changes: ``"constant"``, ``"step"``, ``"cosine"``, ``"linear"`` (a
        fifth of all steps up, then down to 0), or one of `fastdigit.schedules`.
    l1, l2
        Weight decay: what sign(w), and w, are multiplied by before they are added to the gradient.
    dropout
        Share of hidden units that each image does without, 0..0.99; with batches only.
    label_smoothing
        Share of each label that is spread over all classes, 0..0.99; with batches only.
    augment
        ``"affine"``, ``"elastic"``, or a `fastdigit.data.augment.Augment`: changes all images anew
        before each epoch; with batches only.
    patience
        Stop after so many scores of the held-out data without a better one, and restore the best
        weights.
    monitor
        What is better: a lower ``"loss"``, or a higher ``"accuracy"``.
    seed
        Of the order of images, of dropout and of augmentation.
    backend
        ``"numba"``: the fused kernels; ``"numpy"``: the reference; ``"auto"``: Numba.
    storage
        How the fused kernels keep pixels: ``"sparse"`` without the zeros, ``"dense"`` with them,
        ``"auto"`` by their share.
    threads
        Threads of the kernels; all allowed processors by default.
    progress
        Show a bar, or, where nobody watches, a line every `every` records on stderr.
    every
        Records between lines and between scores of the held-out data: 10 iterations, or 1 epoch.
    callbacks
        Called as ``callback(network, history)`` after every record; True ends the training. What
        one writes into the parameters is gone on with. Without any, the kernels make several
        iterations in a call, about 50 ms of them.
    resume
        The history of an interrupted training, to go on with: with the same data and settings,
        which it must have, the result is the same as if it had not been interrupted.

    Returns
    -------
    History
        Loss, accuracy and seconds of each iteration, or, with batches, of each epoch.

    Raises
    ------
    DataError
        If data do not fit the network, or contain NaN, infinity or labels out of range.
    DivergenceError
        If the loss becomes NaN or infinite. The network keeps the last weights with a finite loss.
    KeyboardInterrupt
        After Ctrl-C; the network keeps the weights of the last whole update.

    The last two carry the history so far as ``error.history``.
    """
    began = time.perf_counter()
    _check(network, callbacks)
    chosen = settings(
        iterations=iterations,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        schedule=schedule,
        l1=l1,
        l2=l2,
        dropout=dropout,
        label_smoothing=label_smoothing,
        augment=augment,
        patience=patience,
        monitor=monitor,
        every=every,
        seed=seed,
    )
    if patience is not None and validation is None:
        raise ValueError(f"patience={patience!r} needs validation data, whose score is waited for")
    kernels = Kernels(backend, threads, storage)
    history = None
    so_far = resume or History(backend, storage, threads)
    with _carried(so_far):
        training = _problem(network, data)
        held_out = _held_out(network, validation)
        if resume is not None:
            history = _continued(resume, chosen, (training, held_out), kernels)
    total, an_epoch = chosen.steps(len(training.images))
    if total >= TOO_LARGE:
        raise DataError(f"epochs={epochs} of {an_epoch} steps are 2**63 steps or more; use fewer")
    # What overflows is found where the loss is no longer finite.
    with (
        _reporter(progress, total, -(-total // an_epoch), chosen) as report,
        np.errstate(over="ignore", invalid="ignore"),
    ):
        checked = time.perf_counter()
        with _carried(so_far):
            _warm_up(network, training, held_out is not None, chosen, kernels)
            compiled = time.perf_counter()
            run, place = _begun(network, training, chosen, kernels)
            dev = None if held_out is None else objective(held_out, *kernels)
        watch = Watch(dev, chosen)
        if history is None:
            history = History(place.backend, place.storage, place.threads)
            history.unit = "iteration" if chosen.full_batch else "epoch"
        else:
            assert history.checkpoint is not None
            history.storage, history.threads = place.storage, place.threads
            run.restore(history.checkpoint.state)
            watch.restore(history.checkpoint.watch)
            history.checkpoint = None
        started = time.perf_counter()
        history.compile_seconds += compiled - checked
        history.prepare_seconds += (checked - began) + (started - compiled)

        def told() -> bool:
            return any([callback(network, history) for callback in callbacks])

        try:
            run.run(history, watch, told if callbacks else None, lambda: report(history))
            watch.score(network.parameters, history, final=True)
            watch.restore_best(network.parameters, history)
            if isinstance(run, FullBatch):
                history.final_loss, history.final_accuracy = run.score(history)
            report(history, finished=True)
        except (KeyboardInterrupt, DivergenceError) as error:
            # Who presses Ctrl-C twice wants it no less.
            with interrupts.ignored():
                error.history = history  # type: ignore[union-attr]
                history.checkpoint = Checkpoint(
                    chosen, _fingerprint(training, held_out), run.state(), watch.state()
                )
            raise
        finally:
            history.train_seconds += time.perf_counter() - started
    return history


@contextmanager
def _carried(history: History) -> Iterator[None]:
    """Have an interrupt carry this history."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.history = history  # type: ignore[attr-defined]
        raise


def _check(network: Network, callbacks: Sequence[Callback]) -> None:
    if not isinstance(network, Network):
        raise TypeError(f"network={network!r}; it must be a Network, as Network([784, 10, 10])")
    network.check_finite()
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise TypeError(f"callbacks={callbacks!r}; it must be a list of functions")


def _problem(network: Network, examples: Examples, name: str = "data") -> Problem:
    if isinstance(examples, Dataset):
        if examples.labels is None:
            raise DataError(f"{examples.source} has no labels, so nothing can be learned from it")
        images, labels = network.checked(examples.images, examples.labels)
    else:
        try:
            given_images, given_labels = examples
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{name} must be a Dataset or a pair (images, labels), not of type "
                f"{type(examples).__name__}; load_data makes a Dataset of a file"
            ) from error
        images, labels = network.checked(given_images, given_labels)
    return Problem(network.sizes, network.dtype, images, labels, network.activation)


def _held_out(network: Network, validation: Examples | None) -> Problem | None:
    try:
        return None if validation is None else _problem(network, validation, "validation")
    except DataError as error:
        about = "" if str(error).startswith("validation") else "validation: "
        raise DataError(f"{about}{error}") from error


def _begun(
    network: Network, problem: Problem, chosen: Settings, kernels: Kernels
) -> "tuple[FullBatch | MiniBatch, Objective | Trainer]":
    """Return a training that has not made a step yet, and what computes for it."""
    if chosen.full_batch:
        loss = objective(problem, *kernels)
        return FullBatch(network, loss, chosen), loss
    # The reference in full batches needs no compiler, and so should not import it.
    from fastdigit.mini_batch import MiniBatch

    steps = _trainer(network, problem, chosen, kernels)
    return MiniBatch(network, steps, problem.images, chosen), steps


def _trainer(network: Network, problem: Problem, chosen: Settings, kernels: Kernels) -> Trainer:
    assert chosen.batch_size is not None
    learning = chosen.learning(network.activation)
    return trainer(problem, learning, network.parameters, chosen.seed, chosen.batch_size, *kernels)


def _warm_up(
    network: Network, problem: Problem, scores: bool, chosen: Settings, kernels: Kernels
) -> None:
    """Run one image through, so that nothing is compiled while anything is timed."""
    single = problem._replace(images=problem.images[:1], labels=problem.labels[:1])
    if chosen.full_batch or scores:
        loss = objective(single, *kernels)
        parameters = network.parameters.copy()
        remembered = optimizers.state(chosen.optimizer, parameters)
        loss.descend(parameters, remembered, chosen.learning(network.activation), np.zeros(1), 0)
    if not chosen.full_batch:
        steps = _trainer(network, single, chosen, kernels)
        steps.advance(np.zeros(1, np.int64), 0, 1, np.zeros(1))


def _continued(
    resume: History, chosen: Settings, problems: tuple[Problem | None, ...], kernels: Kernels
) -> History | None:
    """Return a copy of an interrupted training's history, if this one is to go on with it.

    None, to begin anew, if it was interrupted before it began.
    """
    if isinstance(resume, History) and not resume.steps and resume.checkpoint is None:
        return None
    if not isinstance(resume, History) or resume.checkpoint is None:
        raise ValueError(
            f"resume={resume!r}; it must be the history of an interrupted training, as "
            "error.history of the KeyboardInterrupt"
        )
    differences = chosen.differences(resume.checkpoint.settings)
    if resume.backend != (backend := kernel_backend(kernels.backend)):
        differences.append(f"backend: {resume.backend!r}, now {backend!r}")
    if resume.checkpoint.fingerprint != _fingerprint(*problems):
        differences.append("the images, their labels, those held out, or the network")
    if differences:
        raise ValueError(
            f"resume: the interrupted training had other settings ({'; '.join(differences)}); give "
            "the same ones, or begin anew without resume"
        )
    return deepcopy(resume)


def _fingerprint(*problems: Problem | None) -> int:
    """Return a checksum of what is trained, and scored, on what."""
    found = 0
    for problem in filter(None, problems):
        about = problem.sizes, problem.dtype.str, problem.activation
        found = crc32(repr(about).encode(), found)
        for array in (problem.images, problem.labels):
            found = crc32(np.ascontiguousarray(array).view(np.uint8).data, found)
    return found


def _reporter(
    progress: bool, steps: int, records: int, chosen: Settings
) -> AbstractContextManager[shown.Reporter]:
    if not progress:
        return shown.silence()
    return shown.bar(steps) if shown.interactive() else shown.lines(records, chosen.every)
