"""What every registered membership attack must keep."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import roc_auc_score

from limbeck import registry
from limbeck.audit.attacks.base import Observed
from limbeck.recipe import from_recipe, recipe

ATTACKS = tuple(registry.methods("attack"))
QUICK = {"shokri": {"model": "logistic", "rows_per_class": 15, "folds": 2}}
"""Options that make a slow attack quick."""


def draw(seed, shift, runs=8, records=120):
    g = np.random.default_rng(seed)
    membership = g.random((runs, records)) < 0.5
    signals = g.standard_normal((runs, 2, records + 50)) + g.standard_normal(records + 50)
    signals[..., :records] += shift * membership[:, None]
    signals = signals.astype(np.float32)
    labels = np.arange(records) % 3
    # Three logits, the label's own above two equal ones by the mean of the signals.
    logits = np.eye(3)[labels] * signals[..., :records].mean(1)[:, :, None]
    return Observed(
        signals[..., :records].copy(),
        membership,
        population=signals[..., records:].copy(),
        labels=labels,
        softmax=special.softmax(logits, axis=2).astype(np.float32),
    )


def changed(seen, membership, known=None):
    return replace(seen, membership=membership, reference_runs=known)


@pytest.fixture(params=ATTACKS)
def attack(request):
    return registry.load(request.param)(**QUICK.get(request.param, {}))


def test_scores_are_finite_higher_for_members_and_the_same_again(attack):
    seen = draw(0, 1.5)
    scores = attack.score(seen)
    assert attack.applies(seen)
    assert scores.shape == seen.membership.shape and scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert roc_auc_score(seen.membership.ravel(), scores.ravel()) > 0.7
    np.testing.assert_array_equal(scores, attack.score(seen))
    assert from_recipe(recipe(attack)) == attack


def test_a_score_does_not_know_its_own_coin(attack):
    seen = draw(1, 1.5)
    before = attack.score(seen)
    membership = seen.membership.copy()
    for run, record in ((0, 3), (7, 70)):
        membership[run, record] ^= True
        after = attack.score(changed(seen, membership))
        membership[run, record] ^= True
        assert after[run, record] == pytest.approx(before[run, record], abs=1e-9)
        assert (after != before).any() or not attack.finds_direction


def test_coins_of_runs_that_are_no_references_do_not_matter(attack):
    seen, known = draw(2, 1.5), np.arange(8) < 5
    before = attack.score(changed(seen, seen.membership, known))
    other = np.where(known[:, None], seen.membership, ~seen.membership)
    np.testing.assert_array_equal(before, attack.score(changed(seen, other, known)))


def test_nothing_is_seen_where_nothing_is(attack):
    """The AUC of such a draw varies by 0.02 between records: the mean of five by 0.01."""
    values = [
        roc_auc_score(seen.membership.ravel(), attack.score(seen).ravel())
        for seen in (draw(seed, 0.0) for seed in range(3, 8))
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)
