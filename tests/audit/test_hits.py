"""Rates of hits: against the two-way variance written out, threshold by threshold."""

import numpy as np
import pytest

from limbeck.audit.inference.hits import Excess, Hits
from limbeck.audit.inference.intervals import Clusters, mid_p, student_discount


def written_out(hits, side, clusters):
    """The rate and the excess of its variance, from the influence of every trial."""
    value = np.count_nonzero(hits & side) / np.count_nonzero(side)
    by_unit = np.zeros((len(side), clusters.count))
    influence = (hits - value) * side / np.count_nonzero(side)
    for record, unit in enumerate(clusters.units):
        by_unit[:, unit] += influence[:, record]
    runs, units = by_unit.shape
    trial = (by_unit**2).sum()
    run = (by_unit.sum(1) ** 2).sum() * runs / (runs - 1)
    unit = (by_unit.sum(0) ** 2).sum() * units / (units - 1)
    return value, [max(part - trial, 0) / (value or 1) ** 2 for part in (run, unit)]


@pytest.mark.parametrize("alike", [1, 4])
def test_all_thresholds_at_once_give_what_each_gives_alone(alike):
    g = np.random.default_rng(12)
    runs, records, times = 6, 40, 3.0
    clusters = Clusters(np.arange(records) // alike)
    side = g.random((runs, records)) < 0.4
    # Ties, too, and runs and units that differ.
    scores = np.round(g.standard_normal((runs, records)) + g.standard_normal((runs, 1)), 1)
    scores += np.round(g.standard_normal(clusters.count), 1)[clusters.units]
    levels = np.sort(g.standard_normal((7, runs)) * 2, axis=0)[::-1]
    thresholds = np.round(np.stack([np.full(runs, 99.0), *levels, np.full(runs, -np.inf)]), 1)
    rates, wider = [0, 1, 3, 4, 8], [2, 3, 5, 4, 8]
    found = Hits.above(
        thresholds, scores, side, clusters, rates=rates, wider=wider, times=times
    ).estimates(0.9)
    trials = np.count_nonzero(side)
    for row, more, estimate in zip(rates, wider, found, strict=True):
        (value, own), (_, of_more) = (
            written_out(scores > thresholds[at][:, None], side, clusters) for at in (row, more)
        )
        share = (1 + min(1, 16 / max(value * trials, 1))) / 2
        parts = [
            max(few, (1 - share) * few + share * times * many)
            for few, many in zip(own, of_more, strict=True)
        ]
        independent = (1 - value) / (max(value, 1 / trials) * trials)
        excess = Excess(*np.array(parts)[:, None])
        (freedom,) = excess.freedom(np.array([independent]), runs, clusters.count)
        effective = trials * student_discount(float(freedom), 0.9)
        if value < 1:
            effective /= 1 + sum(parts) / independent
        low, high = mid_p(np.array([value * effective]), np.array([effective]), 0.9)
        assert estimate.value == value and estimate.trials == trials and estimate.level == 0.9
        assert (estimate.low, estimate.high) == pytest.approx(
            (low[0], high[0]), rel=1e-9, abs=1e-11
        )
    assert [found[0].value, found[-1].value] == [0.0, 1.0]


def test_thresholds_that_rise_are_refused():
    scores, side = np.zeros((2, 3)), np.ones((2, 3), dtype=bool)
    rising = np.array([[1.0, 1.0], [0.0, 2.0]])
    with pytest.raises(ValueError, match="rise from row to row"):
        Hits.above(rising, scores, side, Clusters.separate(3), rates=[0], wider=[1], times=3.0)


def test_excess_is_what_clusters_add_over_the_square_of_the_rate():
    value, run, unit, trial = np.array([[0.5, 0.1, 0.0], [0.03] * 3, [0.01] * 3, [0.02] * 3])
    found = Excess.of(value, run, unit, trial)
    np.testing.assert_allclose(found.run, [0.01 / 0.25, 0.01 / 0.01, 0])
    np.testing.assert_array_equal(found.unit, [0, 0, 0])
    few, wider = (
        Excess(*np.full((2, 4), at[:, None])) for at in np.array([[0.1, 0.3], [0.5, 0.1]])
    )
    told = few.likewise(wider.times(2.0), np.array([3.0, 16.0, 32.0, 1e9]))
    np.testing.assert_allclose(told.run, [1.0, 1.0, 0.1 + 0.75 * 0.9, 0.55], rtol=1e-6)
    np.testing.assert_array_equal(told.unit, 0.3)


def test_freedom_is_that_of_the_clusters_as_far_as_they_matter():
    excess = Excess(np.array([0, 1e4, 0, 0.5]), np.array([0, 0, 1e4, 0.2]))
    some = 1.7**2 / (0.25 / 15 + 0.04 / 199)
    found = excess.freedom(np.ones(4), 16, 200)
    np.testing.assert_allclose(found, [3199, 15, 199, some], rtol=1e-3)
    assert found[0] == 3199 and found[3] == pytest.approx(some)
    nothing = Excess(np.zeros(1), np.zeros(1))
    np.testing.assert_array_equal(nothing.freedom(np.ones(1), 1, 4), 3)


def test_few_hits_take_over_the_dependence_that_more_hits_show():
    side = np.ones((16, 300), dtype=bool)
    few, many = np.zeros(side.shape), np.zeros(side.shape)
    few[[0, 5, 9], [7, 50, 200]] = 2
    many[2, :9] = 1
    spread = few.copy()
    spread[np.arange(6), np.arange(6)] = 1
    at = np.array([[1.5] * 16, [0.5] * 16])
    alike, apart = (
        Hits.above(
            at, scores, side, Clusters.separate(300), rates=[0], wider=[1], times=3.0
        ).estimates()[0]
        for scores in (spread, np.maximum(few, many))
    )
    assert alike.value == apart.value == 3 / side.size
    assert alike.trials == side.size
    low, high = mid_p(np.array([3.0]), np.array([4800.0]))
    np.testing.assert_allclose([alike.low, alike.high], [low[0], high[0]], rtol=0.01)
    assert apart.high > 1.2 * alike.high
    assert apart.low < alike.low
