"""The lower bound on epsilon: the paper's values, its validity and what it may look at."""

import math

import numpy as np
import pytest
from scipy import stats

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.inference.epsilon import (
    choose_guessing,
    epsilon_lower_bound,
    one_run_bound,
    one_run_p_value,
    single_run_bound,
)
from limbeck.audit.inference.intervals import Clusters
from limbeck.privacy.gaussian import mu_of

ATTACKS = (LiRA(), LiRA(online=False), LossThreshold())
HALVES = np.arange(16) % 2 == 1


def test_check_values_of_the_one_run_paper():
    assert one_run_bound(1000, 100, 75, delta=1e-4) == pytest.approx(0.673, abs=5e-4)
    assert one_run_bound(100_000, 1510, 1439, delta=1e-5) == pytest.approx(2.6759, abs=5e-5)


@pytest.mark.parametrize(
    ("m", "r", "v", "epsilon", "delta"),
    [(50, 20, 15, 0.5, 1e-3), (400, 300, 160, 0.1, 1e-3), (9, 5, 0, 1.0, 1e-2), (60, 60, 60, 2, 0)],
)
def test_p_value_is_the_formula_over_all_shifts(m, r, v, epsilon, delta):
    q = math.exp(epsilon) / (1 + math.exp(epsilon))
    mass = [stats.binom.pmf(k, r, q) for k in range(r + 1)]
    shifts = [sum(mass[v - i : v]) / i for i in range(1, v + 1)]
    expected = sum(mass[v:]) + 2 * m * delta * max(shifts, default=0)
    found = one_run_p_value(m, r, v, float(epsilon), float(delta))
    assert found == pytest.approx(min(expected, 1.0), rel=1e-9)


def test_bound_is_where_the_p_value_crosses():
    bound = one_run_bound(2000, 200, 170, delta=1e-5)
    assert one_run_p_value(2000, 200, 170, bound, 1e-5) <= 0.05
    assert one_run_p_value(2000, 200, 170, bound + 1e-4, 1e-5) > 0.05
    assert one_run_bound(2000, 200, 100, delta=1e-5) == 0.0
    assert one_run_bound(2000, 200, 170, delta=1e-5, level=0.999) < bound


def gaussian(g, shift, runs=16, records=60):
    member = g.random((runs, records)) < 0.5
    signals = g.standard_normal((runs, 1, records)) + shift * member[:, None]
    return Observed(signals.astype(np.float32), member)


def bound_of(observed, attacks=ATTACKS):
    clusters = Clusters.separate(observed.membership.shape[1])
    candidates = [(attack, observed) for attack in attacks]
    return epsilon_lower_bound(candidates, HALVES, clusters, delta=1e-5)


@pytest.mark.usefixtures("unchecked")
def test_positive_on_null_data_in_at_most_5_percent_and_not_idle():
    """A bound maximised over thresholds on its own scores is positive far more often."""
    g = np.random.default_rng(0)
    held_out = careless = 0
    repetitions = 120
    for _ in range(repetitions):
        observed = gaussian(g, 0.0)
        held_out += bound_of(observed).low > 0
        scores = LiRA(online=False).score(observed)
        ranked = observed.membership.ravel()[np.argsort(-scores, axis=None)]
        careless += any(
            one_run_p_value(len(ranked), r, int(ranked[:r].sum()), 0.0, 1e-5) < 0.05
            for r in range(20, len(ranked), 20)
        )
    assert 1 <= held_out <= stats.binom.ppf(0.999, repetitions, 0.05)
    assert careless > 0.15 * repetitions


@pytest.mark.usefixtures("unchecked")
def test_known_epsilon_is_hardly_ever_exceeded():
    """Randomised response of epsilon 1, dressed as signals: its bound holds at 95%."""
    g = np.random.default_rng(1)
    above, values = 0, []
    truth = 1.0
    for _ in range(60):
        member = g.random((16, 100)) < 0.5
        told = np.where(g.random(member.shape) < 1 / (1 + math.exp(-truth)), member, ~member)
        signals = (10 * told + g.standard_normal(member.shape))[:, None].astype(np.float32)
        bound = bound_of(Observed(signals, member), attacks=(LossThreshold(),)).low
        above += bound > truth
        values.append(bound)
    assert above <= stats.binom.ppf(0.999, 60, 0.05)
    assert np.mean(values) > 0.6


