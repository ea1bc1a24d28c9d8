"""``fastdigit info --warm-up``: compile everything before it is needed."""

import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.core import event
from tqdm.auto import tqdm

from fastdigit import Network, fit, notebook
from fastdigit.cli.streams import note, say
from fastdigit.data import ELASTIC, load_data
from fastdigit.data.drawing import draw_digits
from fastdigit.jit import cache_directory
from fastdigit.kernels import chosen

ROWS = 40
STORAGES = ("dense", "sparse", "floats")


def warm_up() -> None:
    """Walk every public path once, with a few digits, and say whether anything was compiled.

    Nowhere is it listed what is compiled: a function is if one of these paths calls it.
    """
    if chosen("auto") != "numba" or cache_directory() is None:  # either has warned
        note("there is nothing to warm up")
        return
    started = time.perf_counter()
    with event.install_recorder("numba:compile") as recorder:
        _walk()
    done = "compiled everything" if recorder.buffer else "everything was compiled already"
    say(f"{done} ({time.perf_counter() - started:.1f} s)")


def _walk() -> None:
    """Take one step after the other, and show its name if somebody watches."""
    steps: dict[str, Callable[[], Any]] = {
        "drawing digits": partial(draw_digits, ROWS),
        "changing digits": _augment,
        "reading CSV files": _read_csv,
        "notebook functions": _notebook,
    }
    for dtype, storage in product(("float32", "float64"), STORAGES):
        steps[f"training, {dtype} {storage}"] = partial(_train, dtype, storage)
    # disable=None: no bar in logs and pipes.
    with tqdm(total=len(steps), unit="step", disable=None, dynamic_ncols=True) as bar:
        for name, step in steps.items():
            bar.set_description(name)
            step()
            bar.update()
        bar.set_description("warm")


def _read_csv() -> None:
    images, labels = draw_digits(ROWS)
    names = ["label", *(f"pixel{j}" for j in range(images.shape[1]))]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "train.csv"
        rows = np.column_stack([labels, images])
        np.savetxt(file, rows, fmt="%d", delimiter=",", header=",".join(names), comments="")
        load_data(file)


def _train(dtype: str, storage: str) -> None:
    images: npt.NDArray[Any]
    images, labels = draw_digits(ROWS)
    if storage == "floats":
        images, storage = (images / 255).astype(dtype), "dense"
    network = Network([images.shape[1], 10, 10], dtype)
    examples = images, labels
    fit(network, examples, validation=examples, iterations=1, storage=storage, progress=False)
    fit(network, examples, epochs=1, batch_size=16, storage=storage, progress=False)
    network.predict(images)
    network.predict_proba(images)
    network.accuracy(images, labels)


def _augment() -> None:
    images, _ = draw_digits(ROWS)
    ELASTIC.apply(images)


def _notebook() -> None:
    images, Y = draw_digits(ROWS)
    X = images.T / 255
    W1, b1, W2, b2 = notebook.init_params()
    activations = notebook.forward_prop(W1, b1, W2, b2, X)
    notebook.backward_prop(*activations, W1, W2, X, Y)
