"""How far a fused kernel may be from its reference: one number for each dtype."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
"""Relative to the norm of what is compared, for logits of ordinary size (up to `ORDINARY`)."""
ORDINARY = 10.0


class Distance(NamedTuple):
    """The norm of a difference, and what it may be at most."""

    error: float
    allowed: float

    @property
    def close(self) -> bool:
        """Whether it is no more; NaN is."""
        return self.error <= self.allowed

    @property
    def share(self) -> float:
        """The error as a share of what is allowed; infinite where it is no number."""
        share = self.error / self.allowed
        return share if np.isfinite(share) else np.inf


def distance(
    found: npt.ArrayLike,
    expected: npt.ArrayLike,
    dtype: npt.DTypeLike,
    magnitude: float = ORDINARY,
    tolerance: float | None = None,
) -> Distance:
    """Return how far what was found is from what was expected.

    Parameters
    ----------
    found, expected
        Of the same shape.
    dtype
        In which was computed what was found.
    magnitude
        Of the logits: rounding one of size 1000 changes its e^z a hundred times as much as
        rounding one of size 10.
    tolerance
        Relative; by default that of the dtype.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    mine, theirs = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if mine.shape != theirs.shape:
        raise ValueError(f"the shape is {mine.shape}, expected {theirs.shape}")
    share = tolerance or TOLERANCE[np.dtype(dtype).name]
    share *= max(1.0, magnitude / ORDINARY)
    # Below the smallest normal number there are no relative errors.
    allowed = share * np.linalg.norm(theirs) + np.finfo(dtype).tiny
    with np.errstate(invalid="ignore"):
        return Distance(float(np.linalg.norm(mine - theirs)), float(allowed))
