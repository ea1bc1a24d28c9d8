"""The lattice of an elastic deformation: random displacements, and how they reach the pixels.

White noise at every pixel, smoothed by a Gaussian of standard deviation sigma, has nearly the same
statistics as noise at every sigma-th pixel alone: by Poisson's summation formula the variance of the
latter ripples by a part in 10,000. So 12 x 12 random numbers do for 28 x 28 pixels and sigma = 6.
"""

import math
from decimal import Decimal
from functools import cache

import numpy as np
from numpy.typing import NDArray

WINDOW = 7
"""Lattice points that a pixel depends on, each way: what lies beyond 3.5 sigma is left out."""


@cache
def gaussian_weights(side: int, sigma: float) -> NDArray[np.float32]:
    """Return how much each lattice point moves each pixel, along one axis.

    Point k lies at ``(k - WINDOW // 2) * sigma`` pixels, and `window_starts` says which points a
    pixel depends on. The displacement field of random numbers N is ``W.T @ N @ W``; numbers of
    variance 1 give one of variance ``1 / (4 pi sigma^2)``, as pixelwise noise and a Gaussian of
    sum 1 do.

    Parameters
    ----------
    side
        Pixels.
    sigma
        In pixels, at least 1.

    Returns
    -------
    ndarray
        W ``(points, side)``, read-only.
    """
    starts = window_starts(side, sigma)
    weights = np.zeros((int(starts[-1]) + WINDOW, side), np.float32)
    for pixel, start in enumerate(starts):
        for k in range(start, start + WINDOW):
            distance = pixel / sigma - (k - WINDOW // 2)
            # Decimal rounds exp in the same way everywhere; that of the C library has many versions.
            bell = float(Decimal(-0.5 * distance * distance).exp())
            weights[k, pixel] = bell / math.sqrt(2.0 * math.pi * sigma)
    weights.flags.writeable = False
    return weights


def window_starts(side: int, sigma: float) -> NDArray[np.int64]:
    """Return the first of the `WINDOW` lattice points nearest to each pixel: ``(side,)``."""
    return np.floor(np.arange(side) / sigma + 0.5).astype(np.int64)
