"""Intervals for rates whose trials share records and runs.

A trial is one (run, record). Trials of one record are dependent, and so are trials of one run.
The variance of a mean over trials is V_record + V_run - V_trial, two-way clustered on influence
values [Cameron, Gelbach and Miller 2011, doi:10.1198/jbes.2010.07136]. A rate then gets the exact
(Clopper-Pearson) interval of a binomial with as many trials as carry that variance [Korn and
Graubard 1998, Survey Methodology 24(2)]: it stays in [0, 1], is asymmetric near its ends, and has
no zero width there. Student's t stands in for the normal: with the smaller number of clusters, or
for rates of hits with Satterthwaite's degrees of freedom, since a variance that is hardly above
that of independent trials is known from all of them.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import sparse, special

from limbeck.types import Estimate

LEVEL = 0.95


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


def satterthwaite(influence: Float[np.ndarray, "runs units"]) -> float:
    """Degrees of freedom of ``two_way_variance``: many where little of it is due to clusters.

    Satterthwaite 1946 (doi:10.2307/3002019), with what either clustering adds to the variance of
    independent trials as the uncertain parts; never fewer than those of the fewer clusters.
    """
    runs, units = influence.shape
    run, unit, trial = _one_way_variances(influence)
    parts = ((run, runs), (unit, units))
    uncertain = sum(max(part - trial, 0.0) ** 2 / max(count - 1, 1) for part, count in parts)
    fewest = fewest_freedom(runs, units)
    if uncertain == 0:
        return max(fewest, influence.size - 1.0)
    return float(max(fewest, max(run + unit - trial, trial) ** 2 / uncertain))


def clopper_pearson(successes: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Exact two-sided interval of a binomial rate; counts need not be whole numbers."""
    tail, failures = (1 - level) / 2, trials - successes
    low = special.betaincinv(successes, failures + 1, tail) if successes > 0 else 0.0
    high = special.betaincinv(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return float(low), float(high)


def design_effect(
    value: float, influence: Float[np.ndarray, "runs records"], clusters: Clusters, at_most: int
) -> float:
    """How many times more the rate varies than over ``at_most`` independent trials; at least 1.

    1 also where the rate is exactly 0 or 1 and no spread can be seen.
    """
    independent = value * (1 - value) / at_most
    if independent == 0:
        return 1.0
    return max(two_way_variance(clusters.sum(influence)) / independent, 1.0)


def rate(
    value: float,
    influence: Float[np.ndarray, "runs records"],
    clusters: Clusters,
    *,
    at_most: int,
    trials: int,
    like: float = 1.0,
    freedom: float | None = None,
    level: float = LEVEL,
) -> Estimate:
    """A rate in [0, 1] with its interval.

    influence: what each trial adds to value's deviation from the truth (sums to 0).
    at_most: the largest number of independent binomial trials that the rate can be worth.
    trials: the count to report.
    like: design effect of a rate of the same trials that rests on more of them. A few hits fall
        on different records by luck and then look independent: half of any excess counts.
    freedom: of Student's t; None: one less than the smaller number of clusters.
    """
    effect = design_effect(value, influence, clusters, at_most)
    effect = max(effect, (effect + like) / 2)
    if freedom is None:
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
    """One-sided p-value of an excess over chance, by the two-way clustered t-test."""
    spread = math.sqrt(two_way_variance(clusters.sum(influence)))
    if spread == 0:
        return 1.0 if excess <= 0 else 0.0
    freedom = fewest_freedom(len(influence), clusters.count)
    return float(special.stdtr(freedom, -excess / spread))
