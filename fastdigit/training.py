"""The training loop: it joins an objective, an optimizer and a network, and watches over them."""

import operator
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit import progress as shown
from fastdigit.data import Dataset
from fastdigit.errors import DataError, DivergenceError, warn_caller
from fastdigit.history import History, Validation
from fastdigit.kernels import Objective, Problem, check_parameters, objective
from fastdigit.network import Network
from fastdigit.optimizers import sgd

Examples = Dataset | tuple[npt.ArrayLike, npt.ArrayLike]
Callback = Callable[[Network, History], bool | None]

STUCK_BELOW = 0.2
"""Accuracy, with ten classes, that training should have left behind after `STUCK_AFTER`."""
STUCK_AFTER = 100


def fit(
    network: Network,
    data: Examples,
    *,
    validation: Examples | None = None,
    iterations: int = 500,
    learning_rate: float = 0.1,
    backend: str = "auto",
    storage: str = "auto",
    threads: int | None = None,
    progress: bool = True,
    every: int = 10,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train a network by full-batch gradient descent on the mean cross-entropy.

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
        Held-out data, scored every `every` iterations and after the last one.
    iterations
        Updates to make.
    learning_rate
        What the gradient is multiplied by.
    backend
        ``"numba"``: the fused kernels; ``"numpy"``: the reference; ``"auto"``: Numba.
    storage
        How the fused kernels keep pixels: ``"sparse"`` without the zeros, ``"dense"`` with them,
        ``"auto"`` by their share.
    threads
        Threads of the kernels; all allowed processors by default.
    progress
        Show a bar, or, where nobody watches, a line every `every` iterations on stderr.
    every
        Iterations between lines and between scores of the held-out data.
    callbacks
        Called as ``callback(network, history)`` after every iteration; True ends the training.

    Returns
    -------
    History
        Loss, accuracy and seconds of each iteration.

    Raises
    ------
    DataError
        If data do not fit the network, or contain NaN, infinity or labels out of range.
    DivergenceError
        If the loss becomes NaN or infinite. The network keeps the last weights with a finite loss.
    KeyboardInterrupt
        After Ctrl-C; the network keeps the weights of the last whole iteration.

    Both errors carry the history so far as ``error.history``.
    """
    began = time.perf_counter()
    _check(network, callbacks, iterations=iterations, every=every, learning_rate=learning_rate)
    training = _problem(network, data)
    held_out = None if validation is None else _problem(network, validation, "validation")
    # What overflows is found where the loss is no longer finite.
    with (
        _reporter(progress, iterations, every) as report,
        np.errstate(over="ignore", invalid="ignore"),
    ):
        checked = time.perf_counter()
        _warm_up(network, training, backend, threads, storage)
        compiled = time.perf_counter()
        loss = objective(training, backend, threads, storage)
        dev = None if held_out is None else objective(held_out, backend, threads, storage)
        history = History(loss.backend, loss.storage, loss.threads)
        started = time.perf_counter()
        history.compile_seconds = compiled - checked
        history.prepare_seconds = (checked - began) + (started - compiled)
        try:
            _descend(
                network, loss, dev, history, iterations, learning_rate, every, report, callbacks
            )
        except (KeyboardInterrupt, DivergenceError) as error:
            error.history = history  # type: ignore[union-attr]
            raise
        finally:
            history.train_seconds = time.perf_counter() - started
    return history


def _descend(
    network: Network,
    loss: Objective,
    dev: Objective | None,
    history: History,
    iterations: int,
    learning_rate: float,
    every: int,
    report: shown.Reporter,
    callbacks: Sequence[Callback],
) -> None:
    parameters = network.parameters
    check_parameters(parameters, network.sizes)
    finite = parameters.copy()
    for iteration in range(iterations):
        if dev and iteration % every == 0:
            _validate(dev, parameters, history)
        started = time.perf_counter()
        score, gradient = loss.gradient(parameters)
        if not np.isfinite(score.loss):
            parameters[:] = finite
            raise _diverged(iteration, history, learning_rate)
        finite[:] = parameters
        try:
            sgd(parameters, gradient, learning_rate)
            history.record(*score, time.perf_counter() - started)
        except KeyboardInterrupt:
            # An update without its record is no whole iteration.
            if len(history) == iteration:
                parameters[:] = finite
            raise
        report(history)
        if len(history) == STUCK_AFTER:
            _warn_if_stuck(network, history, learning_rate)
        if any([callback(network, history) for callback in callbacks]):
            break
    if not np.isfinite(parameters).all():
        parameters[:] = finite
        raise _diverged(len(history), history, learning_rate)
    if dev:
        _validate(dev, parameters, history)
    history.final_loss, history.final_accuracy = loss.evaluate(parameters)
    report(history)


def _validate(dev: Objective, parameters: npt.NDArray[Any], history: History) -> None:
    started = time.perf_counter()
    history.validation.append(Validation(len(history), *dev.evaluate(parameters)))
    history.validation_seconds += time.perf_counter() - started


def _check(
    network: Network,
    callbacks: Sequence[Callback],
    *,
    iterations: int,
    every: int,
    learning_rate: float,
) -> None:
    if not isinstance(network, Network):
        raise TypeError(f"network={network!r}; it must be a Network, as Network([784, 10, 10])")
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise TypeError(f"callbacks={callbacks!r}; it must be a list of functions")
    for name, value, least in (("iterations", iterations, 0), ("every", every, 1)):
        try:
            fits = operator.index(value) >= least
        except TypeError:
            fits = False
        if not fits:
            raise ValueError(f"{name}={value!r}; it must be a whole number of at least {least}")
    if not isinstance(learning_rate, Real) or not 0 < learning_rate < float("inf"):
        raise ValueError(f"learning_rate={learning_rate!r}; it must be a positive number")


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
    return Problem(network.sizes, network.dtype, images, labels)


def _warm_up(
    network: Network, problem: Problem, backend: str, threads: int | None, storage: str
) -> None:
    """Run one image through, so that nothing is compiled while anything is timed."""
    single = problem._replace(images=problem.images[:1], labels=problem.labels[:1])
    objective(single, backend, threads, storage).gradient(network.parameters)


def _reporter(
    progress: bool, iterations: int, every: int
) -> AbstractContextManager[shown.Reporter]:
    if not progress:
        return shown.silence()
    return shown.bar(iterations) if shown.interactive() else shown.lines(iterations, every)


def _diverged(iteration: int, history: History, learning_rate: float) -> DivergenceError:
    if not len(history):
        return DivergenceError(
            "the loss is not finite before any update: the weights, or floats in the images, are "
            "too large; scale images to 0..1"
        )
    smaller = min(learning_rate / 10, 0.1)
    recent = ", ".join(f"{loss:.4g}" for loss in history.loss[-3:])
    return DivergenceError(
        f"training diverged at iteration {iteration}: the loss is no longer finite (the losses "
        f"before: {recent}). The last weights with a finite loss are kept; try a smaller learning "
        f"rate, such as {smaller:g}"
    )


def _warn_if_stuck(network: Network, history: History, learning_rate: float) -> None:
    chance = 1 / network.sizes[-1]
    if history.accuracy[-1] > max(STUCK_BELOW, 1.5 * chance) or network.sizes[-1] < 5:
        return
    if np.isnan(history.loss[-1]):
        return
    falling = history.loss[0] - history.loss[-1] > 1e-3 * history.loss[0]
    if falling:
        reason = f"the loss falls, but slowly: the learning rate {learning_rate:g} may be too small"
    else:
        reason = (
            "the loss does not fall: the pixels may be unscaled (pass bytes, or floats divided by "
            "255), the learning rate too large, or all hidden units dead (try another seed or init)"
        )
    warn_caller(
        f"accuracy is {history.accuracy[-1]:.1%} after {STUCK_AFTER} iterations, about what "
        f"guessing gives; {reason}"
    )
