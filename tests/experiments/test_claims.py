"""Verdicts follow from intervals alone, and only what was read is printed as a paper's figure."""

import json
import math

import pytest

from limbeck import Estimate
from limbeck.errors import OptionError
from limbeck.experiments import published
from limbeck.experiments.claims import Claim, Measured, Verdict, more, together


def measured(low: float, high: float, lowest: float = 0.4, highest: float = 0.6) -> Measured:
    return Measured("x", Estimate((low + high) / 2, low, high, 10), lowest, highest)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.45, 0.55, "agrees"),
        (0.4, 0.6, "agrees"),  # ends belong to the range
        (0.39, 0.55, "can't tell"),
        (0.5, 0.61, "can't tell"),
        (0.1, 0.9, "can't tell"),
        (0.1, 0.39, "disagrees"),
        (0.61, 0.9, "disagrees"),
        (0.1, 0.4, "can't tell"),  # it touches
    ],
)
def test_verdict_of_a_range(low: float, high: float, verdict: Verdict) -> None:
    assert measured(low, high).verdict == verdict


def test_one_sided_ranges_and_figures_without_an_interval() -> None:
    assert measured(0.1, 0.2, -math.inf, 0.2).verdict == "agrees"
    assert measured(0.1, 0.2, 0.15, math.inf).verdict == "can't tell"
    assert measured(0.1, 0.2, 0.21, math.inf).verdict == "disagrees"
    assert Measured("x", Estimate(0.5), lowest=0.4).verdict == "can't tell"
    assert Measured("x", Estimate(math.nan), lowest=0.4).verdict == "can't tell"


def test_a_difference_that_is_to_be_more_holds_from_zero_on() -> None:
    found = [more("a less b", Estimate(low + 0.05, low, low + 0.1)) for low in (0.0, -0.01, -0.2)]
    assert [one.verdict for one in found] == ["agrees", "can't tell", "disagrees"]
    assert found[0].wanted == "at least 0 points"


def test_a_claim_fails_with_one_figure_and_holds_with_all() -> None:
    assert together(["agrees", "disagrees", "can't tell"]) == "disagrees"
    assert together(["agrees", "can't tell"]) == "can't tell"
    assert together(["agrees", "agrees"]) == "agrees"
    assert together([]) == "can't tell"
    beside = Measured("beside", Estimate(0.9, 0.8, 1.0, 5))
    good, bad = measured(0.45, 0.55), measured(0.9, 0.95)
    assert Claim("c", "s", (good, beside)).verdict == "agrees"
    assert Claim("c", "s", (good, bad, beside)).verdict == "disagrees"
    assert Claim("c", "s", (beside,)).verdict == "can't tell"


def test_claims_on_paper_and_as_json() -> None:
    one = Measured("share", Estimate(0.5, 0.25, 0.75, 8), lowest=0.3)
    assert str(one) == "share: 50.0% [25.0%, 75.0%] (holds: at least 30.0%)"
    assert str(Measured("gap", Estimate(-0.0, -1e-17, 0.0), 0.0, unit="points")).startswith(
        "gap: 0 [0, 0] points"
    )
    difference = Measured("gap", Estimate(-0.0001, -0.02, 0.01), -0.05, 0.05, unit="points")
    assert str(difference) == ("gap: -0.01 [-2.0, +1.0] points (holds: within -5.0 to +5.0 points)")
    assert str(Measured("bare", Estimate(3.14159), unit="number")) == "bare: 3.14 (no interval)"
    assert str(Measured("none", Estimate(math.nan))) == "none: not measured"
    written = Claim("it leaks", "somebody", (one, difference), "90%", "but").to_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["verdict"] == "can't tell"
    assert written["measured"][0]["lowest"] == 0.3 and written["measured"][0]["highest"] is None


def test_only_figures_that_were_read_are_stated() -> None:
    figures = {
        "a": {"what": "accuracy", "value": 90.0, "status": "read"},
        "b": {"what": "recall", "value": 80.0, "status": "recalled"},
    }
    known = published.Paper("k", "t", "a", "v", "n", figures)
    assert known.stated("a", "b") == "accuracy 90%"
    assert known.stated("b") is None
    with pytest.raises(OptionError, match="no figure 'c'"):
        known.stated("c")
    with pytest.raises(OptionError, match="gujarathi2022"):
        published.paper("nobody1999")
    for key in ("dong2022", "carlini2022", "gujarathi2022", "kaleidoscope2024", "zhao2025"):
        assert published.paper(key).title
