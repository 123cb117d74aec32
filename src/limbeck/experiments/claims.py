"""A paper's claim, our figures for it, and the verdict that follows from their intervals.

What would bear a claim out is written down as a range before anything runs. Where the whole
interval lies in the range the figure agrees, where it lies wholly outside it disagrees, and
otherwise the experiment cannot tell. No verdict rests on a point value.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from limbeck.types import Estimate

CONTROL = "limbeck, as a control"
"""Source of a claim that nobody made, and without which another cannot be weighed."""

Verdict = Literal["agrees", "disagrees", "can't tell"]
Unit = Literal["percent", "points", "number"]
"""How a figure is printed: a rate, a difference of rates, or a number of no unit."""


@dataclass(frozen=True)
class Measured:
    """One of our figures, and where it would have to lie for the claim to hold.

    lowest, highest: that range, ends included. With neither the figure stands beside the others
        and decides nothing.
    """

    what: str
    estimate: Estimate
    lowest: float = -math.inf
    highest: float = math.inf
    unit: Unit = "percent"

    def __post_init__(self) -> None:
        if not self.lowest <= self.highest:
            raise ValueError(f"{self.what}: no figure is from {self.lowest} to {self.highest}")

    @property
    def decides(self) -> bool:
        """Whether the verdict depends on this figure."""
        return math.isfinite(self.lowest) or math.isfinite(self.highest)

    @property
    def verdict(self) -> Verdict:
        """What this figure says alone; an estimate without an interval says nothing."""
        low, high = self.estimate.low, self.estimate.high
        if math.isnan(low) or math.isnan(high):
            return "can't tell"
        if self.lowest <= low and high <= self.highest:
            return "agrees"
        return "disagrees" if high < self.lowest or low > self.highest else "can't tell"

    @property
    def wanted(self) -> str:
        """The range in words; empty where the figure decides nothing."""
        low, high = (_written(end, self.unit) for end in (self.lowest, self.highest))
        unit = _UNIT_WORDS[self.unit]
        if math.isfinite(self.lowest) and math.isfinite(self.highest):
            return f"within {low} to {high}{unit}"
        if math.isfinite(self.lowest):
            return f"at least {low}{unit}"
        return f"at most {high}{unit}" if self.decides else ""

    def __str__(self) -> str:
        wanted = f" (holds: {self.wanted})" if self.decides else ""
        return f"{self.what}: {written(self.estimate, self.unit)}{wanted}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; a range without an end has None there."""
        ends = {"lowest": self.lowest, "highest": self.highest}
        return {
            "what": self.what,
            "estimate": self.estimate.to_json(),
            "unit": self.unit,
            **{name: end if math.isfinite(end) else None for name, end in ends.items()},
            "verdict": self.verdict if self.decides else None,
        }


@dataclass(frozen=True)
class Claim:
    """What somebody said, and what we measured.

    words: the claim, in our words. source: who made it. published: the figure that was published,
    in words, where it is known. remark: what a reader must know to weigh the verdict.
    """

    words: str
    source: str
    measured: tuple[Measured, ...]
    published: str | None = None
    remark: str = ""

    @property
    def verdict(self) -> Verdict:
        """That of all deciding figures together."""
        return together(m.verdict for m in self.measured if m.decides)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``claims.json``."""
        return {
            "claim": self.words,
            "source": self.source,
            "published": self.published,
            "measured": [m.to_json() for m in self.measured],
            "verdict": self.verdict,
            "remark": self.remark,
        }


def more(what: str, estimate: Estimate, unit: Unit = "points") -> Measured:
    """A difference that the claim has at zero or above."""
    return Measured(what, estimate, lowest=0.0, unit=unit)


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """A claim about several figures fails with one of them, and holds with all of them."""
    found = set(verdicts)
    if "disagrees" in found:
        return "disagrees"
    return "agrees" if found == {"agrees"} else "can't tell"


def written(estimate: Estimate, unit: Unit) -> str:
    """A figure with its interval on paper; one that has none says so."""
    value, low, high = (_written(v, unit) for v in (estimate.value, estimate.low, estimate.high))
    if not math.isfinite(estimate.value):
        return value
    if math.isnan(estimate.low):
        return f"{value}{_UNIT_WORDS[unit]} (no interval)"
    return f"{value} [{low}, {high}]{_UNIT_WORDS[unit]}"


def percent(rate: Estimate) -> str:
    """A rate with its interval on paper."""
    return written(rate, "percent")


_UNIT_WORDS: dict[Unit, str] = {"percent": "", "points": " points", "number": ""}
"""Said once, after the last figure."""

_SMALLEST = 0.05
"""Of percent and points, that one decimal shows."""


def _written(value: float, unit: Unit) -> str:
    if not math.isfinite(value):
        return "not measured"
    if unit == "number":
        return f"{value:.3g}"
    hundred = round(100 * value, 9) + 0.0  # no "-0.0", and no dust of subtraction
    # One digit of what would else be rounded to zero: on which side of it an end lies decides.
    digits = ".1g" if 0 < abs(hundred) < _SMALLEST else ".1f"
    if unit == "percent":
        return f"{hundred:{digits}}%"
    return f"{hundred:+{digits}}" if hundred else "0"
