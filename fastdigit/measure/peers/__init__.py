"""Other libraries at the same work, each at its best: a second table of contenders.

None of them is imported before it is built, and none is needed by anything else: they come with
``pip install -e ".[peers]"``. All read floats that were divided by 255 before the clock starts, and
compute no loss and no accuracy unless they cannot do without.
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from fastdigit.measure.contenders import Contender, Task

INSTALL = 'pip install -e ".[peers]"'
PACKAGES = ("jax", "jaxlib", "torch", "scipy", "scikit-learn", "onnxruntime", "onnx")
"""As they are installed; their versions belong to every result."""


class Peer(NamedTuple):
    """A training loop of another library, which is imported when the loop is built."""

    package: str
    """As it is imported."""
    module: str
    """Of this package, where the loop is written."""
    loop: str
    """The name of its class."""
    dtype: str
    sparse: bool = False
    """Whether it stores no zeros, and so is of no use for images without any."""

    def __call__(self, task: Task) -> Contender:
        """Import the library and prepare the work.

        Raises
        ------
        ImportError
            If the library is not installed.
        """
        module = import_module(f"{__name__}.{self.module}")
        contender: Contender = getattr(module, self.loop)(task, self.dtype)
        return contender

    @property
    def installed(self) -> bool:
        """Whether the library is there."""
        return find_spec(self.package) is not None


def _both(name: str, package: str, module: str, loop: str, sparse: bool = False) -> dict[str, Peer]:
    return {
        f"{name}-{suffix}": Peer(package, module, loop, dtype, sparse)
        for suffix, dtype in (("f64", "float64"), ("f32", "float32"))
    }


PEERS: Mapping[str, Peer] = {
    **_both("jax-jit", "jax", "jax", "Steps"),
    **_both("jax-loop", "jax", "jax", "Loop"),
    **_both("jax-tuned", "jax", "jax", "Tuned"),
    **_both("torch-eager", "torch", "pytorch", "Eager"),
    **_both("torch-compile", "torch", "pytorch", "Compiled"),
    **_both("torch-manual", "torch", "pytorch", "Manual"),
    **_both("torch-csr", "torch", "pytorch", "Compressed", sparse=True),
    **_both("scipy-csr", "scipy", "scipy", "Compressed", sparse=True),
    **_both("sklearn", "sklearn", "scikit_learn", "Classifier"),
}
