"""Kernels with mistakes that are made in practice, to see that none of them is ever timed.

As a plugin of pytest (``-p planted``), this puts the one that FASTDIGIT_PLANTED names in the place
of sparse-f32.
"""

import os

import numpy as np

from fastdigit.kernels.interface import Problem, Score
from fastdigit.kernels.numpy_backend import NumpyObjective
from fastdigit.kernels.parallel import available_threads
from fastdigit.kernels.parameters import flatten, views
from fastdigit.kernels.reference import backward, forward
from fastdigit.measure.contenders import BASE, CONTENDERS, REFERENCE, Kernels
from fastdigit.measure.predictors import Fastdigit
from fastdigit.measure.suites import pairs
from fastdigit.measure.suites.trials import TILES

LANES = 16


def sparse(task):
    return Kernels(task, "numba", "float32", "sparse")


def last_row_missed(task):
    kept = max(1, len(task.images) - 1)
    return sparse(task._replace(images=task.images[:kept], labels=task.labels[:kept]))


def mislabelled(task, rows):
    labels = task.labels.copy()
    labels[rows] = (labels[rows] + 1) % 10
    return sparse(task._replace(labels=labels))


def last_lane_wrong(task):
    """Only in the last full group, as where the loop over lanes ends too early."""
    full = len(task.images) // LANES * LANES
    return mislabelled(task, slice(max(0, full - 1), full))


def wrong_with_two_threads(task):
    return mislabelled(task, slice(0, 1 if task.threads == 2 else 0))


def wrong_at_a_tile_edge(task):
    return mislabelled(task, slice(TILES // 2, TILES // 2 + 1 if len(task.images) > TILES else 0))


class WithoutMaximum(NumpyObjective):
    """The reference but for its softmax, which is that of the notebooks."""

    def __init__(self, task):
        super().__init__(Problem(task.sizes, np.dtype("float64"), task.images, task.labels))

    def gradient(self, parameters):
        weights, biases = views(parameters, self._sizes)
        X = self._X.astype(parameters.dtype)
        Zs, As = forward(X, weights, biases)
        with np.errstate(all="ignore"):
            As[-1] = np.exp(Zs[-1]) / np.exp(Zs[-1]).sum(axis=1, keepdims=True)
        return Score(1.0, 0.5), flatten(*backward(X, self._labels, weights, As))


def softmax_without_maximum(task):
    contender = sparse(task)
    contender._objective = WithoutMaximum(task)
    return contender


WRONG = {
    made.__name__: made
    for made in (
        last_row_missed,
        last_lane_wrong,
        wrong_with_two_threads,
        wrong_at_a_tile_edge,
        softmax_without_maximum,
    )
}


def in_place_of(name, change):
    """Return the pair of this name whose fused kernel's first result is changed."""

    def pair(given):
        call = pairs.PAIRS[name](given)

        def wrong():
            first, *others = call.fused()
            return change(first.copy(), given), *others

        return call._replace(fused=wrong)

    return pair


def no_last_row(result, given):
    result[-1] = 0
    return result


def no_last_lane(result, given):
    result[LANES - 1 :: LANES] = 0
    return result


def no_row_at_a_tile_edge(result, given):
    result[TILES : TILES + 1] = 0
    return result


def naive_softmax(given):
    """Return the pair of softmax whose fused kernel overflows: e^z of logits up to 40 does not."""
    call = pairs.softmax_cross_entropy(given)

    def wrong():
        A, *others = call.fused()
        return np.full_like(A, np.nan) if given.scale > 1 else A, *others

    return call._replace(fused=wrong)


class LastLabelWrong(Fastdigit):
    """Labels all images but the last one."""

    def label(self, images, threads):
        labels = super().label(images, threads)
        labels[-1] = (labels[-1] + 1) % 10
        return labels


def some():
    """Return the names of those that the command is tried with: each is a process."""
    two = ["wrong_with_two_threads"] if available_threads() > 1 else []
    return {"last_row_missed", "softmax_without_maximum", *two}


def in_the_table():
    """Let some of them take part, beside the notebook and one that is right."""
    for name in set(CONTENDERS) - {BASE, REFERENCE, "sparse-f32"}:
        del CONTENDERS[name]
    CONTENDERS.update({name: WRONG[name] for name in sorted(some())})


if chosen := os.environ.get("FASTDIGIT_PLANTED"):
    CONTENDERS["sparse-f32"] = WRONG[chosen]
