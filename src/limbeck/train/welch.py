"""Intervals of differences and ratios of independent means."""

from collections.abc import Sequence
from math import inf, sqrt
from statistics import stdev

from limbeck.types import Estimate


def welch(
    value: float,
    parts: Sequence[tuple[Sequence[float], float]],
    lowest: float = -inf,
    highest: float = inf,
    level: float = 0.95,
) -> Estimate:
    """``value`` with its interval, within [lowest, highest], as a function of independent means.

    parts: the trials behind each mean, and the slope of ``value`` in that mean.

    Variances need not be equal: Student's interval with the degrees of freedom of Welch (1947)
    and Satterthwaite (1946). No interval where a mean rests on one trial.
    """
    # Imported here, as in ``Estimate``: commands that only show estimates do without SciPy.
    from scipy.stats import t

    trials = sum(len(values) for values, _ in parts)
    if min(len(values) for values, _ in parts) < 2:
        return Estimate(value, trials=trials, level=level)
    variances = [(slope * stdev(values)) ** 2 / len(values) for values, slope in parts]
    total = sum(variances)
    if total == 0:
        return Estimate(value, value, value, trials, level)
    freedom = total**2 / sum(
        v**2 / (len(values) - 1) for v, (values, _) in zip(variances, parts, strict=True)
    )
    reach = float(t.ppf((1 + level) / 2, freedom)) * sqrt(total)
    return Estimate(value, max(lowest, value - reach), min(highest, value + reach), trials, level)
