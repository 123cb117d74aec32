"""Who leaks least at which accuracy: the Pareto front, and a sentence only where intervals part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.types import Estimate


@dataclass(frozen=True)
class Point:
    """One mechanism: its test accuracy, and the share of members that its best attack names."""

    name: str
    accuracy: Estimate
    leak: Estimate


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which of these (good, bad) pairs no other betters: at least as good, no worse, and not both.

    Equal pairs are all on the front; a pair with NaN never is, and betters none.
    """
    return [
        all(map(math.isfinite, own))
        and not any(good >= own[0] and bad <= own[1] and (good, bad) != own for good, bad in points)
        for own in points
    ]


def rivals(point: Point, points: Sequence[Point]) -> list[Point]:
    """The others that are not shown to be less accurate than ``point``: intervals say so."""
    least = point.accuracy.low
    return [other for other in points if other is not point and not other.accuracy.high < least]


def dominating(points: Sequence[Point], *, chance: float) -> list[Point]:
    """Those that leak less than every rival, most accurate first; there is at least one rival.

    "Less" is shown by intervals that do not meet; where one is unknown, nothing is shown.
    chance: the accuracy of guessing. What is not shown to beat it dominates nothing.
    """
    found = [
        point
        for point in points
        if point.accuracy.low > chance
        and rivals(point, points)
        and all(point.leak.high < other.leak.low for other in rivals(point, points))
    ]
    return sorted(found, key=lambda point: -point.accuracy.value)


def sentence(points: Sequence[Point], *, chance: float, fpr: float) -> str:
    """Which mechanism dominates at which accuracy, or that none does."""
    found = dominating(points, chance=chance)
    alarms = f"{100 * fpr:.3g}% false alarms"
    if not found:
        return (
            f"No mechanism dominates at any accuracy: nowhere does one name fewer of the planted "
            f"members at {alarms}, by intervals that do not meet, than all others that may be as "
            "accurate."
        )
    parts = []
    for point in found:
        least = min(other.leak.low for other in rivals(point, points))
        parts.append(
            f"{point.name} dominates at an accuracy of {_percent(point.accuracy)}, where its "
            f"attackers name {_percent(point.leak)} of the planted members and those of all "
            f"others that may be as accurate at least {least:.1%}"
        )
    return f"At {alarms} " + "; ".join(parts) + "."


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"
