"""Random numbers as a function of where they are used: the same on every backend and machine.

There is no stream to be kept in step: a word of 64 bits is mixed from the seed and from counters
such as epoch and image, so any thread finds any number at once. `mix` is the finaliser of
splitmix64 (Steele, Lea and Flood 2014). All arithmetic is modulo 2^64.
"""

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.jit import njit

WORD = 0xFFFFFFFFFFFFFFFF
GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: its multiples are spread evenly over all words."""
SECOND = 0xD1B54A32D192ED03
"""2^64 divided by the root of x^4 = x + 1, which plays that part where there are more counters."""

SHUFFLE = 1
DROPOUT = 2
"""What a key is for, so that no two uses draw the same numbers."""

PARTS = 65536
"""Values of the 16 bits that decide whether a unit drops out."""


def mix(word: Any) -> Any:
    """Return the word, or array of words, that another one is mixed to; no two give the same.

    A Python int below 2^64, or an array of uint64. Compiled code gets it by ``njit(inner=True)`` of
    this: with other options, the cache of compiled code would mistake one for the other.
    """
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & WORD
    return word ^ (word >> 31)


def key(seed: int, *counters: int) -> int:
    """Return the word that stands for a seed and counters, in their order."""
    word: int = mix(operator.index(seed) & WORD)
    for counter in counters:
        word = mix(word ^ mix(operator.index(counter) + GOLDEN & WORD))
    return word


def permutation(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """Return the indices 0..count-1 in the random order of an epoch, (count,).

    The shuffle of Fisher and Yates, from the end: index i changes places with one of 0..i. A word's
    upper 32 bits choose it, so every choice is equally likely to within (i + 1) / 2^32.
    """
    order = np.arange(count)
    # NumPy warns of numbers that wrap around where Numba is switched off.
    with np.errstate(over="ignore"):
        _shuffle(order, np.uint64(key(seed, epoch, SHUFFLE)))
    return order


_mix = njit(inner=True)(mix)


@njit()
def _shuffle(order: npt.NDArray[np.int64], word: np.uint64) -> None:
    """Exchange each element with one that its own random word chooses, from the last on."""
    for i in range(len(order) - 1, 0, -1):
        random = _mix(word + np.uint64(i) * np.uint64(GOLDEN))
        j = (random >> np.uint64(32)) * np.uint64(i + 1) >> np.uint64(32)
        order[i], order[j] = order[j], order[i]


def permutation_reference(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """Return what `permutation` does, in plain Python."""
    word = key(seed, epoch, SHUFFLE)
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        random = mix(word + i * GOLDEN & WORD)
        j = (random >> 32) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def nearest_rate(rate: float) -> float:
    """Return the share of units that can drop out and is nearest to the one wished for."""
    return round(rate * PARTS) / PARTS


def kept(
    key: int, image: npt.NDArray[np.int64], layer: int, units: int, rate: float
) -> npt.NDArray[np.bool_]:
    """Return which units of a layer stay when a share of them drops out, (images, units).

    Parameters
    ----------
    key
        Of the seed, the epoch and `DROPOUT`.
    image
        Indices of the images in the data set, (images,).
    layer
        1 for the first hidden layer.
    units
        Of the layer, less than 2^22.
    rate
        Share that drops out, 0..1; what counts is `nearest_rate`.
    """
    # Four units share a word, 16 bits each, the lowest first.
    words = np.arange(-(-units // 4), dtype=np.uint64) + (layer << 20)
    random = mix(image.astype(np.uint64)[:, None] * GOLDEN + words * SECOND + key)
    parts = random[:, :, None] >> np.arange(0, 64, 16, dtype=np.uint64) & 0xFFFF
    stays: npt.NDArray[np.bool_] = parts >= round(rate * PARTS)
    return stays.reshape(len(image), -1)[:, :units]
