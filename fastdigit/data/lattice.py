"""The lattice of an elastic deformation: random numbers, and how they reach the pixels.

White noise at every pixel, smoothed by a Gaussian of standard deviation sigma, has nearly the same
statistics as noise at every sigma-th pixel alone: by Poisson's summation formula the variance of
the latter ripples by a part in 10,000. So 12 x 12 random numbers do for 28 x 28 pixels and a sigma
of 6. The lattice goes on beyond the image, so that its rim moves as much as its centre.
"""

import math
from decimal import Decimal
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW = 7
"""Lattice points that a pixel depends on, each way: those beyond 3.5 sigma are left out."""


class Lattice(NamedTuple):
    """How much points move pixels, along one axis: pixel y by the points starts[y] and following.

    Point k lies at ``(k - 3) * sigma`` pixels. Numbers of variance 1 make displacements of variance
    ``1 / (4 pi sigma^2)``, as noise at every pixel does under a Gaussian whose sum is 1.
    """

    weights: NDArray[np.float32]
    """(side, WINDOW)"""
    starts: NDArray[np.int64]
    """(side,)"""


@cache
def lattice(side: int, sigma: float) -> Lattice:
    """Return the lattice for so many pixels; sigma is in pixels."""
    starts = np.floor(np.arange(side) / sigma + 0.5).astype(np.int64)
    weights = np.empty((side, WINDOW), np.float32)
    for pixel, start in enumerate(starts):
        for k in range(WINDOW):
            distance = pixel / sigma - (int(start) + k - WINDOW // 2)
            # Decimal rounds exp in the same way everywhere; of the C library's there are many.
            bell = float(Decimal(-0.5 * distance * distance).exp())
            weights[pixel, k] = bell / math.sqrt(2.0 * math.pi * sigma)
    return Lattice(weights, starts)
