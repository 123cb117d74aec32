"""Measured and proven epsilon on one axis."""

import math
import xml.etree.ElementTree as ElementTree

from limbeck.audit.evidence import Claim, Estimate
from limbeck.report.epsilon_axis import Row, epsilon_axis, of_subject
from limbeck.report.html import render

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return [e.text for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_row_is_drawn_and_a_refuted_claim_is_crossed():
    broken = Row("broken", 3.1, 1.0, refuted=True)
    rows = [Row("dp-merf", 0.4, 1.0), broken, Row("undefended", 2.0, None)]
    drawn = epsilon_axis(rows)
    assert drawn == epsilon_axis(rows), "the same bytes"
    assert {"dp-merf", "broken", "undefended"} <= set(texts(drawn))
    assert "#b3261e" in drawn
    assert "#b3261e" not in epsilon_axis([rows[0], rows[2]])
    # A bound at 95% lies beyond one true claim in twenty: that alone refutes none.
    assert "#b3261e" not in epsilon_axis([Row("lucky", 1.1, 1.0)])


def test_a_huge_epsilon_leaves_room_for_small_ones():
    assert epsilon_axis([Row("faint noise", 0.5, 1e6)])
    assert epsilon_axis([Row("endless", 0.5, math.inf), Row("unknown", math.nan, 1.0)]) is None


def test_the_page_of_a_private_release_shows_both(evidence):
    """And that of one without a claim shows neither."""
    claim = Claim(
        epsilon=1.0, refuted=False, sentence="", curve_bound=Estimate(value=0.7, low=0.7, high=9.9)
    )
    subject = evidence.subjects[0].model_copy(
        update={"claim": claim, "guarantee": {"epsilon": 1.0, "delta": 1e-5}}
    )
    drawn = texts(of_subject(subject))
    assert {"measured, whatever it is", "measured, if it is mu-GDP"} <= set(drawn)
    beyond = {"epsilon_lower": Estimate(value=1.2, low=1.2)}
    assert "#b3261e" not in of_subject(subject.model_copy(update=beyond))
    refuted = {**beyond, "claim": claim.model_copy(update={"refuted": True})}
    assert "#b3261e" in of_subject(subject.model_copy(update=refuted))
    page = render(evidence.model_copy(update={"subjects": (subject, *evidence.subjects[1:])}))
    assert "On one axis: measured" in page and "proven ε, at most 1." in page
    assert "On one axis" not in render(evidence)
