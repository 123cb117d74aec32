"""ROC figures: thresholds come from other runs, and every figure from a known oracle."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from limbeck.audit.inference import roc
from limbeck.audit.inference.intervals import Clusters, clopper_pearson
from limbeck.errors import OptionError


def draw(seed, runs=12, records=40, shift=1.0, ties=False):
    g = np.random.default_rng(seed)
    member = g.random((runs, records)) < 0.5
    scores = g.standard_normal((runs, records)) + shift * member
    return (np.round(scores) if ties else scores), member


@pytest.mark.parametrize("ties", [False, True])
def test_thresholds_are_quantiles_of_the_other_runs(ties):
    scores, member = draw(0, ties=ties)
    fprs = (0.001, 0.01, 0.1, 0.37, 1.0)
    found = roc.Trials(scores, member).thresholds(fprs)
    for i, fpr in enumerate(fprs):
        for r in range(len(scores)):
            others = np.arange(len(scores)) != r
            pool = np.sort(scores[others][~member[others]])[::-1]
            k = max(1, int(fpr * (len(pool) + 1)))
            expected = pool[k - 1] if k <= len(pool) else -np.inf
            assert found[i, r] == expected


def test_no_threshold_is_chosen_on_the_scores_it_judges():
    scores, member = draw(1)
    before = roc.Trials(scores, member).thresholds((0.1, 0.01))
    best = roc._best_thresholds(roc.Trials(scores, member))
    scores[3] = np.random.default_rng(2).standard_normal(len(scores[3])) * 100
    changed = roc.Trials(scores, member)
    np.testing.assert_array_equal(changed.thresholds((0.1, 0.01))[:, 3], before[:, 3])
    assert roc._best_thresholds(changed)[3] == best[3]


@pytest.mark.usefixtures("unchecked")
def test_a_threshold_chosen_on_its_own_scores_would_show_a_leak_where_none_is():
    cross_fitted, in_sample = [], []
    for seed in range(60):
        scores, member = draw(seed, runs=8, records=20, shift=0.0)
        cross_fitted.append(roc.balanced_accuracy(roc.Trials(scores, member)).value)
        in_sample.append(
            max(
                ((scores > t)[member].mean() + (scores <= t)[~member].mean()) / 2
                for t in scores.ravel()
            )
        )
    assert np.mean(in_sample) > 0.53
    assert abs(np.mean(cross_fitted) - 0.5) < 3 * np.std(cross_fitted) / np.sqrt(60)


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_scikit_learns(ties):
    scores, member = draw(3, ties=ties)
    estimate, p_value = roc.auc(roc.Trials(scores, member))
    assert estimate.value == pytest.approx(roc_auc_score(member.ravel(), scores.ravel()))
    assert estimate.low < estimate.value < estimate.high
    assert p_value < 1e-6


def test_best_threshold_reaches_the_oracles_balanced_accuracy():
    scores, member = draw(4, runs=64, records=500, shift=2.0)
    accuracy = roc.balanced_accuracy(roc.Trials(scores, member))
    truth = stats.norm.cdf(1.0)  # the midpoint between N(0, 1) and N(2, 1)
    assert abs(accuracy.value - truth) < 0.005
    assert accuracy.low < truth < accuracy.high
    assert roc.advantage(accuracy).value == pytest.approx(2 * accuracy.value - 1)


def test_operating_points_count_fractions_and_say_what_they_rest_on():
    """Few false positives are not hidden: 8,000 OUT scores resolve 1% but not 0.1%."""
    scores, member = draw(5, runs=32, records=500, shift=3.0)
    trials = roc.Trials(scores, member)
    points = roc.operating(trials)
    assert [p.nominal_fpr for p in points] == [0.1, 0.01, 0.001]
    assert [p.resolvable for p in points] == [True, True, False]
    for point, thresholds in zip(points, trials.thresholds((0.1, 0.01, 0.001)), strict=True):
        hits = scores > thresholds[:, None]
        assert point.false_positives == (hits & ~member).sum()
        assert point.negatives == (~member).sum()
        assert point.realised_fpr.value == point.false_positives / point.negatives
        assert point.tpr.value == pytest.approx(hits[member].mean())
        assert point.p_value < 1e-6
    # Eight expected at 0.1%: the realised rate may lie anywhere within a factor of about two.
    assert points[2].realised_fpr.high / points[2].realised_fpr.low > 3


def test_curve_passes_through_the_operating_points_and_rises():
    scores, member = draw(6, runs=16, records=100)
    trials = roc.Trials(scores, member)
    curve = roc.curve(trials, (0.001, 0.01, 0.1, 1.0))
    assert curve.tpr[-1] == 1.0
    assert curve.tpr[2] == roc.operating(trials)[0].tpr.value
    assert list(curve.tpr) == sorted(curve.tpr)
    assert all(
        low <= t <= high for low, t, high in zip(curve.low, curve.tpr, curve.high, strict=True)
    )
    assert len(roc.curve(trials).fpr) == 60


@pytest.mark.usefixtures("unchecked")
def test_p_values_hold_their_level_without_a_leak():
    g = np.random.default_rng(7)
    below = np.zeros(4)
    for _ in range(120):
        member = g.random((16, 60)) < 0.5
        trials = roc.Trials(g.standard_normal((16, 60)) + g.standard_normal(60), member)
        values = [roc.auc(trials)[1], *(p.p_value for p in roc.operating(trials))]
        below += np.array(values) < 0.05
    # More than 14 of 120 at 5% has probability 0.001.
    assert (below <= 14).all()
    assert below[0] >= 1


@pytest.mark.usefixtures("unchecked")
def test_p_values_hold_their_level_where_alike_records_share_a_coin():
    g = np.random.default_rng(17)
    units = np.repeat(np.arange(40), 10)
    below = np.zeros(4)
    for _ in range(120):
        member = (g.random((16, 40)) < 0.5)[:, units]
        scores = g.standard_normal((16, 40))[:, units] + 0.2 * g.standard_normal((16, 400))
        trials = roc.Trials(scores, member, Clusters(units))
        values = [roc.auc(trials)[1], *(p.p_value for p in roc.operating(trials))]
        below += np.array(values) < 0.05
    # More than 14 of 120 at 5% has probability 0.001.
    assert (below <= 14).all()


def test_a_rates_p_value_is_a_binomial_tests_of_half_of_the_hits():
    scores, member = draw(4, runs=12, records=60, shift=0.7)
    (point,) = roc.operating(roc.Trials(scores, member), (0.1,))
    true, false = round(point.tpr.value * member.sum()), point.false_positives
    # The tail of a binomial as a beta's: defined between whole numbers, too.
    expected = stats.beta.cdf(member.mean(), true / 2, false / 2 + 1)
    assert point.p_value == pytest.approx(expected, rel=1e-9)
    every = stats.binom.sf(true - 1, true + false, member.mean())
    assert every == pytest.approx(stats.beta.cdf(member.mean(), true, false + 1), rel=1e-9)
    assert point.p_value > 10 * every


def test_hits_that_share_a_coin_weigh_as_one():
    member = np.random.default_rng(18).random((16, 40)) < 0.5
    scores = member + np.random.default_rng(19).standard_normal(member.shape)
    alone = roc.operating(roc.Trials(scores, member), (0.1,))[0].p_value
    copied = (np.repeat(values, 5, axis=1) for values in (scores, member))
    together = roc.Trials(*copied, Clusters(np.repeat(np.arange(40), 5)))
    assert roc.operating(together, (0.1,))[0].p_value == pytest.approx(alone, rel=0.5)
    assert alone < 1e-6


def test_constant_scores_are_chance():
    _, member = draw(8)
    trials = roc.Trials(np.zeros(member.shape), member)
    assert roc.auc(trials)[0].value == 0.5
    assert roc.balanced_accuracy(trials).value == 0.5
    assert [p.tpr.value for p in roc.operating(trials)] == [0, 0, 0]


def test_too_little_to_judge_is_refused_in_one_line():
    scores, member = draw(9, runs=3)
    member[1:] = False
    with pytest.raises(OptionError, match="fewer than two runs have members"):
        roc.Trials(scores, member)


def test_a_rate_that_is_not_resolvable_has_the_interval_of_as_many_trials_as_runs():
    scores, member = draw(5, runs=16, records=60, shift=4.0)
    trials = roc.Trials(scores, member)
    tenth, _, thousandth = roc.operating(trials, beside=4)
    assert tenth.resolvable and not thousandth.resolvable
    for rate in (thousandth.tpr, thousandth.realised_fpr):
        assert (rate.low, rate.high) == pytest.approx(clopper_pearson(16 * rate.value, 16.0))
    # At the level of four attacks together.
    low, _ = clopper_pearson(16 * thousandth.tpr.value, 16.0, 0.9875)
    assert thousandth.least == pytest.approx(low) and low > 0.2
    (surely,) = trials.hits(member, (0.1,)).estimates(0.9875)
    assert tenth.least == surely.low < tenth.tpr.low
    nothing = roc.Trials(draw(6, runs=16, records=60, shift=0.0)[0], member)
    assert roc.operating(nothing)[2].least == 0


def test_trials_of_another_level_give_intervals_of_that_level():
    scores, member = draw(7)
    usual, wide = (roc.Trials(scores, member, level=level) for level in (0.95, 0.99))
    for figure in (lambda t: roc.auc(t)[0], roc.balanced_accuracy, lambda t: t_of(t)):
        one, other = figure(usual), figure(wide)
        assert (one.level, other.level) == (0.95, 0.99) and one.value == other.value
        assert other.low < one.low and other.high > one.high
    assert roc.curve(wide).level == 0.99


def t_of(trials):
    return roc.operating(trials)[0].tpr
