import math
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from limbeck.audit.evidence import Curve
from limbeck.report import figures

SVG = "{http://www.w3.org/2000/svg}"


def attacks(evidence):
    return [(s.role, s.attack("lira")) for s in evidence.subjects]


def texts(svg: str) -> list[str]:
    return [e.text for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_roc_is_a_drawing_with_the_same_bytes_every_time_and_leaves_no_settings_behind(evidence):
    before = dict(mpl.rcParams)
    first = figures.roc(attacks(evidence))
    assert first == figures.roc(attacks(evidence))
    assert dict(mpl.rcParams) == before
    assert {"1%", "10%", "100%", "guessing"} <= set(texts(first))
    assert "<metadata" not in first  # neither a date nor a version of the drawing library


def test_each_role_is_told_apart_without_colour():
    lines = {(style.dashes, style.marker) for style in figures.STYLES.values()}
    assert len(lines) == len({m for _, m in lines}) == len({d for d, _ in lines}) == 3


def test_colours_contrast_with_white_as_graphics_must():
    for style in (*figures.STYLES.values(), figures.Style(figures.INK, (), "o")):
        channels = np.array([int(style.color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        luminance = linear @ [0.2126, 0.7152, 0.0722]  # WCAG 2.2, relative luminance
        assert 1.05 / (luminance + 0.05) >= 3


def test_curves_begin_where_ten_false_positives_are_expected(evidence):
    attack = evidence.subjects[0].attack("lira")
    least = figures.resolvable_fpr(attack)
    assert least == 10 / 3200
    kept = figures.cut(attack.curve, least)
    assert min(kept.fpr) >= least
    assert len(kept.fpr) == sum(f >= least for f in attack.curve.fpr)
    assert len(kept.fpr) == len(kept.tpr) == len(kept.low) == len(kept.high)


def test_points_without_a_band_are_not_drawn():
    curve = Curve(fpr=(0.1, 0.5, 1), tpr=(0.2, math.nan, 1), low=(0.1, 0.4, 1), high=(0.3, 0.6, 1))
    assert figures.cut(curve, 0.0).fpr == (0.1, 1.0)


def test_no_curve_where_nothing_is_resolvable(evidence):
    attack = evidence.subjects[0].attack("lira")
    points = tuple(p.model_copy(update={"negatives": 8}) for p in attack.operating)
    assert figures.roc([("subject", attack.model_copy(update={"operating": points}))]) is None
    unknown = attack.model_copy(update={"operating": ()})
    assert figures.roc([("subject", unknown)]) is None


def test_trade_off_draws_only_what_is_known(evidence):
    s = evidence.subjects[0]
    tpr = s.attack("lira").operating[1].tpr
    unknown = tpr.model_copy(update={"value": math.nan})
    bare = tpr.model_copy(update={"low": math.nan, "high": math.nan})
    assert figures.trade_off([("subject", s.utility, unknown)], 0.01) is None
    assert "guessing" in texts(figures.trade_off([("subject", s.utility, bare)], 0.01))


@pytest.mark.parametrize("role", figures.STYLES)
def test_the_legend_shows_the_colour_of_the_chart(role, evidence):
    color = figures.STYLES[role].color
    assert color in figures.swatch(role)
    assert color in figures.roc(attacks(evidence))
