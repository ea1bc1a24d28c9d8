"""What the peers that train with batches have in common: images and labels as floats."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.measure.batches import Task
from fastdigit.measure.peers.work import scaled

Array = npt.NDArray[Any]


def pixels(task: Task, dtype: str) -> Array:
    """Return images (n, features) as floats: bytes divided by 255, floats as they are."""
    return scaled(task.images, dtype)


def targets(task: Task, dtype: str) -> Array:
    """Return a matrix (n, outputs): a 1 at each image's label, some of it spread over the row."""
    outputs = task.sizes[-1]
    rows: Array = (1 - task.label_smoothing) * np.eye(outputs) + task.label_smoothing / outputs
    return rows.astype(dtype)[task.labels]
