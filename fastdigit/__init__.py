"""Train networks that read handwritten digits, from scratch, on a CPU.

Names are loaded on first use, so that ``import fastdigit`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastdigit.data import Dataset, load_data, make_digits
    from fastdigit.errors import DataError, DivergenceError
    from fastdigit.history import History
    from fastdigit.network import Network
    from fastdigit.training import fit

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "fastdigit.data",
    "load_data": "fastdigit.data",
    "make_digits": "fastdigit.data",
    "DataError": "fastdigit.errors",
    "DivergenceError": "fastdigit.errors",
    "History": "fastdigit.history",
    "Network": "fastdigit.network",
    "fit": "fastdigit.training",
}

__all__ = [
    "DataError",
    "Dataset",
    "DivergenceError",
    "History",
    "Network",
    "__version__",
    "fit",
    "load_data",
    "make_digits",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastdigit' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
