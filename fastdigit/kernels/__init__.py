"""The mathematics, twice: readable in NumPy, fused in Numba. Here one of the two is chosen."""

import operator
import os
import warnings
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastdigit.kernels.interface import Objective, Problem, Score
from fastdigit.kernels.parameters import count
from fastdigit.kernels.reference import ACTIVATIONS
from fastdigit.kernels.steps import Learning, Trainer

__all__ = [
    "Backend",
    "Learning",
    "Objective",
    "Problem",
    "Score",
    "Trainer",
    "chosen",
    "classify",
    "objective",
    "trainer",
]

STORAGES = ("auto", "dense", "sparse")

Backend = Literal["auto", "numpy", "numba"]


def chosen(backend: str) -> str:
    """Return "numpy" or "numba" for a backend's name; "auto" is Numba wherever it can compile.

    Raises
    ------
    ValueError
        For any other name.
    """
    if backend not in get_args(Backend):
        names = ", ".join(repr(name) for name in get_args(Backend))
        raise ValueError(f"backend={backend!r}; the backends are {names}")
    if backend == "numpy":
        return backend
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        if backend == "numba":
            raise ValueError("backend='numba' needs a compiler, but NUMBA_DISABLE_JIT is set")
        warnings.warn(
            "NUMBA_DISABLE_JIT is set: training runs on the NumPy reference, which is slower",
            RuntimeWarning,
            stacklevel=2,
        )
        return "numpy"
    return "numba"


def check_parameters(parameters: npt.NDArray[Any], sizes: tuple[int, ...]) -> None:
    """Raise ValueError unless flat parameters are what kernels for these layers read."""
    expected = count(sizes)
    if parameters.shape != (expected,) or parameters.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"parameters are {parameters.shape} {parameters.dtype}, but layers of {list(sizes)} "
            f"take ({expected},) of float32 or float64"
        )


def check_activation(activation: str) -> None:
    """Raise ValueError unless this is the name of an activation of hidden layers."""
    if activation not in tuple(ACTIVATIONS):
        names = ", ".join(repr(name) for name in ACTIVATIONS)
        raise ValueError(f"activation={activation!r}; the activations are {names}")


def objective(
    problem: Problem, backend: str = "auto", threads: int | None = None, storage: str = "auto"
) -> Objective:
    """Return the loss of a data set as a function of the parameters, on the backend of choice."""
    _check_threads(threads)
    check_activation(problem.activation)
    _check_storage(storage)
    if chosen(backend) == "numpy":
        from fastdigit.kernels.numpy_backend import NumpyObjective

        return NumpyObjective(problem)
    from fastdigit.kernels.numba_backend import NumbaObjective

    return NumbaObjective(problem, storage, threads)


def trainer(
    problem: Problem,
    learning: Learning,
    parameters: npt.NDArray[Any],
    seed: int,
    batch_size: int,
    backend: str = "auto",
    threads: int | None = None,
    storage: str = "auto",
) -> Trainer:
    """Return what trains on a data set in steps of one batch, on the backend of choice."""
    check_parameters(parameters, problem.sizes)
    _check_threads(threads)
    _check_storage(storage)
    given = (learning, problem.sizes, problem.dtype, problem.images, problem.labels)
    if chosen(backend) == "numpy":
        from fastdigit.kernels.numpy_steps import NumpyTrainer

        return NumpyTrainer(*given, parameters, seed)
    from fastdigit.kernels.numba_steps import NumbaTrainer

    return NumbaTrainer(*given, parameters, seed, batch_size, storage, threads)


def classify(
    parameters: npt.NDArray[Any],
    sizes: tuple[int, ...],
    images: npt.NDArray[Any],
    probabilities: bool,
    backend: str = "auto",
    threads: int | None = None,
    activation: str = "relu",
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Return the label of each image and, if asked for, the probabilities (n, outputs)."""
    check_parameters(parameters, sizes)
    check_activation(activation)
    _check_threads(threads)
    if chosen(backend) == "numpy":
        from fastdigit.kernels import numpy_backend

        return numpy_backend.classify(parameters, sizes, images, probabilities, activation)
    from fastdigit.kernels import numba_backend

    return numba_backend.classify(parameters, sizes, images, probabilities, threads, activation)


def _check_storage(storage: str) -> None:
    if not isinstance(storage, str) or storage not in STORAGES:
        names = ", ".join(map(repr, STORAGES))
        raise ValueError(f"storage={storage!r}; the storages are {names}")


def _check_threads(threads: int | None) -> None:
    if threads is None:
        return
    try:
        fits = not isinstance(threads, bool) and operator.index(threads) >= 1
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(f"threads={threads!r}; it must be a whole number of at least 1, or None")
