"""Spending before answering; the ledger's arithmetic against dp-accounting; noise drawn once."""

import math

import dp_accounting
import numpy as np
import pytest
import torch
from scipy import stats

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import BudgetError, OptionError
from limbeck.privacy import noise
from limbeck.privacy.budget import Budget
from limbeck.privacy.records import Bound

opendp = pytest.importorskip("opendp", reason="guarantees need the extra 'private'")


def data(n=50, groups=None):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(n, 6, generator=generator)
    return LabeledDataset(inputs, torch.arange(n) % 2, ("a", "b"), groups=groups)


def flat(inputs, labels):
    return inputs.flatten(1)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 10.0])
@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
def test_one_release_has_the_noise_of_dp_accounting(epsilon, adjacency):
    budget = Budget(data(), epsilon=epsilon, adjacency=adjacency)
    bound = Bound.of(1.5)
    released = budget.release("sum", flat, bound, 1.0)
    sigma = dp_accounting.get_sigma_gaussian(epsilon, 1e-5)
    moves = 1 if adjacency == "add-remove" else 2
    assert released.noise == pytest.approx(sigma * moves * 1.5, rel=1e-6)
    guarantee = budget.guarantee
    assert guarantee.epsilon == pytest.approx(epsilon, abs=1e-6)
    assert guarantee.adjacency == adjacency and guarantee.unit == "record"
    [event] = guarantee.events
    assert (event.name, event.count) == ("sum", 1)
    ratio = noise.continuous_scale(event.noise_scale) / event.sensitivity
    assert dp_accounting.get_epsilon_gaussian(ratio, 1e-5) == pytest.approx(epsilon, abs=1e-6)


def test_several_releases_cost_what_dp_accounting_says_and_one_more_is_refused():
    budget = Budget(data(), epsilon=2.0)
    for name, share in (("counts", 0.1), ("means", 0.3), ("moments", 0.6)):
        budget.release(name, flat, Bound.of(1.0), share)
    ratios = [e.sensitivity / e.noise_scale for e in budget.guarantee.events]
    together = 1 / math.sqrt(sum(r**2 for r in ratios))
    assert dp_accounting.get_epsilon_gaussian(together, 1e-5) == pytest.approx(2.0, abs=1e-6)
    assert budget.guarantee.epsilon == pytest.approx(2.0, abs=1e-6)
    read = []
    with pytest.raises(BudgetError, match=r"once more: 0.01 of the privacy budget asked for"):
        budget.release("once more", lambda x, y: read.append(1) or x, Bound.of(1.0), 0.01)
    assert not read, "refused before anything is read"
    assert len(budget.guarantee.events) == 3


def test_a_release_that_fails_is_spent_all_the_same():
    budget = Budget(data(), epsilon=1.0)

    def breaks(inputs, labels):
        raise RuntimeError("after it has seen the data")

    with pytest.raises(RuntimeError):
        budget.release("sum", breaks, Bound.of(1.0), 0.9)
    assert budget.left == pytest.approx(0.1)


def test_an_uncounted_noisy_step_would_be_seen():
    """One step more than the ledger holds changes epsilon by more than the tests allow."""
    budget = Budget(data(), epsilon=1.0)
    for k in range(10):
        budget.release(f"step {k}", flat, Bound.of(1.0), 0.1)
    event = budget.guarantee.events[0]
    ratio = event.noise_scale / event.sensitivity
    eleven = dp_accounting.get_epsilon_gaussian(ratio / math.sqrt(11), 1e-5)
    assert budget.guarantee.epsilon == pytest.approx(1.0, abs=1e-6)
    assert eleven > budget.guarantee.epsilon + 0.03


def test_the_sum_is_in_its_own_units_and_its_noise_is_drawn_once():
    private, bound = data(2000), Bound.of(3.0)
    budget = Budget(private, epsilon=5.0)
    one, other = (budget.release(n, flat, bound, 0.5) for n in ("one", "other"))
    truth = private.inputs.double().sum(0)
    for released in (one, other):
        assert (released.values - truth).abs().max() < 6 * released.noise
        assert torch.equal(released.values, released.values), "reading again gives the same"
    difference = (one.values - other.values).abs()
    assert (difference > 0).all(), "two releases never share noise"


def test_noise_is_the_discrete_gaussian():
    drawn = noise.discrete_gaussian(np.zeros(20_000, dtype=np.int64), 4.0)
    edges = np.arange(-12, 13)
    mass = np.exp(-(np.arange(-60, 61) ** 2) / 32.0)
    mass /= mass.sum()
    expected = 20_000 * mass[60 - 12 : 60 + 13]
    seen = np.array([(drawn == e).sum() for e in edges])
    # Chi-square with 25 cells: above 60 once in ten thousand.
    assert ((seen - expected) ** 2 / expected).sum() < 60
    moved = noise.discrete_gaussian(np.full(4, 10**12), 4.0)
    assert np.abs(moved - 10**12).max() < 40


def test_the_continuous_curve_covers_the_discrete_noise():
    """Hockey-stick divergence of the discrete noise, summed term by term, in one dimension."""
    for shift, scale in ((1, 4.0), (5, 4.0), (40, 50.0)):
        z = np.arange(-2000, 2001)
        mass = [np.exp(-((z - v) ** 2) / (2 * scale**2)) for v in (0, shift)]
        p, q = (m / m.sum() for m in mass)
        mu = shift / noise.continuous_scale(scale)
        for epsilon in (0.1, 0.5, 1.0):
            discrete = np.maximum(p - np.exp(epsilon) * q, 0).sum()
            continuous = stats.norm.cdf(mu / 2 - epsilon / mu) - np.exp(epsilon) * stats.norm.cdf(
                -mu / 2 - epsilon / mu
            )
            assert discrete <= continuous + 1e-12


def test_groups_are_the_unit_where_there_are_groups():
    budget = Budget(data(groups=torch.arange(50) // 5), epsilon=1.0)
    budget.release("sum", flat, Bound.of(1.0), 1.0)
    assert budget.guarantee.unit == "group"


def test_repeatable_noise_claims_nothing():
    sums = []
    for _ in range(2):
        budget = Budget(data(), epsilon=1.0, insecure_seed=3)
        sums.append(budget.release("sum", flat, Bound.of(1.0), 1.0).values)
        assert budget.guarantee is None
    assert torch.equal(*sums)


def test_bad_requests_are_refused_in_one_line():
    with pytest.raises(OptionError, match="epsilon above 0"):
        Budget(data(), epsilon=0.0)
    with pytest.raises(OptionError, match="in \\(0, 1\\]"):
        Budget(data(), epsilon=1.0).release("sum", flat, Bound.of(1.0), 1.5)
    with pytest.raises(OptionError, match="finer grid"):
        noise.discrete_gaussian(np.zeros(2, dtype=np.int64), 1.0)
