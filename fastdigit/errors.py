"""What fastdigit raises when it cannot go on, and how it warns when it can."""

import sys
import warnings


class DataError(ValueError):
    """Data that cannot be read or used as it is; the message names the place and what to do."""


class DivergenceError(ArithmeticError):
    """Training whose loss or weights became NaN or infinite; the last finite weights were kept."""


def warn_caller(message: str) -> None:
    """Give a UserWarning that points at the line outside the package that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
