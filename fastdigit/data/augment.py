"""Augmentation: images turned, scaled, sheared, shifted, bent and speckled, anew at every epoch.

What happens to an image depends on the seed, the epoch and its own index alone: not on the other
images, on how they are cut into chunks, on the number of threads or on the processor.
"""

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdigit.data.images import as_bytes
from fastdigit.data.lattice import lattice
from fastdigit.errors import DataError

LIMITS = {
    "rotation": (0, 180),
    "scale": (0, 0.5),
    "shear": (0, 1),
    "shift": (0, 1000),
    "elastic": (0, 1000),
    "elastic_sigma": (1, 1000),
    "noise": (0, 255),
    "threshold": (0, 255),
}
"""Within these, no coordinate of an image of up to `MOST_SIDE` pixels is too large for its bits."""

MOST_SIDE = 1024
SPREAD = math.sqrt(65535 / 3)
"""Standard deviation of the sum of four random bytes."""
SEEDS = 2**63


@dataclass(frozen=True)
class Augment:
    """How far images may be changed, each amount being drawn anew for every image.

    Parameters
    ----------
    rotation
        Up to so many degrees, either way.
    scale
        Width and height, each for itself, up to this share larger or smaller; at most 0.5.
    shear
        Up to so many pixels to the side for each pixel of height.
    shift
        Up to so many pixels across, and as many down.
    noise
        Standard deviation of nearly normal noise, in grey levels. Only where there is ink: paper
        stays 0.
    elastic
        Alpha: noise in [-1, 1] for every pixel, smoothed by a Gaussian, times alpha, is how far
        it moves across, and once more down. The standard deviation of that is
        ``alpha / (sqrt(12 pi) elastic_sigma)`` pixels.
    elastic_sigma
        Standard deviation of the Gaussian, in pixels, at least 1.
    threshold
        Warped pixels below it become 0, which keeps images sparse.

    Raises
    ------
    TypeError, ValueError
        If an amount is no number, or outside of `LIMITS`.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    noise: float = 0.0
    elastic: float = 0.0
    elastic_sigma: float = 6.0
    threshold: int = 24

    def __post_init__(self) -> None:
        """Check the amounts."""
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if name == "threshold":
                value = _whole(name, value)
            elif isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
                raise TypeError(f"{name} must be a number, not {value!r}")
            if not low <= float(value) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}")

    @property
    def changes(self) -> bool:
        """Whether an image can come out other than it was."""
        amounts = (self.rotation, self.scale, self.shear, self.shift, self.noise, self.elastic)
        return any(amounts)

    def apply(
        self,
        images: ArrayLike,
        seed: int = 0,
        epoch: int = 0,
        threads: int | None = None,
        out: NDArray[np.uint8] | None = None,
        first: int = 0,
    ) -> NDArray[np.uint8]:
        """Return the images as they are to be seen in one epoch.

        Parameters
        ----------
        images
            Bytes ``(n, side * side)`` or ``(n, side, side)``; see `as_images` for what else is
            taken as bytes. Floats are refused.
        seed, epoch
            From 0 and below 2**63. Other numbers give other changes.
        threads
            All that are available unless given. The bits are the same with any number.
        out
            Where to write: C-contiguous uint8 ``(n, side * side)``. It may be `images` itself.
        first
            The index of the first image, where these are a chunk of more.

        Returns
        -------
        ndarray
            uint8 ``(n, side * side)``: `out`, or an array of its own.

        Raises
        ------
        DataError
            If the images are no bytes, not square, or wider than 1024 pixels.
        TypeError, ValueError
            If another argument is of the wrong type or out of range.
        """
        images, side = _squares(images)
        seed, epoch = _whole("seed", seed), _whole("epoch", epoch)
        first = _whole("first", first)
        if out is None:
            out = np.empty_like(images)
        else:
            _check_out(out, images)
        if not self.changes:
            out[:] = images
            return out
        # Compiled, so Numba is imported only when images are augmented.
        from fastdigit.data.distortion import root_of
        from fastdigit.data.warp import Changes, warp

        warp(
            images,
            out,
            Changes(
                rotation=math.pi / 180.0 * self.rotation,
                scale=float(self.scale),
                shear=float(self.shear),
                shift=float(self.shift),
                reach=np.float32(self.elastic * 2.0**-15),
                noise=round(self.noise * 2**16 / SPREAD),
                threshold=int(self.threshold),
            ),
            lattice(side, float(self.elastic_sigma)),
            root_of(seed, epoch)[0],
            first,
            threads,
        )
        return out


def _squares(images: ArrayLike) -> tuple[NDArray[np.uint8], int]:
    """Return images as rows of bytes, and their side in pixels."""
    array: NDArray[Any] = np.asarray(images)
    if array.dtype.kind == "f":
        raise DataError(
            f"the images are {array.dtype}, but augmentation works on bytes: integers 0..255"
        )
    rows = as_bytes(array)
    side = math.isqrt(rows.shape[1])
    if side * side != rows.shape[1] or (array.ndim == 3 and array.shape[1] != side):
        shape = " x ".join(map(str, array.shape[1:]))
        raise DataError(f"images of {shape} pixels are not square, so they cannot be augmented")
    if side > MOST_SIDE:
        raise DataError(f"images of {side} x {side} pixels; up to {MOST_SIDE} can be augmented")
    return rows, side


def _check_out(out: NDArray[np.uint8], images: NDArray[np.uint8]) -> None:
    """Refuse memory that the result cannot be written to."""
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != images.shape:
        found = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out must be an array of uint8 {images.shape}, not {found}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be C-contiguous, and not read-only")
    if np.may_share_memory(out, images) and out.ctypes.data != images.ctypes.data:
        raise ValueError("out overlaps the images; give other memory, or the images themselves")


def _whole(name: str, number: Any) -> int:
    """Return a number from 0 and below 2**63 as an int."""
    if isinstance(number, (bool, np.bool_)) or not isinstance(number, Integral):
        raise TypeError(f"{name} must be a whole number, not {number!r}")
    if not 0 <= int(number) < SEEDS:
        raise ValueError(f"{name} must be at least 0 and below {SEEDS}, not {number}")
    return int(number)


AFFINE = Augment(rotation=10, scale=0.1, shear=0.1, shift=1)
ELASTIC = replace(AFFINE, elastic=24, elastic_sigma=6)

PRESETS = {"affine": AFFINE, "elastic": ELASTIC}


def augment(chosen: str | Augment | None) -> Augment | None:
    """Return the augmentation of this name, or the one given, or None for none.

    Raises
    ------
    ValueError
        If there is none of this name.
    TypeError
        If it is nothing of the kind.
    """
    if chosen is None or isinstance(chosen, Augment):
        return chosen
    names = ", ".join(map(repr, PRESETS))
    if not isinstance(chosen, str):
        raise TypeError(f"augment must be one of {names}, an Augment or None, not {chosen!r}")
    if chosen not in PRESETS:
        raise ValueError(f"there is no augmentation {chosen!r}; choose one of {names}")
    return PRESETS[chosen]
