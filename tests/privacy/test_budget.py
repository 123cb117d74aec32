"""Spending before answering; the ledger's arithmetic against dp-accounting; noise drawn once."""

import math

import dp_accounting
import numpy as np
import pytest
import torch
from jaxtyping import config
from scipy import stats

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import BudgetError, OptionError
from limbeck.privacy import noise
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.budget import Budget
from limbeck.privacy.gaussian import delta_of, mu_of
from limbeck.privacy.records import Bound


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
    assert released.noise == pytest.approx(sigma * moves * 1.5, rel=4e-6)
    guarantee = budget.guarantee
    # Scales are rounded up to whole grid steps: a part in a million more noise at epsilon 10.
    assert epsilon * (1 - 1e-5) < guarantee.epsilon <= epsilon
    assert guarantee.adjacency == adjacency and guarantee.unit == "record"
    [event] = guarantee.events
    assert (event.name, event.count) == ("sum", 1)
    ratio = noise.continuous_scale(event.noise_scale) / event.sensitivity
    assert dp_accounting.get_epsilon_gaussian(ratio, 1e-5) == pytest.approx(epsilon, rel=1e-5)


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
    difference = (one.values - other.values).abs()
    assert (difference > 0).all(), "two releases never share noise"


def test_noise_is_drawn_once_for_each_event_and_never_when_an_answer_is_read(monkeypatch):
    drawn = []
    draw = noise.discrete_gaussian

    def counted(values, scale, **words):
        drawn.append(values.shape)
        return draw(values, scale, **words)

    monkeypatch.setattr(noise, "discrete_gaussian", counted)
    budget = Budget(data(), epsilon=5.0)
    sum_of, matrix = (
        budget.release("sum", flat, Bound.of(3.0), 0.5),
        budget.products("products", flat, 3.0, 0.5),
    )
    first = [answer.values.clone() for answer in (sum_of, matrix)]
    again = [answer.values for _ in range(3) for answer in (sum_of, matrix)]
    assert all(torch.equal(a, b) for a, b in zip(first * 3, again, strict=True))
    assert drawn == [(6,), (6,), (15,)], "a vector; a diagonal and what is above it"
    assert len(budget.events) == 2 and budget.guarantee == budget.guarantee


def test_adaptive_spending_passes_the_filter_and_never_composes_by_pld(monkeypatch):
    """PLD is proven for what was declared beforehand: whoever asks it here fails the test."""

    def refuse(*_others, **_words):
        raise AssertionError("privacy loss distributions of an adaptive ledger")

    monkeypatch.setattr("limbeck.privacy.ledger.epsilon_declared", refuse)
    budget = Budget(data(), epsilon=2.0)
    first = budget.release("first", flat, Bound.of(1.0), 0.25)
    # What is asked next, and for how much, follows from the noisy answer.
    share = 0.25 + 0.5 * float(first.values[0] > 0)
    budget.release("then", lambda x, y: x * float(first.values[1]), Bound.of(1.0), share)
    guarantee = budget.guarantee
    assert guarantee.mu == pytest.approx(mu_of(2.0, 1e-5) * math.sqrt(0.25 + share), rel=1e-6)
    assert guarantee.epsilon <= 2.0
    with pytest.raises(BudgetError):
        budget.steps("steps", [torch.Size([6])], rate=0.5, count=2, norm=1.0)
    with pytest.raises(BudgetError):
        budget.release("too much", flat, Bound.of(1.0), 0.76 - share)


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


@pytest.mark.parametrize("shares", [(0.1, 0.3, 0.6), (1 / 3,) * 3, (0.1,) * 10, (1.0,)])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_shares_that_add_up_to_one_never_exceed_the_stated_epsilon(shares, epsilon):
    budget = Budget(data(), epsilon=epsilon)
    for k, share in enumerate(shares):
        budget.release(f"part {k}", flat, Bound.of(1.0), share)
    guarantee = budget.guarantee
    assert guarantee.epsilon <= epsilon and guarantee.mu <= mu_of(epsilon, 1e-5)
    # Scales are rounded up to whole grid steps: a part in a million more noise at epsilon 10.
    assert epsilon * (1 - 1e-5) < guarantee.epsilon <= epsilon
    assert dp_accounting.get_epsilon_gaussian(1 / guarantee.mu, 1e-5) <= epsilon * (1 + 1e-9)


