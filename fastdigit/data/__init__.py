"""Where digits come from: files, the built-in generator, and the data set they end up in."""

from typing import TYPE_CHECKING, Any

from fastdigit.data.augment import AFFINE, ELASTIC, Augment
from fastdigit.data.dataset import Dataset
from fastdigit.data.default import default_data
from fastdigit.data.images import as_images
from fastdigit.data.labels import as_labels
from fastdigit.data.loading import load_data

if TYPE_CHECKING:
    from fastdigit.data.drawing import make_digits

__all__ = [
    "AFFINE",
    "ELASTIC",
    "Augment",
    "Dataset",
    "as_images",
    "as_labels",
    "default_data",
    "load_data",
    "make_digits",
]


def __getattr__(name: str) -> Any:
    if name != "make_digits":
        raise AttributeError(f"module 'fastdigit.data' has no attribute {name!r}")
    # Drawing is compiled, so Numba is imported only when digits are asked for.
    from fastdigit.data.drawing import make_digits

    return make_digits
