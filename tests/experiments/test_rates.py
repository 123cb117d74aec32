"""Shares and differences of (run, record) trials against closed forms and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from limbeck.experiments import rates


def test_thresholds_come_from_the_other_runs() -> None:
    scores = np.array([[0.0, 1.0, 5.0], [0.0, 9.0, 2.0], [3.0, 4.0, 8.0]])
    inside = np.array([[0, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=bool)
    hits = rates.above(scores, inside, 0.25)
    for run in range(3):
        out = [scores[r, j] for r in range(3) for j in range(3) if r != run and not inside[r, j]]
        np.testing.assert_array_equal(hits[run], scores[run] > np.quantile(out, 0.75))


def test_share_counts_its_arm_alone() -> None:
    hits = np.array([[1, 0, 1], [1, 1, 0]], dtype=bool)
    arm = np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)
    found = rates.share(hits, arm)
    assert (found.value, found.trials) == (2 / 3, 3)
    assert 0 <= found.low < 2 / 3 < found.high <= 1
    assert math.isnan(rates.share(hits, np.zeros_like(arm)).value)


def test_interval_of_a_difference_covers_the_truth_and_pairing_narrows_it() -> None:
    draws = np.random.default_rng(0)
    covered, widths, alone = 0, [], []
    arm = np.ones((8, 60), dtype=bool)
    for _ in range(80):
        common = draws.random(arm.shape)
        one, other = common < 0.5, common < 0.4  # the same coins decide both
        found = rates.difference(one, arm, other, arm)
        covered += found.low <= 0.1 <= found.high
        widths.append(found.high - found.low)
        apart = rates.difference(one, arm, draws.random(arm.shape) < 0.4, arm)
        alone.append(apart.high - apart.low)
    assert covered >= 0.93 * 80 - 3 * math.sqrt(80 * 0.05 * 0.95)
    assert np.mean(widths) < 0.7 * np.mean(alone)


def test_a_difference_without_any_spread_or_trial_has_no_interval() -> None:
    hits, arm = np.zeros((3, 4), dtype=bool), np.ones((3, 4), dtype=bool)
    assert math.isnan(rates.difference(hits, arm, hits, arm).low)
    assert math.isnan(rates.difference(hits, arm, hits, ~arm).value)


def test_paired_is_students_interval() -> None:
    one, other = np.array([0.5, 0.6, 0.9, 0.4]), np.array([0.4, 0.7, 0.5, 0.1])
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    found = rates.paired(one, other)
    assert found.value == pytest.approx(np.mean(one - other))
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert rates.mean(one).value == pytest.approx(0.6)
