"""Numbers as they stand on paper: percent with as many digits as the interval carries.

Rates are fractions in code and percent only here. A value is never printed bare: without an
interval, or without a number of trials behind it, the note beside it says so.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from limbeck.audit.evidence import Estimate
from limbeck.privacy.digits import up


@dataclass(frozen=True)
class Printed:
    """A number on paper: the value, and what must be read with it (interval, reservations)."""

    value: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.note}".strip()


NOT_MEASURED = Printed("not measured")


def percent(estimate: Estimate) -> Printed:
    """A rate and its interval in percent, such as ``1.2% [0.8%, 1.9%]``."""
    decimals = _decimals(100 * estimate.value, 100 * (estimate.high - estimate.low))
    return _with_interval(estimate, lambda rate: f"{_fixed(100 * rate, decimals)}%")


def score(estimate: Estimate) -> Printed:
    """A number that is not a rate, such as an AUC, with its interval: ``0.743 [0.731, 0.755]``."""
    decimals = 2 if estimate.high - estimate.low >= 0.1 else 3
    return _with_interval(estimate, lambda value: _fixed(value, decimals))


def lower_bound(estimate: Estimate) -> Printed:
    """A measured lower bound on epsilon: one-sided, its confidence takes the interval's place."""
    if not math.isfinite(estimate.value):
        return NOT_MEASURED
    value, shown = (f"at least {estimate.value:.2f}", "")
    if estimate.value <= 0:
        value, shown = "0", "nothing shown, "
    notes = [f"{shown}at {100 * estimate.level:.4g}% confidence", *_reservations(estimate)]
    return Printed(value, f"({', '.join(notes)})")


def rate(value: float) -> str:
    """A rate that has no interval by nature, such as a nominal one: ``0.1%``."""
    return f"{100 * value:.3g}%" if math.isfinite(value) else str(NOT_MEASURED)


def p_value(value: float) -> str:
    """A probability under "there is no leak": ``p = 0.032``, ``p < 0.001``."""
    if not math.isfinite(value):
        return "p not recorded"
    return f"p = {value:.2g}" if value >= 0.001 else "p < 0.001"


def plain(value: float) -> str:
    """A setting without an exponent, so that anyone can read it: ``0.00001``."""
    if not math.isfinite(value):
        return str(NOT_MEASURED)
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def upper(value: float) -> str:
    """An upper bound such as a proven epsilon, rounded up, without an exponent: ``1.001``."""
    return plain(float(up(value))) if math.isfinite(value) else str(NOT_MEASURED)


def duration(seconds: float | int | None) -> str:
    """A time a person can grasp: ``0.4 s``, ``38 s``, ``2 min 5 s``, ``3 h 20 min``."""
    if seconds is None or not math.isfinite(seconds):
        return str(NOT_MEASURED)
    whole = round(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def memory(mebibytes: float | int | None) -> str:
    """An amount of memory: ``512 MiB``, ``3.4 GiB``."""
    if mebibytes is None or not math.isfinite(mebibytes):
        return str(NOT_MEASURED)
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def _with_interval(estimate: Estimate, write: Callable[[float], str]) -> Printed:
    if not math.isfinite(estimate.value):
        return NOT_MEASURED
    notes = _reservations(estimate)
    interval = ""
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        # A no-break space: an interval is never cut at the end of a line.
        interval = f"[{write(estimate.low)},\u00a0{write(estimate.high)}]"
        if estimate.level != 0.95:
            notes.insert(0, f"{100 * estimate.level:.4g}% interval")
    else:
        notes.insert(0, "no interval")
    reserved = f"({', '.join(notes)})" if notes else ""
    return Printed(write(estimate.value), f"{interval} {reserved}".strip())


def _fixed(value: float, decimals: int) -> str:
    # Rounded first and then added to zero: no "-0.0".
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _reservations(estimate: Estimate) -> list[str]:
    return [] if estimate.trials > 0 else ["number of trials not recorded"]


def _decimals(value: float, width: float) -> int:
    """Decimals that show the interval's width to two digits; by the value where there is none."""
    size = width if math.isfinite(width) and width > 0 else value / 10
    if not math.isfinite(size) or size <= 0:
        return 1
    return min(3, max(0, 1 + math.ceil(-math.log10(size))))
