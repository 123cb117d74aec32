"""The shadow-model attack on softmax vectors whose leak is known."""

import math

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.shokri import Decided, Shokri, decided, shokri
from limbeck.errors import OptionError


def draw(seed, runs, records, leak):
    """Softmax vectors of three classes; class 2 leaks with members surer, class 0 less sure."""
    g = np.random.default_rng(seed)
    labels = np.arange(records) % 3
    members = g.random((runs, records)) < 0.5
    logits = g.standard_normal((runs, records, 3))
    logits[:, np.arange(records), labels] += 1 + leak * members * (labels - 1)
    softmax = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    return softmax, labels, members


@pytest.mark.parametrize("model", ["svm", "logistic"])
def test_one_model_per_class_learns_each_class_its_own_way(model):
    softmax, labels, members = draw(0, 5, 60, leak=4.0)
    target, target_labels, truth = draw(1, 1, 150, leak=4.0)
    values = shokri(softmax, labels, members, target[0], target_labels, model=model)
    for label, least in ((0, 0.8), (2, 0.8)):
        own = target_labels == label
        assert decided(values[own], truth[0, own]).accuracy > least
    own = target_labels == 1  # does not leak
    assert decided(values[own], truth[0, own]).accuracy < 0.7


def test_svm_is_the_grid_search_written_out():
    softmax, labels, members = draw(2, 4, 45, leak=2.0)
    target, target_labels, _ = draw(3, 1, 30, leak=2.0)
    values = shokri(softmax, labels, members, target[0], target_labels)
    grid = {"C": [0.1, 1, 10], "gamma": [0.001, 0.01, 0.1]}
    rows = [(softmax[r, j], members[r, j]) for r in range(4) for j in range(45) if labels[j] == 1]
    search = GridSearchCV(SVC(), grid, cv=5).fit([r[0] for r in rows], [r[1] for r in rows])
    own = target_labels == 1
    np.testing.assert_allclose(values[own], search.decision_function(target[0, own]), atol=1e-12)


def test_nothing_is_learnt_where_nothing_leaks():
    softmax, labels, members = draw(4, 6, 90, leak=0.0)
    target, target_labels, truth = draw(5, 1, 600, leak=0.0)
    values = shokri(
        softmax, labels, members, target[0], target_labels, model="logistic", rows_per_class=60
    )
    # 600 fair guesses are within 0.5 +- 0.08 but for one in 10,000.
    assert decided(values, truth[0]).accuracy == pytest.approx(0.5, abs=0.08)


def test_samples_are_drawn_from_the_seed():
    softmax, labels, members = draw(6, 5, 60, leak=2.0)
    target, target_labels, _ = draw(7, 1, 30, leak=2.0)
    some = [
        shokri(
            softmax,
            labels,
            members,
            target[0],
            target_labels,
            model="logistic",
            rows_per_class=20,
            seed=seed,
        )
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(some[0], some[1])
    assert not np.array_equal(some[0], some[2])


def test_precision_recall_and_accuracy_of_a_small_table():
    found = decided(np.array([2.0, 1.0, 0.5, -1.0, 0.0]), np.array([1, 0, 1, 1, 0]).astype(bool))
    assert found == Decided(precision=2 / 3, recall=2 / 3, accuracy=3 / 5, trials=5)
    nobody = decided(np.full(4, -1.0), np.array([1, 1, 0, 0]).astype(bool))
    assert math.isnan(nobody.precision) and nobody.recall == 0 and nobody.accuracy == 0.5


def test_what_cannot_be_attacked_is_refused_in_one_line():
    softmax, labels, members = draw(8, 2, 30, leak=1.0)
    with pytest.raises(OptionError, match=r"target has shape \(30, 2\)"):
        shokri(softmax, labels, members, softmax[0, :, :2], labels)
    few = members | (labels != 1)
    few[:, labels == 1] = True
    few[0, np.flatnonzero(labels == 1)[:4]] = False
    with pytest.raises(OptionError, match="4 member or non-member answers of class 1"):
        shokri(softmax, labels, few, softmax[0, labels == 1], labels[labels == 1])


def test_in_an_audit_each_fold_of_runs_is_judged_by_the_others():
    softmax, labels, members = draw(8, 6, 45, leak=2.0)
    seen = Observed(np.zeros((6, 1, 45), np.float32), members, labels=labels, softmax=softmax)
    attack = Shokri(model="logistic", folds=3)
    scores = attack.score(seen)
    judged = np.isin(np.arange(6), (1, 4))
    expected = shokri(
        softmax[~judged],
        labels,
        members[~judged],
        softmax[4],
        labels,
        model="logistic",
        rows_per_class=200,
    )
    np.testing.assert_allclose(scores[4], expected, atol=1e-9)
    alone = labels.copy()
    alone[0] = 3
    rare = Observed(seen.signals, members, labels=alone, softmax=softmax)
    assert (attack.score(rare)[:, 0] == 0).all(), "of a class with one record nothing is known"
    assert not attack.applies(Observed(seen.signals, members, labels=labels))
    with pytest.raises(OptionError, match="without the whole answers"):
        attack.score(Observed(seen.signals, members, labels=labels))