@pytest.mark.usefixtures("unchecked")
def test_a_delta_event_that_reveals_all_canaries_of_a_run_is_paid_for():
    g = np.random.default_rng(2)
    delta, above = 0.01, 0
    for _ in range(60):
        observed = gaussian(g, 0.0)
        revealed = (g.random((16, 1)) < delta)[:, None]
        signals = observed.signals + np.where(revealed, 100 * observed.membership[:, None], 0)
        shown = Observed(signals.astype(np.float32), observed.membership)
        candidates = [(LiRA(online=False), shown)]
        clusters = Clusters.separate(60)
        above += epsilon_lower_bound(candidates, HALVES, clusters, delta=delta).low > 0
    assert above <= stats.binom.ppf(0.999, 60, 0.05)


@pytest.mark.usefixtures("unchecked")
def test_one_run_of_500_canaries_of_a_gaussian_mechanism():
    """Shares of the true epsilon that one run proves, without choosing the guesses by the run."""
    g = np.random.default_rng(12)
    for epsilon, share in ((1.0, 0.10), (4.0, 0.30), (10.0, 0.25)):
        shift = mu_of(epsilon, 1e-5)
        bounds = []
        for _ in range(150):
            coins = g.random(500) < 0.5
            scores = g.standard_normal(500) + shift * coins
            bounds.append(single_run_bound(scores, coins, delta=1e-5).low)
        # The mean of 150 has a standard error below 3% of epsilon.
        assert np.mean(bounds) > (share - 0.03) * epsilon
        assert np.mean(np.array(bounds) > epsilon) <= 0.05
    coins = g.random(500) < 0.5
    single = single_run_bound(coins.astype(float), coins, delta=1e-5)
    assert single.trials == 100
    assert single.low == one_run_bound(500, 100, 100, delta=1e-5)


def test_half_b_decides_nothing_but_the_count():
    observed = gaussian(np.random.default_rng(3), 1.5)
    clusters = Clusters.separate(60)
    before = choose_guessing([(a, observed) for a in ATTACKS], HALVES, clusters, delta=1e-5)
    signals, member = observed.signals.copy(), observed.membership.copy()
    signals[HALVES] = np.random.default_rng(4).standard_normal(signals[HALVES].shape) * 9
    member[HALVES] = ~member[HALVES]
    other = Observed(signals, member)
    assert before == choose_guessing([(a, other) for a in ATTACKS], HALVES, clusters, delta=1e-5)
    # Nor do the coins of half B move its own scores: flipping them turns right guesses wrong.
    flipped = Observed(
        observed.signals, np.where(HALVES[:, None], ~observed.membership, observed.membership)
    )
    assert bound_of(observed).low > 0
    assert bound_of(flipped).low == 0


def test_records_of_one_unit_are_one_coin():
    """Copies of every record are not twice the evidence."""
    observed = gaussian(np.random.default_rng(5), 1.5)
    once = bound_of(observed)
    doubled = Observed(np.tile(observed.signals, 2), np.tile(observed.membership, 2))
    units = Clusters(np.tile(np.arange(60), 2))
    attacks = [(a, doubled) for a in ATTACKS]
    assert epsilon_lower_bound(attacks, HALVES, units, delta=1e-5) == once


def test_no_bound_without_two_halves():
    observed = gaussian(np.random.default_rng(6), 3.0)
    clusters = Clusters.separate(60)
    for halves in (np.zeros(16, dtype=bool), np.ones(16, dtype=bool)):
        bound = epsilon_lower_bound([(LiRA(), observed)], halves, clusters, delta=1e-5)
        assert math.isnan(bound.value)