def test_a_share_beyond_rounding_is_refused():
    budget = Budget(data(), epsilon=1.0)
    budget.release("most", flat, Bound.of(1.0), 0.9)
    with pytest.raises(BudgetError, match=r"more: 0\.1 of the privacy budget asked for"):
        budget.release("more", flat, Bound.of(1.0), 0.1 + 1e-6)


@pytest.mark.parametrize("epsilon", [1e-6, 0.01, 1.0, 50.0, 1e5])
@pytest.mark.parametrize("delta", [1e-30, 1e-5, 0.5])
def test_extreme_claims_have_a_mu_that_does_not_exceed_them(epsilon, delta):
    mu = mu_of(epsilon, delta)
    assert 0 < delta_of(mu, epsilon) <= delta
    assert delta_of(mu * (1 + 1e-6), epsilon) > delta


def test_products_are_private_as_one_matrix_and_their_noise_is_symmetric():
    private = data(2000)
    budget = Budget(private, epsilon=3.0)
    found = budget.products("products", flat, 3.0, 1.0, by_class=True)
    assert found.values.shape == (2, 6, 6) and torch.equal(found.values, found.values.mT)
    truth = torch.stack([(x := private.inputs[k::2].double()).mT @ x for k in range(2)])
    error = found.values - truth
    assert budget.guarantee.epsilon == pytest.approx(3.0, abs=1e-6)
    sigma = dp_accounting.get_sigma_gaussian(3.0, 1e-5) * 9.0
    assert found.noise == pytest.approx(sigma, rel=1e-6)
    row, column = torch.triu_indices(6, 6, 1)
    several = [
        Budget(private, epsilon=3.0, insecure_seed=k).products("p", flat, 3.0, 1.0).values
        for k in range(40)
    ]
    noise_of = torch.stack(several) - truth.sum(0)
    diagonal, above = noise_of.diagonal(dim1=1, dim2=2), noise_of[:, row, column]
    assert float(diagonal.std()) == pytest.approx(sigma, rel=0.2)
    assert float(above.std()) == pytest.approx(sigma / math.sqrt(2), rel=0.2)
    assert error.abs().max() < 6 * sigma


def test_pld_of_declared_events_agrees_with_the_exact_curve():
    budget = Budget(data(), epsilon=2.0)
    budget.release("one", flat, Bound.of(1.0), 0.4)
    budget.release("other", flat, Bound.of(1.0), 0.6)
    assert epsilon_declared(budget.events, 1e-5) == pytest.approx(2.0, abs=2e-3)


def test_without_noise_shares_are_spent_all_the_same_and_nothing_is_claimed():
    private = data()
    budget = Budget(private, epsilon=None)
    found = budget.release("sum", flat, Bound.of(3.0), 0.6)
    assert found.noise == 0 and budget.guarantee is None and budget.events == ()
    assert torch.allclose(found.values, private.inputs.double().sum(0), atol=1e-3)
    with pytest.raises(BudgetError, match="left"):
        budget.release("more", flat, Bound.of(1.0), 0.6)


@pytest.fixture
def unchecked():
    """Callers have no types checked for them, as these tests have."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def test_what_is_no_guarantee_is_refused_before_the_data_are_touched(unchecked):
    for wrong, words in (
        ({"adjacency": "substitute"}, "adjacency is 'add-remove' or"),
        ({"unit": "person"}, "unit is 'record' or"),
        ({"unit": "group"}, "protect the unit 'record', or give groups"),
        ({"delta": 1.0}, r"delta in \(0, 1\)"),
        ({"epsilon": math.inf}, "finite epsilon"),
    ):
        with pytest.raises(OptionError, match=words):
            Budget(data(), **{"epsilon": 1.0, **wrong})


def test_bad_requests_are_refused_in_one_line():
    with pytest.raises(OptionError, match="epsilon above 0"):
        Budget(data(), epsilon=0.0)
    with pytest.raises(OptionError, match="in \\(0, 1\\]"):
        Budget(data(), epsilon=1.0).release("sum", flat, Bound.of(1.0), 1.5)
    with pytest.raises(OptionError, match="finer grid"):
        noise.discrete_gaussian(np.zeros(2, dtype=np.int64), 1.0)
    with pytest.raises(OptionError, match="integer scale"):
        noise.discrete_gaussian(np.zeros(2, dtype=np.int64), 4.5)
