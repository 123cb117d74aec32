"""Numbers of a guarantee on paper: rounded up, so that no page claims more than was proven."""

import math
from decimal import ROUND_CEILING, Context, Decimal


def up(value: float, digits: int = 4) -> str:
    """``value`` with this many significant digits, never less than it is.

    For epsilon, delta and mu, which are upper bounds.

    >>> up(1.00049), up(1.0), up(1e-5)
    ('1.001', '1', '1e-05')
    """
    if not math.isfinite(value):
        return f"{value:g}"
    # The shortest decimal that stands for the float: 1e-5 is 1e-05, not a little more.
    exact = Decimal(repr(float(value)))
    return f"{float(Context(prec=digits, rounding=ROUND_CEILING).plus(exact)):.{digits}g}"


def pair(epsilon: float, delta: float) -> str:
    """(epsilon, delta) on paper."""
    return f"({up(epsilon)}, {up(delta)})"
