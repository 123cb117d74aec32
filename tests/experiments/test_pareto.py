"""The Pareto front against its definition, and dominance on numbers made for it."""

import math

from hypothesis import given
from hypothesis import strategies as st

from limbeck.experiments.pareto import Point, dominating, front, sentence
from limbeck.types import Estimate

VALUES = st.integers(0, 4).map(float)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=8))
def test_the_front_is_what_nothing_betters(points: list[tuple[float, float]]) -> None:
    found = front(points)
    for i, (good, bad) in enumerate(points):
        bettered = False
        for other_good, other_bad in points:
            no_worse = other_good >= good and other_bad <= bad
            better = other_good > good or other_bad < bad
            bettered |= no_worse and better
        assert found[i] == (not bettered)


def test_what_is_unknown_is_on_no_front_and_betters_nothing() -> None:
    assert front([(0.9, math.nan), (0.5, 0.5), (math.nan, 0.0)]) == [False, True, False]


def point(name: str, accuracy: float, leak: float, half: float = 0.01) -> Point:
    return Point(
        name,
        Estimate(accuracy, accuracy - 0.01, accuracy + 0.01, 5),
        Estimate(leak, leak - half, leak + half, 500),
    )


FULL = point("full data", 0.97, 0.80)


def names(*points: Point) -> list[str]:
    return [p.name for p in dominating(points, chance=0.1)]


def test_who_leaks_less_than_all_that_are_as_accurate_dominates() -> None:
    condensed, subset = point("condensed", 0.88, 0.20), point("subset", 0.88, 0.50)
    assert names(FULL, subset, condensed) == ["condensed"]
    # The most accurate has no rival: it dominates nobody.
    assert names(FULL) == []
    # One that leaks less and is shown to be less accurate is no rival.
    assert names(FULL, condensed, point("blurred", 0.70, 0.12)) == ["condensed", "blurred"]


def test_intervals_that_meet_show_nothing() -> None:
    condensed, near = point("condensed", 0.88, 0.20), point("near", 0.885, 0.215)
    assert names(FULL, condensed, near) == []
    # The nearer one is a rival as long as it may be as accurate.
    assert names(FULL, condensed, point("near", 0.865, 0.205)) == []
    assert names(FULL, condensed, point("less", 0.85, 0.205)) == ["condensed"]
    unknown = Point("unknown", Estimate(0.9, 0.89, 0.91, 5), Estimate(math.nan))
    assert names(FULL, condensed, unknown) == []
    assert names(FULL, Point("one run", Estimate(0.9, trials=1), Estimate(0.2, 0.1, 0.3))) == []


def test_guessing_dominates_nothing() -> None:
    noise = Point("noise", Estimate(0.11, 0.09, 0.13, 5), Estimate(0.02, 0.01, 0.03, 500))
    assert names(FULL, noise) == []


def test_the_sentence_names_mechanism_accuracy_and_leak() -> None:
    said = sentence(
        [FULL, point("condensed", 0.88, 0.20), point("subset", 0.88, 0.50)], chance=0.1, fpr=0.1
    )
    assert said == (
        "At 10% false alarms condensed dominates at an accuracy of 88.0% [87.0%, 89.0%], where its "
        "attackers name 20.0% [19.0%, 21.0%] of the planted members and those of all others that "
        "may be as accurate at least 49.0%."
    )
    assert sentence([FULL], chance=0.1, fpr=0.01).startswith("No mechanism dominates")
