"""At the noisy-sum boundary: tight on correct mechanisms, alarmed by deliberately broken ones."""

from functools import cache

import numpy as np
import pytest
import torch

from limbeck.audit.boundary import attack, find_seed, matched_filter, observe, through_budget
from limbeck.audit.inference.gdp_test import gdp_lower_bound, gdp_p_value, refutes
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.privacy.budget import Budget
from limbeck.privacy.claim import Claim
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.records import Bound

pytestmark = pytest.mark.usefixtures("unchecked")
MU = mu_of(1.0, 1e-5)
REPEATS = 20


def flat(inputs, labels):
    return inputs


def planted(units):
    return LabeledDataset(torch.eye(units), torch.zeros(units, dtype=torch.int64), ("a",))


@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
def test_a_claim_of_epsilon_1_is_measured_to_at_least_60_percent_and_stands(adjacency):
    claim = Claim(epsilon=1.0, adjacency=adjacency)
    scores, coins = observe(claim, units=400, runs=30, seed=1, insecure=True)
    found = gdp_lower_bound(scores, coins, delta=1e-5, independent=True)
    assert 0.6 <= found.value <= 1.0
    assert not refutes(scores, coins, MU, independent=True)


def test_a_correct_mechanism_is_not_refuted_beyond_its_level():
    p = []
    for seed in range(REPEATS):
        scores, coins = observe(Claim(epsilon=1.0), units=200, runs=3, seed=seed, insecure=True)
        p.append(gdp_p_value(scores, coins, MU, independent=True))
    # At a level of 5% more than 5 of 20 happen once in 3,000.
    assert sum(value <= 0.05 for value in p) <= 5 and min(p) > 0.001


def test_secure_noise_is_judged_alike():
    scores, coins = observe(Claim(epsilon=1.0), units=300, runs=2)
    other, same = observe(Claim(epsilon=1.0), units=300, runs=2)
    assert (scores != other).all() and (coins == same).all()
    mean = scores[coins].mean() - scores[~coins].mean()
    assert mean == pytest.approx(1.0, abs=5 * 2 / MU / 600**0.5)


def released(private, seed, *, epsilon=1.0):
    budget = Budget(private, epsilon=epsilon, insecure_seed=seed)
    return budget.release("sum", flat, Bound.of(1.0), 1.0).values.numpy()


def test_noise_redrawn_at_each_step_on_stored_sums_raises_the_alarm():
    alarms = 0
    for repeat in range(REPEATS):
        coins = np.random.default_rng(repeat).random((2, 150)) < 0.5
        # Accounted for as one release; the attacker averages what 30 steps were shown.
        means = [
            np.mean([released(planted(150).select(row), 100 * repeat + s) for s in range(30)], 0)
            for row in map(torch.from_numpy, coins)
        ]
        scores = matched_filter(np.stack(means), np.zeros(150), np.eye(150))
        alarms += refutes(scores, coins, MU, independent=True)
    assert alarms >= 19


@cache
def of_known_records(seed):
    nobody = torch.zeros(1, 300)
    return released(LabeledDataset(nobody, torch.zeros(1, dtype=torch.int64), ("a",)), seed)


def test_noise_from_one_of_a_thousand_seeds_is_found_by_enumeration():
    alarms = 0
    for repeat in range(REPEATS):
        g = np.random.default_rng(repeat)
        coins = g.random((1, 300)) < 0.5
        secret = int(g.integers(1000))
        seen = released(planted(300).select(torch.from_numpy(coins[0])), secret)
        seed, left = find_seed(seen, of_known_records, range(1000))
        assert seed == secret
        scores = matched_filter(left[None], np.zeros(300), np.eye(300))
        alarms += refutes(scores, coins, MU, independent=True)
    assert alarms >= 19
    with pytest.raises(OptionError, match="no seeds"):
        find_seed(np.zeros(2), of_known_records, [])


def test_one_oversized_record_left_unbounded_raises_the_alarm():
    """The record is the canary: ten times as long as the bound that the noise was made for."""
    budget = Budget(planted(4), epsilon=1.0)
    noise = budget.release("sum", flat, Bound.of(1.0), 1.0).noise
    alarms = 0
    for repeat in range(REPEATS):
        g = np.random.default_rng(repeat)
        coins = g.random((1, 150)) < 0.5  # of that one record, in runs of their own
        sums = 10.0 * coins.T * np.array([1.0, 0, 0, 0]) + noise * g.standard_normal((150, 4))
        scores = matched_filter(sums, np.zeros(4), np.array([[1.0, 0, 0, 0]]))
        alarms += refutes(scores.T, coins, MU, independent=True)
    assert alarms >= 19


def test_the_same_record_within_a_budget_is_cut_and_raises_none():
    long = LabeledDataset(torch.ones(1, 100), torch.zeros(1, dtype=torch.int64), ("a",))
    found = Budget(long, epsilon=None).release("sum", flat, Bound.of(1.0), 1.0)
    assert float(found.values.norm()) <= 1.0


def test_without_a_claim_there_is_nothing_to_audit():
    with pytest.raises(OptionError, match="give an epsilon"):
        observe(Claim(epsilon=None))


def test_attacks_at_the_boundary_go_by_name():
    """Guessable noise stands up to the matched filter, and falls to seed enumeration."""
    claim = Claim(epsilon=1.0)
    honest = through_budget(claim)

    def with_secret(secret):
        return lambda private, seed: honest(private, secret if seed is None else seed)

    words = {"units": 300, "runs": 2, "seeds": range(60)}
    for secret, name, refuted in (
        (10**6, "matched-filter", False),
        (10**6, "seed-enumeration", False),
        (37, "matched-filter", False),
        (37, "seed-enumeration", True),
    ):
        found = attack(claim, name, release=with_secret(secret), **words)
        assert found.refuted is refuted and found.claimed == 1.0 and found.attack == name
    assert found.seeds == (37, 37) and found.bound.value > 1.0
    with pytest.raises(OptionError, match="no attack at the boundary is called 'guess'"):
        attack(claim, "guess")
    assert attack(claim, units=40, runs=1).p_value > 1e-4, "limbeck's own"
