"""Sampled noisy steps: what one unit changes, how much noise there is, and what it all costs."""

import math

import dp_accounting
import numpy as np
import pytest
import torch
from dp_accounting.pld import PLDAccountant
from scipy import stats

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import BudgetError, OptionError
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.budget import Budget
from limbeck.privacy.entropy import Coins, below
from limbeck.privacy.records import Bound
from limbeck.privacy.sampled import Sampler, Steps, multiplier_for

SHAPES = [torch.Size([3]), torch.Size([2, 2])]


def rows(inputs, _):
    """The record's own numbers as gradients of two parameters."""
    return [inputs[:, :3], inputs[:, 3:7].reshape(-1, 2, 2)]


def sampler(inputs, steps, **words):
    return Sampler(inputs, torch.zeros(len(inputs)), steps, SHAPES, **words)


def flat(sums):
    return torch.cat([s.flatten() for s in sums])


def gradients(n=40, seed=0):
    scale = torch.logspace(-3, 3, n)[:, None]
    return torch.randn(n, 7, generator=torch.Generator().manual_seed(seed)) * scale


def test_the_sum_is_that_of_a_slow_loop():
    inputs = gradients()
    expected = sum(row * min(1.0, 1.5 / float(row.norm())) for row in inputs)
    once = Steps(rate=1.0, count=1, multiplier=0.0, norm=1.5)
    for chunk in (7, 64):
        found = flat(sampler(inputs, once).step(rows, chunk=chunk))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [1e-3, 1.0, 1e30, 3e38, math.inf, -math.inf, math.nan])
def test_one_record_changes_a_sum_by_the_norm_at_most(value):
    inputs = gradients()
    once = Steps(rate=1.0, count=1, multiplier=0.0, norm=0.7)
    without = flat(sampler(inputs, once).step(rows))
    for extra in (torch.full((1, 7), value), torch.tensor([[value, *[1.0] * 6]])):
        moved = flat(sampler(torch.cat([inputs, extra]), once).step(rows)) - without
        assert torch.isfinite(moved).all()
        assert moved.norm() <= 0.7 * (1 + 1e-5)


def test_noise_has_the_declared_scale_is_normal_and_new_at_each_step():
    wide = [torch.Size([20_000])]
    steps = Steps(rate=1.0, count=2, multiplier=1.7, norm=0.3)
    for seed in (None, 5):
        drawn = Sampler(torch.zeros(1, 1), torch.zeros(1), steps, wide, insecure_seed=seed)

        def nothing(inputs, _):
            return [torch.zeros(len(inputs), 20_000)]

        first, second = (drawn.step(nothing)[0].numpy() / (1.7 * 0.3) for _ in range(2))
        for one in (first, second):
            assert abs(one.std() - 1) < 0.025, "five standard errors"
            assert stats.kstest(one, "norm").pvalue > 1e-5
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.04


def test_each_record_takes_part_at_the_rate_on_its_own():
    n, count, rate = 50, 400, 0.3
    once = Steps(rate=rate, count=count, multiplier=0.0, norm=1.0)
    taken = []

    def who(inputs, _):
        return [inputs]

    drawn = Sampler(torch.eye(n), torch.zeros(n), once, [torch.Size([n])])
    for _ in range(count):
        taken.append(drawn.step(who)[0].numpy().round())
    table = np.array(taken)
    assert set(np.unique(table)) == {0.0, 1.0}
    deviation = math.sqrt(rate * (1 - rate) / count)
    assert abs(table.mean(0) - rate).max() < 5 * deviation
    sizes = table.sum(1)
    assert sizes.var() == pytest.approx(n * rate * (1 - rate), rel=0.4), "independent coins"
    assert len({*sizes}) > 5, "no fixed batch size"


