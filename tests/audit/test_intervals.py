"""Clustered intervals: against SciPy and loops, and their coverage by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from limbeck.audit.inference import roc
from limbeck.audit.inference.intervals import (
    Clusters,
    clopper_pearson,
    fewest_freedom,
    mid_p,
    rate,
    student_discount,
    student_p_value,
    two_way_variance,
)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (1, 30), (7, 20), (20, 20)])
def test_clopper_pearson_is_scipys(k, n):
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(clopper_pearson(float(k), float(n)), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("k", "n"), [(1, 30), (7, 20), (3, 4000)])
def test_mid_p_leaves_a_tail_on_each_side_with_equal_counts_halved(k, n):
    lows, highs = mid_p(np.array([k, 0.0, 10.0]), np.array([n, 10.0, 10.0]))
    low, high = lows[0], highs[0]
    for end, expected in ((low, 0.025), (high, 0.975)):
        binomial = stats.binom(n, end)
        assert binomial.sf(k) + binomial.pmf(k) / 2 == pytest.approx(expected, abs=1e-7)
    outer = clopper_pearson(float(k), float(n))
    assert outer[0] < low < k / n < high < outer[1]
    assert (lows[1], highs[1]) == (0.0, pytest.approx(1 - 0.05**0.1))  # (1 - p)^10 / 2 = 2.5%
    assert (lows[2], highs[2]) == (pytest.approx(0.05**0.1), 1.0)


def test_mid_p_finds_its_ends_for_any_share_of_a_hit_and_any_number_of_trials():
    g = np.random.default_rng(14)
    trials = 10 ** g.uniform(0, 6, 300)
    share = 10 ** g.uniform(-6, 0, 300)
    k = trials * np.where(np.arange(300) < 200, share, 1 - share)
    for level in (0.95, 0.9875):
        tail = (1 - level) / 2
        for ends, wanted in zip(mid_p(k, trials, level), (tail, 1 - tail), strict=True):
            as_many = special.betainc(k, trials - k + 1, ends)
            more = special.betainc(k + 1, trials - k, ends)
            # Nearer to 0 and 1 the ends are known to 1e-12 alone.
            known = (ends > 1e-9) & (ends < 1 - 1e-9)
            assert known.sum() > 150
            np.testing.assert_allclose(((as_many + more) / 2)[known], wanted, atol=1e-7)


def test_mid_p_covers_what_it_says_where_the_exact_interval_covers_far_more():
    n, rates = 1000, np.linspace(2e-4, 5e-3, 200)
    held = {name: np.zeros(len(rates)) for name in ("exact", "mid-p")}
    counts = np.arange(40.0)
    intervals = {
        "exact": [clopper_pearson(float(k), 1e3) for k in counts],
        "mid-p": [*zip(*mid_p(counts, np.full(40, 1e3)), strict=True)],
    }
    for k in range(40):
        masses = stats.binom.pmf(k, n, rates)
        for name, ends in intervals.items():
            held[name] += masses * ((ends[k][0] <= rates) & (rates <= ends[k][1]))
    assert held["exact"].mean() > 0.975
    assert 0.945 < held["mid-p"].mean() < 0.97


def test_two_way_variance_sums_the_pairs_that_share_a_run_or_a_record():
    g = np.random.default_rng(0)
    influence = g.standard_normal((4, 1)) + g.standard_normal((1, 6)) + g.standard_normal((4, 6))
    cells = list(itertools.product(range(4), range(6)))
    run = sum(influence[a] * influence[b] for a in cells for b in cells if a[0] == b[0])
    record = sum(influence[a] * influence[b] for a in cells for b in cells if a[1] == b[1])
    trial = (influence**2).sum()
    expected = run * 4 / 3 + record * 6 / 5 - trial
    assert two_way_variance(influence) == pytest.approx(expected)
    assert two_way_variance(influence - influence.mean(0) - influence.mean(1)[:, None]) >= (
        (influence - influence.mean(0) - influence.mean(1)[:, None]) ** 2
    ).sum() * (1 - 1e-12)


def test_records_of_one_unit_are_one_cluster():
    g = np.random.default_rng(1)
    clusters = Clusters.of(np.array([7, 3, 7, 5]))
    values = g.standard_normal((3, 4))
    assert clusters.count == 3
    expected = np.stack([values[:, 1], values[:, 3], values[:, 0] + values[:, 2]], axis=1)
    np.testing.assert_allclose(clusters.sum(values), expected)
    np.testing.assert_array_equal(Clusters.separate(4).sum(values), values)


def test_duplicated_records_add_no_certainty():
    g = np.random.default_rng(2)
    member = g.random((16, 60)) < 0.5
    scores = g.standard_normal((16, 60)) + member
    once, _ = roc.auc(roc.Trials(scores, member))
    twice, _ = roc.auc(
        roc.Trials(np.tile(scores, 2), np.tile(member, 2), Clusters(np.tile(np.arange(60), 2)))
    )
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=0.02)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_zero_width_where_no_error_was_seen(value):
    estimate = rate(value, np.zeros((16, 50)), Clusters.separate(50), at_most=400, trials=400)
    assert estimate.high - estimate.low > 0.008
    assert estimate.low <= value <= estimate.high
    member = np.random.default_rng(3).random((16, 50)) < 0.5
    perfect, p_value = roc.auc(roc.Trials(10.0 * member, member))
    assert perfect.value == 1.0
    assert 0.98 < perfect.low < 1.0
    assert p_value < 1e-6


def test_few_clusters_widen_by_student():
    expected = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 15)) ** 2
    assert fewest_freedom(16, 500) == fewest_freedom(500, 16) == 15
    assert student_discount(fewest_freedom(16, 500)) == pytest.approx(expected)
    assert student_p_value(0.0, np.zeros((4, 4)), Clusters.separate(4)) == 1.0
    # All of four coins guessed right, of which leave-one-out counts two: no proof of anything.
    assert student_p_value(0.5, np.zeros((4, 1)), Clusters.separate(1)) == 0.25
    influence = np.diag([1.0, -1.0, 1.0, -1.0])
    expected = stats.t.sf(1 / math.sqrt(two_way_variance(influence)), 3)
    assert student_p_value(1.0, influence, Clusters.separate(4)) == pytest.approx(expected)


def simulate(g, runs, records, shift, record_effect, run_effect):
    """Scores with record and run effects, and the estimands given the thresholds."""
    member = g.random((runs, records)) < 0.5
    scores = g.standard_normal((runs, records)) + shift * member
    scores += record_effect * g.standard_normal(records)
    scores += run_effect * g.standard_normal((runs, 1))
    spread = math.sqrt(1 + record_effect**2 + run_effect**2)
    return roc.Trials(scores, member), spread


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("runs", "shift", "record_effect", "run_effect"),
    [(16, 0, 0, 0), (16, 1, 1, 0.5), (64, 1, 1, 0)],
)
def test_intervals_cover_the_named_estimand(runs, shift, record_effect, run_effect):
    """The estimand is the TPR at the realised threshold, under record and run effects."""
    g = np.random.default_rng(runs + shift)
    covered = {"auc": 0, "tpr 10%": 0, "tpr 1%": 0, "fpr 1%": 0}
    repetitions = 120
    for _ in range(repetitions):
        trials, spread = simulate(g, runs, 100, shift, record_effect, run_effect)
        area, _ = roc.auc(trials)
        ten, one = roc.operating(trials, (0.1, 0.01))
        at = trials.thresholds((0.1, 0.01)) / spread
        tpr = stats.norm.sf(at - shift / spread).mean(1)
        truths = {
            "auc": (area, stats.norm.cdf(shift / spread / math.sqrt(2))),
            "tpr 10%": (ten.tpr, tpr[0]),
            "tpr 1%": (one.tpr, tpr[1]),
            "fpr 1%": (one.realised_fpr, stats.norm.sf(at[1]).mean()),
        }
        for name, (estimate, truth) in truths.items():
            covered[name] += estimate.low <= truth <= estimate.high
    # 95% covers fewer than 88% of 120 repetitions with probability 0.001.
    assert min(covered.values()) >= 0.88 * repetitions, covered


@pytest.mark.usefixtures("unchecked")
def test_intervals_that_ignore_clusters_would_fail():
    """Scores of one record are correlated: intervals for independent trials miss the truth."""
    g = np.random.default_rng(11)
    missed = clustered = 0
    for _ in range(100):
        trials, spread = simulate(g, 64, 100, 1, 1.0, 0)
        point = roc.operating(trials, (0.1,))[0]
        at = trials.thresholds((0.1,))[0] / spread
        truth = stats.norm.sf(at - 1 / spread).mean()
        low, high = clopper_pearson(point.tpr.value * trials.members, float(trials.members))
        missed += not low <= truth <= high
        clustered += not point.tpr.low <= truth <= point.tpr.high
    assert missed > 40
    assert clustered < 13
