"""Entropy thresholds, and thresholds per class of any score, against loops."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.entropy_threshold import EntropyThreshold
from limbeck.audit.attacks.loss_threshold import LossThreshold, loss_threshold
from limbeck.audit.attacks.per_class import class_ranks
from limbeck.errors import OptionError
from limbeck.recipe import from_recipe, recipe


def draw(seed, runs=10, records=24, classes=3, ties=False):
    g = np.random.default_rng(seed)
    membership = g.random((runs, records)) < 0.5
    labels = g.integers(classes, size=records)
    signals = g.standard_normal((runs, 2, records)) + 0.8 * membership[:, None]
    signals = signals * (1 + labels) + 5.0 * labels
    return Observed(
        (signals.round() if ties else signals).astype(np.float32), membership, labels=labels
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("some", [False, True])
def test_ranks_are_shares_of_the_other_runs_non_members_of_the_class(ties, some):
    seen = draw(0, ties=ties)
    known = np.random.default_rng(1).random(10) < 0.7 if some else np.ones(10, dtype=bool)
    scores = seen.signals.mean(1).astype(np.float64)
    found = class_ranks(scores, Observed(seen.signals, seen.membership, known, None, seen.labels))
    for run in range(10):
        for record in range(24):
            pool = [
                scores[r, j]
                for r in range(10)
                for j in range(24)
                if known[r]
                and r != run
                and not seen.membership[r, j]
                and seen.labels[j] == seen.labels[record]
            ]
            below = sum((s < scores[run, record]) + (s == scores[run, record]) / 2 for s in pool)
            assert found[run, record] == pytest.approx(below / len(pool), abs=1e-12)


def test_a_class_without_any_other_non_member_is_neutral():
    seen = draw(2)
    membership = seen.membership.copy()
    membership[:, seen.labels == 1] = True
    membership[4, seen.labels == 1] = False
    ranks = class_ranks(
        seen.signals.mean(1), Observed(seen.signals, membership, labels=seen.labels)
    )
    assert (ranks[4][seen.labels == 1] == 0.5).all()
    assert np.isfinite(ranks).all()


def test_thresholds_per_class_find_what_one_threshold_hides():
    """Classes of very different difficulty: one threshold compares classes, not records."""
    seen = draw(3, runs=24, records=150)
    one = roc_auc_score(seen.membership.ravel(), EntropyThreshold().score(seen).ravel())
    per_class = EntropyThreshold(per_class=True).score(seen)
    assert roc_auc_score(seen.membership.ravel(), per_class.ravel()) > one + 0.08
    # The same false-positive rate for every class.
    for label in range(3):
        out = ~seen.membership & (seen.labels == label)
        assert (per_class[out] > 0.8).mean() == pytest.approx(0.2, abs=0.03)


def test_options_name_the_attacks():
    seen = draw(4)
    np.testing.assert_array_equal(LossThreshold().score(seen), loss_threshold(seen.signals))
    np.testing.assert_array_equal(
        LossThreshold(per_class=True).score(seen), class_ranks(loss_threshold(seen.signals), seen)
    )
    titles = {True: "-threshold-per-class", False: "-threshold"}
    for per_class, end in titles.items():
        for attack, name in ((LossThreshold, "loss"), (EntropyThreshold, "entropy")):
            assert attack(per_class=per_class).title == name + end
            assert from_recipe(recipe(attack(per_class=per_class))) == attack(per_class=per_class)
    unlabelled = Observed(seen.signals, seen.membership)
    assert LossThreshold().applies(unlabelled)
    assert not EntropyThreshold(per_class=True).applies(unlabelled)
    with pytest.raises(OptionError, match="give the class of each record"):
        LossThreshold(per_class=True).score(unlabelled)
    with pytest.raises(OptionError, match=r"labels has shape \(23,\)"):
        Observed(seen.signals, seen.membership, labels=seen.labels[:23])
