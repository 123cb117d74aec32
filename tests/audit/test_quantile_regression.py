"""The quantile attack: its thresholds hold their rate for every kind of record."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.loss_threshold import loss_threshold
from limbeck.audit.attacks.quantile_regression import (
    QuantileRegression,
    _leave_one_out,
    quantile_regression,
)
from limbeck.recipe import from_recipe, recipe


def draw(seed, runs=16, records=250, shift=0.0):
    """Records of very different level; every other one is five times as noisy."""
    g = np.random.default_rng(seed)
    membership = g.random((runs, records)) < 0.5
    scale = np.where(np.arange(records) % 2, 5.0, 1.0)
    signals = (g.standard_normal((runs, 1, records)) + shift * membership[:, None]) * scale
    signals += 20 * g.standard_normal(records)
    labels = np.arange(records) % 2
    return Observed(signals.astype(np.float32), membership, labels=labels)


def test_features_leave_the_trial_itself_out():
    g = np.random.default_rng(0)
    x, rows = g.standard_normal((7, 5)), g.random((7, 5)) < 0.5
    rows[:, 0], rows[:, 1] = False, np.arange(7) < 2
    mean, spread, count = _leave_one_out(x, rows)
    for run in range(7):
        for record in range(5):
            used = rows[:, record] & (np.arange(7) != run)
            values = x[used, record]
            assert count[run, record] == len(values)
            if len(values) > 0:
                assert mean[run, record] == pytest.approx(values.mean(), rel=1e-9)
            if len(values) > 1:
                assert spread[run, record] == pytest.approx(values.std(ddof=1), rel=1e-7)
            else:
                assert np.isnan(spread[run, record])


def test_the_false_positive_rate_is_the_predicted_one_for_both_kinds_of_record():
    seen = draw(1)
    scores = quantile_regression(seen, fpr=0.1, folds=3)
    for kind in (0, 1):
        out = ~seen.membership & (seen.labels == kind)
        # 2,000 dependent trials; one threshold for all would give 0.2 and 0.00001.
        assert (scores[out] > 1).mean() == pytest.approx(0.1, abs=0.05)
        assert (scores[out] > 0).mean() == pytest.approx(0.5, abs=0.05)


def test_it_finds_what_one_threshold_cannot_see():
    seen = draw(2, shift=2.0)
    member = seen.membership.ravel()
    assert roc_auc_score(member, quantile_regression(seen).ravel()) > 0.85
    assert roc_auc_score(member, loss_threshold(seen.signals).ravel()) < 0.6


def test_a_judged_fold_has_no_part_in_its_own_thresholds():
    seen = draw(3, runs=8)
    before = quantile_regression(seen, folds=2)
    signals, membership = seen.signals.copy(), seen.membership.copy()
    membership[::2] = ~membership[::2]  # the whole fold's coins
    after = quantile_regression(Observed(signals, membership, labels=seen.labels), folds=2)
    np.testing.assert_array_equal(before[::2], after[::2])
    assert (before[1::2] != after[1::2]).any()


def test_runs_that_are_no_references_teach_nothing():
    seen = draw(4, runs=8)
    known = np.arange(8) < 5
    before = quantile_regression(Observed(seen.signals, seen.membership, known))
    changed = np.where(known[:, None], seen.membership, ~seen.membership)
    after = quantile_regression(Observed(seen.signals, changed, known))
    np.testing.assert_array_equal(before, after)
    assert (before[~known] != 0).mean() > 0.9  # the rest was in all five references


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_missing_references_score_nothing_and_never_nan(runs):
    seen = draw(5, runs=runs)
    membership = seen.membership.copy()
    membership[:, :3] = True
    scores = quantile_regression(Observed(seen.signals, membership))
    assert np.isfinite(scores).all()
    assert (scores[:, :3] == 0).all()


def test_a_mechanism_that_never_varies_shows_nothing():
    g = np.random.default_rng(6)
    same = np.broadcast_to((10 * g.standard_normal(200)).astype(np.float32), (8, 3, 200)).copy()
    assert (quantile_regression(Observed(same, g.random((8, 200)) < 0.5)) == 0).all()


def test_many_trials_are_sampled(monkeypatch):
    seen = draw(7, runs=6)
    whole = quantile_regression(seen, folds=2)
    monkeypatch.setattr("limbeck.audit.attacks.quantile_regression._ROWS", 400)
    part = quantile_regression(seen, folds=2)
    np.testing.assert_array_equal(part, quantile_regression(seen, folds=2))
    assert 0.9 < np.corrcoef(whole.ravel(), part.ravel())[0, 1] < 1


def test_the_class_is_the_function():
    seen = draw(8, runs=4, records=60)
    attack = QuantileRegression(fpr=0.1, folds=2)
    np.testing.assert_array_equal(attack.score(seen), quantile_regression(seen, fpr=0.1, folds=2))
    assert from_recipe(recipe(attack)) == attack and attack.title == "quantile-regression"
