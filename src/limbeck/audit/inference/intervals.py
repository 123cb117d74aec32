"""Intervals for rates whose trials share records and runs.

A trial is one (run, record). Trials of one record are dependent, and so are trials of one run.
The variance of a mean over trials is V_record + V_run - V_trial, two-way clustered on influence
values [Cameron, Gelbach and Miller 2011, doi:10.1198/jbes.2010.07136]. A rate then gets the
interval of a binomial with as many trials as carry that variance [Korn and Graubard 1998, Survey
Methodology 24(2)]: it stays in [0, 1], is asymmetric near its ends, and has no zero width there.
Student's t stands in for the normal: with the smaller number of clusters, or for rates of hits
with Satterthwaite's degrees of freedom, since a variance that is hardly above that of independent
trials is known from all of them.

Where next to no hit is expected, the exact interval of a binomial (Clopper-Pearson) covers far
more than it says, and rates of hits take its mid-p form [Lancaster 1961,
doi:10.1080/01621459.1961.10482105], which covers what it says on average.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse, special

from limbeck.types import Estimate

LEVEL = 0.95
_TINY = 1e-300  # where a rate found by inversion may be one that underflowed
_EXACT, _MOST_STEPS = 1e-12, 64  # of a rate that is searched for


@dataclass(frozen=True)
class Clusters:
    """The units that share their coins: ``units[j]`` is record j's, numbered from 0."""

    units: np.ndarray

    @classmethod
    def of(cls, units: np.ndarray) -> "Clusters":
        """Any labels of units, numbered in sorted order."""
        return cls(np.unique(units, return_inverse=True)[1].reshape(-1))

    @classmethod
    def separate(cls, records: int) -> "Clusters":
        """Every record its own unit."""
        return cls(np.arange(records))

    @property
    def count(self) -> int:
        """Number of units."""
        return int(self.units.max()) + 1

    @property
    def first(self) -> np.ndarray:
        """int64 (units,), the first record of each unit."""
        return np.unique(self.units, return_index=True)[1]

    def sum(self, values: Float[np.ndarray, "runs records"]) -> Float[np.ndarray, "runs units"]:
        """Sums over the records of each unit."""
        if self.count == len(self.units):
            return values[:, np.argsort(self.units)]
        ones = np.ones(len(self.units))
        indicator = sparse.csr_array((ones, (np.arange(len(ones)), self.units)))
        return np.asarray(values @ indicator)


def _one_way_variances(influence: Float[np.ndarray, "runs units"]) -> tuple[float, float, float]:
    """Variances clustered by run, by unit and by trial; each with its factor k / (k - 1)."""
    runs, units = influence.shape
    run = float((influence.sum(1) ** 2).sum()) * runs / max(runs - 1, 1)
    unit = float((influence.sum(0) ** 2).sum()) * units / max(units - 1, 1)
    return run, unit, float(np.vdot(influence, influence))


def two_way_variance(influence: Float[np.ndarray, "runs units"]) -> float:
    """Variance of an estimate from the influence of each trial on it, clustered by run and unit.

    The result is never below the variance of independent trials: dependence that narrows an
    interval is not relied on.
    """
    run, unit, trial = _one_way_variances(influence)
    return max(run + unit - trial, trial)


