"""How far fused kernels may be from their references; see `fastdigit.measure.suites.tolerance`."""

import numpy as np

from fastdigit.measure.suites.tolerance import TOLERANCE as TOLERANCE
from fastdigit.measure.suites.tolerance import distance


def assert_close(found, expected, dtype, magnitude=1.0):
    """Require the norm of the difference to be small beside the norm of what was expected.

    Rounding a logit of size 1000 changes its e^z a hundred times as much as rounding one of size
    10, so where logits are large the caller passes that size as `magnitude`.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    apart = distance(found, expected, dtype, magnitude)
    assert apart.close, (
        f"the norm of the error is {apart.error:.3g}, {apart.allowed:.3g} is allowed"
    )


def assert_gradient_close(found, expected, sizes, dtype, magnitude=1.0):
    """Require every layer's weights and biases to be close, each by its own norm."""
    from fastdigit.kernels.parameters import views

    for mine, theirs in zip(views(found, sizes), views(expected, sizes), strict=True):
        for layer, reference in zip(mine, theirs, strict=True):
            assert_close(layer, reference, dtype, magnitude)
