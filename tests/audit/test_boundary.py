"""At the noisy-sum boundary: tight on correct mechanisms, alarmed by deliberately broken ones."""

import numpy as np
import pytest
import torch

from limbeck.audit.boundary import attack, find_seed, observe, on_lattice
from limbeck.audit.broken import BROKEN
from limbeck.audit.inference.gdp_test import gdp_lower_bound, gdp_p_value, refutes
from limbeck.audit.noisy_queries import QUERIES, through_budget
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.privacy.budget import Budget
from limbeck.privacy.claim import Claim
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.records import Bound

pytestmark = pytest.mark.usefixtures("unchecked")
MU = mu_of(1.0, 1e-5)
REPEATS = 20


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


@pytest.mark.parametrize("query", QUERIES)
def test_every_kind_of_query_is_measured_to_60_percent_and_stands(query):
    """Its noise is secret: bounds of another run differ by a tenth or so."""
    claim = Claim(epsilon=1.0)
    found = attack(claim, release=QUERIES[query](claim), units=400, runs=30)
    assert 0.5 <= found.bound.value <= 1.1 and found.p_value > 1e-5


@pytest.mark.parametrize("query", QUERIES)
def test_no_kind_of_query_shows_a_lattice_or_a_scale(query):
    claim = Claim(epsilon=1.0)
    words = {"wide": 300, "opposed": False} if query in ("blocks", "shards") else {}
    release = QUERIES[query](claim, **words)
    for name in ("lattice", "scale"):
        found = attack(claim, name, release=release, units=10, runs=20, wide=300)
        assert found.p_value > 1e-5


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.mistake)
def test_every_known_mistake_is_refuted(broken):
    assert all(broken.found(Claim(epsilon=1.0), seed).refuted for seed in range(2))


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [1.0, 10.0])
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.mistake)
def test_every_known_mistake_is_refuted_in_19_of_20_audits(broken, epsilon):
    refuted = sum(broken.found(Claim(epsilon=epsilon), seed).refuted for seed in range(20))
    assert refuted >= 19


def test_seed_enumeration_needs_seeds():
    with pytest.raises(OptionError, match="no seeds"):
        find_seed(np.zeros(2), lambda seed: np.zeros(2), [])


def test_the_lattice_is_told_from_noise_that_has_none():
    """A member's small coordinates are multiples of 2^-32 where its statistic is near 0.007."""
    on, off = np.full((1, 20_000), 3 * 2.0**-32), np.full((1, 20_000), 3.5 * 2.0**-32)
    assert on_lattice(on) == 0 and on_lattice(off) == -20_000
    assert on_lattice(off + 1.0) == 0, "large coordinates tell nothing"


def test_the_same_record_within_a_budget_is_cut_and_raises_none():
    long = LabeledDataset(torch.ones(1, 100), torch.zeros(1, dtype=torch.int64), ("a",))
    found = Budget(long, epsilon=None).release("sum", lambda inputs, _: inputs, Bound.of(1.0), 1.0)
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
