"""Intervals of differences and ratios, against SciPy's and against simulation."""

import math
from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from limbeck.train.welch import welch

A, B = [0.81, 0.79, 0.84, 0.80], [0.70, 0.76, 0.73]


def test_difference_is_welchs() -> None:
    found = welch(fmean(A) - fmean(B), [(A, 1.0), (B, -1.0)])
    reference = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(reference)
    assert found.trials == 7


def test_slopes_scale_the_means() -> None:
    found = welch(0.0, [(A, 2.0), (B, -3.0)], level=0.9)
    scaled = stats.ttest_ind(2 * np.array(A), 3 * np.array(B), equal_var=False)
    low, high = scaled.confidence_interval(0.9)
    assert found.high - found.low == pytest.approx(high - low)


def test_interval_stays_within_the_range() -> None:
    found = welch(0.98, [([0.9, 1.0], 1.0), ([0.0, 0.0], 1.0)], -1.0, 1.0)
    assert found.high == 1


def test_one_trial_has_no_interval_and_equal_trials_have_none_left() -> None:
    alone = welch(0.1, [(A, 1.0), ([0.7], -1.0)])
    assert math.isnan(alone.low) and math.isnan(alone.high)
    certain = welch(0.1, [([0.8, 0.8], 1.0), ([0.7, 0.7], -1.0)])
    assert (certain.low, certain.high) == (0.1, 0.1)


def test_ratio_covers_the_true_ratio() -> None:
    coins = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        a, b = coins.normal(0.6, 0.03, 4).tolist(), coins.normal(0.9, 0.02, 4).tolist()
        ratio = fmean(a) / fmean(b)
        found = welch(ratio, [(a, 1 / fmean(b)), (b, -ratio / fmean(b))], 0.0)
        covered += found.low <= 0.6 / 0.9 <= found.high
    assert 0.92 < covered / 400 < 0.985
