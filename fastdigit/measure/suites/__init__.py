"""The suites of benchmarks: what is asked, of whom, and what is right.

The same tables of contenders feed the tests, `pytest --benchmark-only`, `fastdigit compare` and
`fastdigit bench`. Nothing is imported here that imports NumPy, so that the number of threads can
still be set.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastdigit.measure.suites.plan import Plan, Setting

SUITES: Mapping[str, str] = {
    "kernels": "each fused kernel beside its NumPy twin",
    "iteration": "a full-batch iteration in every implementation",
    "training": "500 full-batch iterations, from bytes to trained weights",
    "scaling": "threads from 1 to all, and images from 10,000 to 1,000,000",
    "predict": "labels of 1,000,000 images",
    "start-up": "import, compilation without a cache, and start with one",
}
"""What each is about; it is the module of that name, with ``_`` for ``-``."""
DEFAULT = ("iteration", "kernels", "predict", "start-up")
"""Those that end in two minutes."""


def plans(name: str, setting: "Setting") -> "list[Plan]":
    """Return the questions of a suite."""
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    make: Callable[[Setting], list[Plan]] = module.plans
    return make(setting)
