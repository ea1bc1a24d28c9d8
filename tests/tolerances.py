"""How far fused kernels may be from their references: one number for each dtype."""

import numpy as np

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
"""Relative to the norm of what is compared, for logits of ordinary size (up to about 10)."""


def assert_close(found, expected, dtype, magnitude=1.0):
    """Require the norm of the difference to be small beside the norm of what was expected.

    Rounding a logit of size 1000 changes its e^z a hundred times as much as rounding one of size
    10, so where logits are large the caller passes that size as `magnitude`.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    error = np.linalg.norm(found.astype(np.float64) - expected)
    share = TOLERANCE[np.dtype(dtype).name] * max(1.0, magnitude / 10)
    # Below the smallest normal number there are no relative errors.
    allowed = share * np.linalg.norm(expected) + np.finfo(dtype).tiny
    assert error <= allowed, f"the norm of the error is {error:.3g}, {allowed:.3g} is allowed"


def assert_gradient_close(found, expected, sizes, dtype, magnitude=1.0):
    """Require every layer's weights and biases to be close, each by its own norm."""
    from fastdigit.kernels.parameters import views

    for mine, theirs in zip(views(found, sizes), views(expected, sizes), strict=True):
        for layer, reference in zip(mine, theirs, strict=True):
            assert_close(layer, reference, dtype, magnitude)
