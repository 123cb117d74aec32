"""A claimed guarantee against runs of mechanisms whose epsilon is known."""

import math

import numpy as np
import pytest

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.inference.claim import examine
from limbeck.audit.inference.epsilon import epsilon_lower_bound
from limbeck.audit.inference.intervals import Clusters
from limbeck.privacy.gaussian import epsilon_of, mu_of
from limbeck.types import Guarantee

pytestmark = pytest.mark.usefixtures("unchecked")
RUNS, RECORDS, DELTA = 64, 200, 1e-5
HALVES = np.arange(RUNS) % 2 == 1


def gaussian(mu, seed, together=1):
    """A Gaussian mechanism of shift ``mu`` per coin; ``together`` records share each coin."""
    g = np.random.default_rng(seed)
    coins = np.repeat(g.random((RUNS, RECORDS // together)) < 0.5, together, axis=1)
    signals = g.standard_normal(coins.shape) + mu * coins + 3 * g.standard_normal(RECORDS)
    return [(LiRA(), Observed(signals[:, None].astype(np.float32), coins))]


def claimed(mu, stated=True, **changes):
    return Guarantee(epsilon_of(mu, DELTA), DELTA, mu=mu if stated else None, **changes)


SINGLE = Clusters.separate(RECORDS)


def test_a_true_claim_stands():
    found = examine(claimed(1.0), gaussian(1.0, 0), HALVES, SINGLE)
    assert not found.refuted and "do not refute" in found.sentence
    assert found.epsilon == pytest.approx(epsilon_of(1.0, DELTA))
    assert found.curve_bound.value < found.epsilon


def test_the_curve_refutes_where_the_generic_bound_cannot_reach():
    """Epsilon 10 that claims 6 (mu-GDP): half of the alarm's level is enough for the curve."""
    leaks = gaussian(2.0, 9)
    mu = mu_of(6.0, DELTA)
    found = examine(claimed(mu), leaks, HALVES, SINGLE)
    assert found.refuted and found.curve_p_value <= 0.0005
    assert "trade-off curve" in found.sentence and found.curve_bound.value > 6
    # Without a claimed curve, epsilon 6 alone cannot be refuted by these runs.
    assert not examine(claimed(mu, stated=False), leaks, HALVES, SINGLE).refuted


def test_the_generic_bound_refutes_a_claim_without_a_curve():
    found = examine(claimed(0.1, stated=False), gaussian(3.0, 1), HALVES, SINGLE)
    assert found.refuted and "the runs show at least" in found.sentence
    assert math.isnan(found.curve_p_value) and found.curve_bound is None


def test_what_one_audit_in_20_shows_by_chance_refutes_nothing():
    """The alarm is for what would be seen in one of 1,000: a bound at 95% may exceed the truth."""
    leaks = gaussian(3.0, 1)
    bounds = {
        level: epsilon_lower_bound(leaks, HALVES, SINGLE, delta=DELTA, level=level).value
        for level in (0.95, 0.999)
    }
    between = sum(bounds.values()) / 2
    assert bounds[0.999] < between < bounds[0.95]
    for epsilon, refuted in ((between, False), (bounds[0.999] * 0.99, True)):
        found = examine(Guarantee(epsilon, DELTA), leaks, HALVES, SINGLE)
        assert found.refuted is refuted


def test_records_that_share_a_coin_are_covered_by_the_claim_for_all_of_them():
    """Two records of mu 1 each shift their coin's signals by more than one record's mu."""
    pairs = Clusters(np.arange(RECORDS) // 2)
    shared = gaussian(1.3, 2, together=2)  # the two signals together: 1.3 sqrt 2 < 2 x 1
    found = examine(claimed(1.0), shared, HALVES, pairs)
    assert found.epsilon == pytest.approx(epsilon_of(2.0, DELTA))
    assert not found.refuted
    assert examine(claimed(1.0, unit="group"), shared, HALVES, pairs).refuted
    untested = examine(claimed(1.0, stated=False), shared, HALVES, pairs)
    assert untested.epsilon is None and "2 share a coin" in untested.sentence


def test_a_claim_about_replacing_records_is_not_tested():
    found = examine(claimed(0.01, adjacency="replace-one"), gaussian(3.0, 3), HALVES, SINGLE)
    assert found.epsilon is None and not found.refuted
    assert "replacing a record" in found.sentence


def test_an_audit_without_two_halves_tests_nothing():
    found = examine(claimed(0.01), gaussian(3.0, 3), np.zeros(RUNS, bool), SINGLE)
    assert found.epsilon is None and "one half" in found.sentence
