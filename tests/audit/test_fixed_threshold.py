"""Bounds from independent trials against SciPy, and precision at a prior."""

import math

import numpy as np
import pytest
from scipy import stats

from limbeck.audit.inference.fixed_threshold import independent_bound, positive_predictive_value
from limbeck.audit.inference.intervals import clopper_pearson
from limbeck.errors import OptionError
from limbeck.types import Estimate


@pytest.mark.parametrize(
    ("tp", "members", "fp", "negatives"),
    [(70, 100, 5, 120), (300, 1000, 4, 900), (999, 1000, 400, 1000), (40, 40, 0, 40)],
)
@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.02])
def test_both_inequalities_at_scipys_limits(tp, members, fp, negatives, delta):
    low = stats.binomtest(tp, members).proportion_ci(0.95, method="exact").low
    high = stats.binomtest(fp, negatives).proportion_ci(0.95, method="exact").high
    expected = max(math.log((low - delta) / high), math.log((1 - high - delta) / (1 - low)))
    found = independent_bound(tp, members, fp, negatives, delta=delta)
    assert found.low == pytest.approx(max(expected, 0.0), rel=1e-9)
    assert found.trials == members + negatives


def test_either_inequality_can_be_the_stronger():
    assert independent_bound(300, 1000, 1, 1000, delta=0.0).low > 3
    assert independent_bound(999, 1000, 700, 1000, delta=0.0).low > 3
    assert independent_bound(0, 10, 10, 10, delta=1e-5).low == 0.0
    assert independent_bound(1, 10, 0, 10, delta=0.5).low == 0.0


@pytest.mark.usefixtures("unchecked")
def test_holds_at_its_level_on_randomised_response_and_is_tighter_with_more_trials():
    g = np.random.default_rng(0)
    truth, means = 1.0, []
    told = 1 / (1 + math.exp(-truth))
    for trials in (200, 5000):
        bounds = [
            independent_bound(
                g.binomial(trials, told), trials, g.binomial(trials, 1 - told), trials, delta=0.0
            ).low
            for _ in range(400)
        ]
        assert np.sum(np.array(bounds) > truth) <= stats.binom.ppf(0.999, 400, 0.05)
        means.append(np.mean(bounds))
    assert 0.4 < means[0] < means[1]
    assert means[1] > 0.88


@pytest.mark.parametrize("counts", [(5, 4, 0, 3), (-1, 4, 0, 3), (0, 4, 0, 0)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(OptionError, match="positives is"):
        independent_bound(*counts, delta=0.0)


def test_precision_is_bayes_rule():
    tpr, fpr = Estimate(0.10, 0.08, 0.12, 1000), Estimate(0.001, 0.0005, 0.002, 5000)
    found = positive_predictive_value(tpr, fpr, 0.01)
    assert found.value == pytest.approx(0.001 / (0.001 + 0.00099))
    assert found.low == pytest.approx(0.0008 / (0.0008 + 0.00198))
    assert found.high == pytest.approx(0.0012 / (0.0012 + 0.000495))
    assert (found.level, found.trials) == (pytest.approx(0.9), 6000)
    assert positive_predictive_value(tpr, tpr, 0.3).value == pytest.approx(0.3)


def test_precision_without_false_positives_or_without_any_hit():
    nothing = Estimate(0.0, 0.0, 0.01, 400)
    some = positive_predictive_value(Estimate(0.5, 0.4, 0.6, 100), nothing, 0.1)
    assert (some.value, some.high) == (1.0, 1.0)
    assert some.low == pytest.approx(0.04 / (0.04 + 0.009))
    none = positive_predictive_value(nothing, nothing, 0.1)
    assert math.isnan(none.value)
    assert (none.low, none.high) == (0.0, 1.0)
    for prior in (0.0, 1.0):
        with pytest.raises(OptionError, match="prior"):
            positive_predictive_value(nothing, nothing, prior)


@pytest.mark.usefixtures("unchecked")
def test_precision_covers_at_its_level():
    g = np.random.default_rng(1)
    truth = 0.2 * 0.1 / (0.2 * 0.1 + 0.02 * 0.9)
    held = 0
    for _ in range(300):
        rates = []
        for rate, trials in ((0.2, 300), (0.02, 1000)):
            hits = int(g.binomial(trials, rate))
            low, high = clopper_pearson(float(hits), float(trials))
            rates.append(Estimate(hits / trials, low, high, trials))
        found = positive_predictive_value(rates[0], rates[1], 0.1)
        held += found.low <= truth <= found.high
    assert held >= stats.binom.ppf(0.001, 300, 0.9)
