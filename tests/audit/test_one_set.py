"""Areas and rates of one finished set against slow loops, exact tables and simulated nulls."""

import itertools

import numpy as np
import pytest
from scipy import stats

from limbeck.audit.inference.intervals import clopper_pearson
from limbeck.audit.inference.one_set import area, operating


def test_the_area_is_the_share_of_pairs_that_are_in_order():
    g = np.random.default_rng(0)
    members, others = g.integers(0, 6, 30).astype(float), g.integers(0, 5, 40).astype(float)
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(members, others)]
    estimate, p_value = area(members, others)
    assert estimate.value == pytest.approx(np.mean(pairs))
    assert estimate.low < estimate.value < estimate.high and estimate.trials == 70
    known = stats.mannwhitneyu(members, others, alternative="greater").pvalue
    assert p_value == pytest.approx(known)


def test_scores_that_are_all_alike_say_nothing():
    estimate, p_value = area(np.ones(20), np.ones(30))
    assert (estimate.value, p_value) == (0.5, 1.0)
    for point in operating(np.ones(20), np.ones(20), np.ones(30)):
        assert point.tpr.value == 0 and point.p_value == 1


def test_thresholds_come_from_the_reference_alone():
    reference, others = np.arange(99.0), np.full(50, -1.0)
    members = np.array([89.0, 89.5, 97.5, 99.0])
    tenth, hundredth, thousandth = operating(members, reference, others)
    # The 10th largest of the reference is 89, the largest is 98.
    assert tenth.tpr.value == 3 / 4 and hundredth.tpr.value == 1 / 4
    assert hundredth.tpr == thousandth.tpr
    assert (tenth.tpr.low, tenth.tpr.high) == clopper_pearson(3.0, 4.0)
    assert tenth.realised_fpr.value == 0 and tenth.negatives == 50
    table = np.array([[3, 1], [0, 50]])
    assert tenth.p_value == stats.fisher_exact(table, alternative="greater").pvalue
    assert not tenth.resolvable
    assert operating(members, reference, np.zeros(100))[0].resolvable


def test_on_exchangeable_scores_intervals_cover_and_p_values_are_not_small(unchecked):
    g = np.random.default_rng(1)
    covered, small = [], []
    for _ in range(300):
        scores = g.standard_normal(150)
        members, reference, others = scores[:50], scores[50:100], scores[100:]
        estimate, p_value = area(members, scores[50:])
        point = operating(members, reference, others)[0]
        covered.append(estimate.low <= 0.5 <= estimate.high)
        small.append([p_value < 0.05, point.p_value < 0.05])
    # 285 expected; 3.3 standard deviations below or above.
    assert 272 <= sum(covered) <= 298
    alarms = np.sum(small, axis=0)
    # At most 15 expected of each, and the area's test is exact to the normal approximation.
    assert 4 <= alarms[0] <= 28 and alarms[1] <= 28


def test_a_shift_is_found_and_its_area_covered():
    g = np.random.default_rng(2)
    members, others = g.standard_normal(400) + 1, g.standard_normal(400)
    estimate, p_value = area(members, others)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    assert estimate.low < truth < estimate.high and p_value < 1e-10
    assert estimate.high - estimate.low < 0.08
