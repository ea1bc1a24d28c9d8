"""Dataset: images as bytes, with or without their labels."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastdigit.data.images import as_bytes
from fastdigit.data.labels import as_labels
from fastdigit.errors import DataError

DIGITS = 10


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and their labels, checked once when they are put together.

    Parameters
    ----------
    images
        ``(n, features)`` or ``(n, height, width)`` of any integer dtype, with values 0..255;
        kept as C-contiguous ``(n, features)`` uint8.
    labels
        ``(n,)`` whole numbers 0..255, kept as uint8, or None where there are none.
    source
        Where the images come from, for people to read.

    Raises
    ------
    DataError
        If shapes, values or counts do not fit.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None = None
    source: str = "memory"

    def __post_init__(self) -> None:
        """Check the arrays and keep them in the form stated above."""
        images = as_bytes(self.images)
        object.__setattr__(self, "images", images)
        if self.labels is None:
            return
        labels = as_labels(self.labels)
        if len(images) != len(labels):
            raise DataError(f"there are {len(images)} images but {len(labels)} labels")
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of shape, images and labels, in hexadecimal; computed at each access."""
        digest = hashlib.sha256()
        count = "no" if self.labels is None else str(len(self.labels))
        digest.update(f"{self.images.shape} images, {count} labels\n".encode())
        digest.update(self.images.data)
        if self.labels is not None:
            digest.update(self.labels.data)
        return digest.hexdigest()

    def head(self, rows: int) -> "Dataset":
        """Return the first ``rows`` images (all, if there are fewer) without copying them."""
        if rows < 0:
            raise DataError(f"asked for the first {rows} rows; give a number from 0")
        labels = None if self.labels is None else self.labels[:rows]
        return Dataset(self.images[:rows], labels, self.source)

    def split(self, dev: int = 1000, seed: int = 0) -> tuple["Dataset", "Dataset"]:
        """Shuffle the rows and hold some of them out.

        Parameters
        ----------
        dev
            The number of rows to hold out, at least 0 and fewer than there are.
        seed
            Equal seeds give equal splits, with any version of NumPy.

        Returns
        -------
        train, dev
            Two datasets that together hold each row once; ``dev`` has exactly ``dev`` rows.
        """
        if not isinstance(dev, (int, np.integer)) or not 0 <= dev < len(self):
            raise DataError(
                f"asked to hold out {dev!r} of {len(self)} rows; "
                "the number must be whole, at least 0, and leave a row to train on"
            )
        # RandomState, because NumPy has frozen its stream; that of default_rng may change.
        order = np.random.RandomState(seed).permutation(len(self))
        return self._rows(order[dev:]), self._rows(order[:dev])

    def _rows(self, rows: NDArray[np.int64]) -> "Dataset":
        labels = None if self.labels is None else self.labels[rows]
        return Dataset(self.images[rows], labels, self.source)

    def summary(self) -> str:
        """Return a few lines that say what is in here: shape, classes, density, memory."""
        memory = self.images.nbytes + (0 if self.labels is None else self.labels.nbytes)
        lines = [
            f"source   {self.source}",
            f"images   {self.images.shape[0]} x {self.images.shape[1]}, uint8",
            f"classes  {self._classes()}",
        ]
        if len(self):
            density = np.count_nonzero(self.images) / self.images.size
            # Sums of rows take a third of the time of a mean in float64.
            mean = self.images.sum(axis=1, dtype=np.uint64).sum() / self.images.size
            lines.append(f"pixels   {density:.1%} are not zero, mean {mean:.2f}")
        return "\n".join([*lines, f"memory   {memory / 1e6:.1f} MB"])

    def _classes(self) -> str:
        if self.labels is None:
            return "no labels"
        counts = np.bincount(self.labels, minlength=DIGITS)
        present = ", ".join(f"{label}: {count}" for label, count in enumerate(counts) if count)
        missing = ", ".join(str(label) for label, count in enumerate(counts) if not count)
        return (present or "none") + (f"; missing: {missing}" if missing else "")

    def __str__(self) -> str:
        """Return the summary."""
        return self.summary()

    def __repr__(self) -> str:
        """Return one short line."""
        kind = "unlabelled" if self.labels is None else "labelled"
        rows, features = self.images.shape
        return f"<Dataset: {rows} {kind} images of {features} pixels from {self.source}>"