def clopper_pearson(successes: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Exact two-sided interval of a binomial rate; counts need not be whole numbers."""
    tail, failures = (1 - level) / 2, trials - successes
    low = special.betaincinv(successes, failures + 1, tail) if successes > 0 else 0.0
    high = special.betaincinv(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return float(low), float(high)


def mid_p(
    successes: Float[np.ndarray, " rates"],
    trials: Float[np.ndarray, " rates"],
    level: float = LEVEL,
) -> tuple[Float[np.ndarray, " rates"], Float[np.ndarray, " rates"]]:
    """Mid-p intervals of binomial rates; counts need not be whole numbers.

    Its ends are the rates at which P[more] + P[equal] / 2 is one tail and all but one tail: a
    little inside Clopper-Pearson's, where P[equal] counts in full.
    """
    low, high, tail = np.zeros(len(trials)), np.ones(len(trials)), (1 - level) / 2
    failures = trials - successes
    some, short = successes > 0, failures > 0
    low[some] = _mid_p_end(successes[some], failures[some], tail)
    high[short] = _mid_p_end(successes[short], failures[short], 1 - tail)
    return low, high


def _mid_p_end(
    k: Float[np.ndarray, " rates"], failures: Float[np.ndarray, " rates"], wanted: float
) -> Float[np.ndarray, " rates"]:
    """The rates at which P[more than k] + P[k] / 2 is as wanted: Newton steps in a bracket."""
    some, other = k > 0, failures > 0
    # Of no success, or no failure, P is known: 1.0 only stands in for what is not looked at.
    a, b = np.where(some, k, 1.0), np.where(other, failures, 1.0)
    # Between the rates at which as many or more, and at which more alone, are as likely.
    low = np.where(some, special.betaincinv(a, failures + 1, wanted), 0.0)
    high = np.where(other, special.betaincinv(k + 1, b, wanted), 1.0)
    low = np.where(low > _TINY, low * (1 - 1e-9), 0.0)
    high = np.minimum(high * (1 + 1e-9), 1.0)
    at = (low + high) / 2
    for _ in range(_MOST_STEPS):
        as_many = np.where(some, special.betainc(a, failures + 1, at), 1.0)
        more = np.where(other, special.betainc(k + 1, b, at), 0.0)
        above = (as_many + more) / 2 - wanted
        low, high = np.where(above < 0, at, low), np.where(above < 0, high, at)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # The slope of P[k or more] is k P[k] / rate, that of P[more] (n - k) P[k] / (1 - rate).
            slope = (as_many - more) / 2 * (k / at + failures / (1 - at))
            newton = at - above / slope
        following = np.where((low <= newton) & (newton <= high), newton, (low + high) / 2)
        moved = np.abs(following - at).max(initial=0.0)
        at = following
        if moved <= _EXACT:
            break
    return at


def rate(
    value: float,
    influence: Float[np.ndarray, "runs records"],
    clusters: Clusters,
    *,
    at_most: int,
    trials: int,
    level: float = LEVEL,
) -> Estimate:
    """A rate in [0, 1] with its interval.

    influence: what each trial adds to value's deviation from the truth (sums to 0).
    at_most: the largest number of independent binomial trials that the rate can be worth.
    trials: the count to report.
    """
    independent = value * (1 - value) / at_most
    effect = 1.0  # also of a rate of exactly 0 or 1, where no spread can be seen
    if independent > 0:
        effect = max(two_way_variance(clusters.sum(influence)) / independent, 1.0)
    freedom = fewest_freedom(len(influence), clusters.count)
    effective = at_most / effect * student_discount(freedom, level)
    low, high = clopper_pearson(value * effective, effective, level)
    return Estimate(value, low, high, trials, level)


def fewest_freedom(runs: int, units: int) -> float:
    """Degrees of freedom of the smaller number of clusters; at least 1."""
    return float(max(min(runs, units) - 1, 1))


def student_discount(freedom: float, level: float = LEVEL) -> float:
    """Factor on the effective trials, below 1, that widens normal intervals to Student's t."""
    tail = (1 + level) / 2
    return float((special.ndtri(tail) / special.stdtrit(freedom, tail)) ** 2)


def student_p_value(
    excess: float,
    influence: Float[np.ndarray, "runs records"],
    clusters: Clusters,
) -> float:
    """One-sided p-value of an excess over chance, by the two-way clustered t-test.

    Without any spread all coins were guessed right. That has the chance of so many fair coins, of
    which leave-one-out counts half (it uses every pair of runs twice): few coins prove nothing.
    """
    spread = math.sqrt(two_way_variance(clusters.sum(influence)))
    if spread == 0:
        return 1.0 if excess <= 0 else 0.5 ** (len(influence) * clusters.count / 2)
    freedom = fewest_freedom(len(influence), clusters.count)
    return float(special.stdtr(freedom, -excess / spread))