def test_a_group_takes_part_with_one_record_at_random():
    groups = torch.tensor([7, 7, 7, 2, 2, 9])
    steps = Steps(rate=1.0, count=300, multiplier=0.0, norm=1.0)
    drawn = Sampler(torch.eye(6), torch.zeros(6), steps, [torch.Size([6])], groups=groups)
    table = torch.stack([drawn.step(lambda x, _: [x])[0] for _ in range(300)])
    by_group = torch.stack([table[:, :3].sum(1), table[:, 3:5].sum(1), table[:, 5]])
    assert torch.allclose(by_group, torch.ones(3, 300), atol=1e-5)
    shares = table.mean(0)
    assert torch.allclose(shares, torch.tensor([1 / 3] * 3 + [1 / 2] * 2 + [1.0]), atol=0.15)


def test_steps_beyond_the_declared_are_refused():
    drawn = sampler(gradients(), Steps(rate=0.5, count=2, multiplier=1.0, norm=1.0))
    drawn.step(rows)
    drawn.step(rows)
    with pytest.raises(BudgetError, match="2 noisy steps were declared and all are done"):
        drawn.step(rows)


def test_a_step_without_any_record_is_noise_alone():
    drawn = sampler(gradients(3), Steps(rate=1e-9, count=3, multiplier=1.0, norm=1.0))
    found = flat(drawn.step(rows))
    assert torch.isfinite(found).all() and found.abs().max() > 0


@pytest.mark.parametrize(("rate", "noise", "count"), [(0.25, 5.0, 60), (0.02, 1.0, 100)])
def test_epsilon_is_that_of_dp_accounting_and_near_opacus_own(rate, noise, count):
    from opacus.accountants import PRVAccountant, RDPAccountant

    events = [Steps(rate, count, noise, norm=0.3).event("steps")]
    found = epsilon_declared(events, 1e-5)
    direct = PLDAccountant()
    event = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(noise))
    direct.compose(event, count)
    # The noise is rounded up to whole grid steps.
    assert found <= direct.get_epsilon(1e-5) == pytest.approx(found, rel=1e-5)
    assert found <= epsilon_declared(events, 1e-5, grid=1e-3) + 1e-9 <= found * 1.001
    others = {}
    for accountant in (PRVAccountant(), RDPAccountant()):
        for _ in range(count):
            accountant.step(noise_multiplier=noise, sample_rate=rate)
        others[type(accountant)] = accountant.get_epsilon(1e-5)
    assert found == pytest.approx(others[PRVAccountant], rel=0.02)
    assert found < others[RDPAccountant]


@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_the_noise_found_is_enough_and_one_step_more_is_too_much(epsilon, adjacency):
    found = multiplier_for(epsilon, 1e-5, adjacency, rate=0.2, count=50)

    def cost(count, multiplier):
        events = [Steps(0.2, count, multiplier, 1.0).event("steps")]
        return epsilon_declared(events, 1e-5, adjacency, grid=1e-3)

    assert 0.995 * epsilon < cost(50, found) <= epsilon
    assert cost(51, found) > epsilon


def test_replacing_costs_as_much_as_two_changes():
    events = [Steps(0.1, 40, 2.0, 1.0).event("steps")]
    both = epsilon_declared(events, 1e-5, "replace-one")
    half = both / 2
    # At the delta where add-remove has half of it, the deltas of the two changes add up.
    deltas = np.geomspace(1e-7, 1e-5, 200)
    accountant = PLDAccountant(value_discretization_interval=1e-3)
    accountant.compose(
        dp_accounting.PoissonSampledDpEvent(0.1, dp_accounting.GaussianDpEvent(2.0)), 40
    )
    epsilons = np.array([accountant.get_epsilon(d) for d in deltas])
    valid = epsilons[(1 + np.exp(epsilons)) * deltas <= 1e-5]
    assert half == pytest.approx(valid.min(), rel=0.01)
    assert both > epsilon_declared(events, 1e-5)


