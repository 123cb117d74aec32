"""Frozen values that every package shares: estimates, guarantees, ledger events."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any, Literal


@dataclass(frozen=True)
class Estimate:
    """A measured value with its interval and the trials behind it.

    Rates are fractions, never percent. ``low`` and ``high`` bound ``value`` at the
    confidence ``level``; an estimate without an interval has both equal to NaN.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    trials: int = 0
    level: float = 0.95

    @classmethod
    def of_mean(cls, values: Sequence[float], level: float = 0.95) -> "Estimate":
        """The mean of rates, with Student's interval over ``values``, its trials, within [0, 1].

        One value has no interval.
        """
        # Imported here: commands that only show estimates do without SciPy.
        from scipy.stats import t

        n, mean = len(values), fmean(values)
        if n == 1:
            return cls(mean, trials=1, level=level)
        reach = float(t.ppf((1 + level) / 2, n - 1)) * stdev(values) / math.sqrt(n)
        return cls(mean, max(0.0, mean - reach), min(1.0, mean + reach), n, level)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; NaN and infinity, which JSON lacks, become None."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in asdict(self).items()
        }

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


Adjacency = Literal["add-remove", "replace-one"]
"""Which datasets are neighbours: those that differ by one more unit, or by another in its place."""

Unit = Literal["record", "group"]
"""What a guarantee protects: one record, or all records of one group (a person, a hospital)."""


@dataclass(frozen=True)
class Event:
    """Noisy queries of the private data, as the ledger of a guarantee records them.

    sensitivity: the most that neighbouring datasets differ in the query, in L2 norm.
    noise_scale: of the noise on each coordinate, in the same units.
    count: how often it was run, each time with noise of its own.
    rate: chance of each record to take part in a run (Poisson sampling); 1 is every record. The
        sensitivity of a sampled event is that of adding one record.
    """

    name: str
    mechanism: str
    sensitivity: float
    noise_scale: float
    count: int = 1
    rate: float = 1.0


@dataclass(frozen=True)
class Guarantee:
    """A differential-privacy guarantee and the ledger of noisy events it rests on.

    mu: the stronger claim of mu-GDP, a whole trade-off curve, where the events have one.
    """

    epsilon: float
    delta: float
    adjacency: Adjacency = "add-remove"
    unit: Unit = "record"
    events: tuple[Event, ...] = ()
    mu: float | None = None


ClassesFrom = Literal["list", "source", "data"]
"""Where the names of classes come from: the user's list, the source's own, or the records."""


Access = Literal["none", "sums", "records"]
"""How a component reads private data: not at all, through sums of statistics, or freely."""
