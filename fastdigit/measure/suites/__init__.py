"""The suites of benchmarks: what is asked, of whom, and what is right.

The same tables of contenders feed the tests, `pytest --benchmark-only`, `fastdigit compare` and
`fastdigit bench`. Nothing is imported here that imports NumPy, so that the number of threads can
still be set.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastdigit.measure.suites.plan import Plan, Setting


class Suite(NamedTuple):
    """What a suite is about, and how long it takes."""

    about: str
    seconds: float
    """By default, to end with narrow intervals on a machine that is not busy."""
    default: bool = False
    """Whether it is run where none is named."""


SUITES: Mapping[str, Suite] = {
    "iteration": Suite("a full-batch iteration in every implementation", 45.0, True),
    "kernels": Suite("each fused kernel beside its NumPy twin", 70.0),
    "predict": Suite("labels of 1,000,000 images", 25.0, True),
    "start-up": Suite("import, compilation without a cache, start with one", 35.0, True),
    "scaling": Suite("1 to all threads, 10,000 to 1,000,000 images", 180.0),
    "training": Suite("500 full-batch iterations, from bytes to weights", 240.0),
}
"""In the order in which they run; each is the module of its name, with ``_`` for ``-``."""

WITH_PEERS = 4.0
"""Times as long with other libraries."""


def plans(name: str, setting: "Setting") -> "list[Plan]":
    """Return the questions of a suite."""
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    make: Callable[[Setting], list[Plan]] = module.plans
    return make(setting)
