"""Where digits come from: files, the built-in generator, and the data set they end up in."""

from typing import TYPE_CHECKING, Any

from fastdigit.data.dataset import Dataset
from fastdigit.data.default import default_data
from fastdigit.data.images import as_images
from fastdigit.data.labels import as_labels
from fastdigit.data.loading import load_data

if TYPE_CHECKING:
    from fastdigit.data.make_digits import make_digits

__all__ = ["Dataset", "as_images", "as_labels", "default_data", "load_data", "make_digits"]


def __getattr__(name: str) -> Any:
    if name != "make_digits":
        raise AttributeError(f"module 'fastdigit.data' has no attribute {name!r}")
    from fastdigit.data.make_digits import make_digits

    # The import has bound this name to the module; whoever asks means the function.
    globals()["make_digits"] = make_digits
    return make_digits
