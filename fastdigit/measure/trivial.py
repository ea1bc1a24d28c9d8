"""The smallest function that Numba compiles for several threads: what compiling costs at least."""

from typing import Any

import numba
import numpy as np


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def total(numbers: Any) -> Any:
    """Return the sum."""
    result = 0.0
    for i in numba.prange(len(numbers)):
        result += numbers[i]
    return result


def run() -> float:
    """Call it once."""
    return float(total(np.ones(1000)))