def test_faint_noise_has_an_honest_and_huge_epsilon_and_no_remarks(caplog):
    events = [Steps(0.01, 1600, 0.00625, 1.0).event("steps")]
    assert epsilon_declared(events, 1e-5) > 1e6
    # Renyi divergences take over without a jump downwards.
    near = [
        epsilon_declared([Steps(0.1, 20, m, 1.0).event("x")], 1e-5, grid=1e-3)
        for m in (0.55, 0.51, 0.49)
    ]
    assert near == sorted(near)
    assert epsilon_declared([Steps(0.02, 50, 0.43, 1.0).event("x")], 1e-5, grid=1e-3) > 0
    assert not caplog.records, "dp_accounting warns of orders that it leaves out"


def test_no_noise_is_enough_for_what_cannot_be_had():
    with pytest.raises(OptionError, match="no noise gives epsilon 1e-05"):
        multiplier_for(1e-5, 1e-9, "add-remove", rate=1.0, count=10**6)


def test_torch_generators_are_why_coins_come_from_elsewhere():
    one, other = (torch.Generator().manual_seed(s) for s in (5, 5 + 2**32))
    assert torch.equal(torch.randn(9, generator=one), torch.randn(9, generator=other))


def test_coins_are_uniform_and_never_the_same():
    for coins in (Coins(), Coins(3)):
        uniform = coins.uniform(20_000)
        assert uniform.min() >= 0 and uniform.max() < 1
        assert stats.kstest(uniform, "uniform").pvalue > 1e-5
    assert not np.array_equal(Coins().uniform(5), Coins().uniform(5))
    assert np.array_equal(Coins(3).uniform(5), Coins(3).uniform(5))


def test_integers_are_uniform_below_any_limit():
    for limit in (1, 2, 3, 7, 200, 256, 257):
        drawn = below(limit, 20_000)
        counts = np.bincount(drawn, minlength=limit)
        assert len(counts) == limit
        assert limit == 1 or stats.chisquare(counts).pvalue > 1e-5
    for limit in (2**41 + 3, 2**57):
        drawn = below(limit, 20_000)
        assert drawn.min() >= 0 and drawn.max() < limit
        assert stats.kstest(drawn / limit, "uniform").pvalue > 1e-5


def data(n=60, groups=None):
    inputs = torch.rand(n, 7, generator=torch.Generator().manual_seed(0))
    return LabeledDataset(inputs, torch.arange(n) % 3, ("a", "b", "c"), groups=groups)


def declare(budget):
    return budget.steps("gradients", SHAPES, rate=0.5, count=4, norm=0.2)


def test_declared_steps_take_the_whole_budget_and_stand_in_the_ledger():
    budget = Budget(data(), epsilon=2.0)
    steps = declare(budget)
    assert budget.left == 0
    claimed = budget.guarantee
    assert 1.98 < claimed.epsilon <= 2.0 and claimed.mu is None
    [event] = claimed.events
    assert (event.count, event.rate, event.sensitivity) == (4, 0.5, 2**20)
    assert steps.steps.multiplier == pytest.approx(event.noise_scale / 2**20)
    with pytest.raises(BudgetError):
        budget.release("sum", lambda x, _: x, Bound.of(1.0), 0.1)
    with pytest.raises(BudgetError):
        declare(budget)


def test_steps_come_first_and_alone():
    budget = Budget(data(), epsilon=2.0)
    budget.release("sum", lambda x, _: x, Bound.of(1.0), 0.1)
    with pytest.raises(BudgetError, match=r"gradients: .* 0\.9 of it"):
        declare(budget)


def test_without_epsilon_steps_have_no_noise_and_no_guarantee():
    budget = Budget(data(), epsilon=None)
    steps = declare(budget)
    assert steps.steps.multiplier == 0 and budget.guarantee is None and budget.events == ()


def test_groups_are_the_unit_where_the_budget_says_so():
    groups = torch.zeros(60, dtype=torch.int64)
    for unit, most in (("group", 0.2), ("record", 60 * 0.2)):
        budget = Budget(data(groups=groups), epsilon=None, unit=unit)
        steps = budget.steps("g", SHAPES, rate=1.0, count=1, norm=0.2)
        length = flat(steps.step(rows)).norm()
        assert length <= most * (1 + 1e-5) and length > 0.5 * most
