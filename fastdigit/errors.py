"""What fastdigit raises when it cannot go on."""


class DataError(ValueError):
    """Data that cannot be read or used as it is; the message names the place and what to do."""


class DivergenceError(ArithmeticError):
    """Training whose loss or weights became NaN or infinite; the last finite weights were kept."""
