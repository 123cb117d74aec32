"""Clean sums of all shadow runs at once: those of each run alone, and computed once."""

import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.nn import networks
from limbeck.privacy import sums
from limbeck.privacy.budget import Budget
from limbeck.privacy.records import Bound
from limbeck.privacy.shared import Shared

RUNS = 3


@pytest.fixture(scope="module")
def private():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(150, 1, 8, 8, generator=generator)
    return LabeledDataset(inputs, torch.arange(150) % 3, ("a", "b", "c"), torch.arange(150) // 2)


@pytest.fixture(scope="module")
def membership():
    coins = torch.rand(RUNS, 150, generator=torch.Generator().manual_seed(1)) < 0.5
    coins[:, ::4] = True  # records of every run
    return coins


@pytest.fixture(scope="module")
def network():
    return networks.make("convnet2", (1, 8, 8), 3, width=4, seed=0)


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("kind", ["vectors", "products"])
def test_they_are_the_sums_of_each_subset_bit_for_bit(
    kind, by_class, embedded, private, membership, network
):
    shared, bound = Shared(private, membership), Bound.of(1.5, 18)

    def pixels(inputs, labels):
        return network.embed(inputs) * (1 + labels[:, None])

    def rows(embedding, labels):
        return embedding * (1 + labels[:, None])

    after, statistic = (network.embed, rows) if embedded else (None, pixels)
    for run, row in enumerate(membership):
        found = getattr(shared, kind)(
            "sum", run, statistic, bound, by_class=by_class, after=after, device="cpu"
        )
        alone = getattr(sums, kind)(
            private.select(row), pixels, bound, unit="record", by_class=by_class
        )
        assert torch.equal(found, alone)


def test_a_fixed_statistic_is_computed_once_for_all_runs(private, membership):
    computed = []

    def counted(inputs, labels):
        computed.append(len(inputs))
        return inputs.flatten(1)

    def answers(among):
        for run, row in enumerate(membership):
            budget = Budget(
                private.select(row), epsilon=1.0, unit="record", insecure_seed=run, among=among(run)
            )
            yield budget.release("pixels", counted, Bound.of(8.0), 0.5, fixed=True)
            yield budget.products("products", counted, 8.0, 0.5, by_class=True, fixed=True)

    shared = Shared(private, membership)
    together = list(answers(lambda run: (shared, run)))
    once = len(computed)
    computed.clear()
    alone = list(answers(lambda run: None))
    assert len(computed) >= RUNS * once / 2 > once, "half of the records are in each run"
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.values, other.values), "noise included"
    assert not torch.equal(together[0].values, together[2].values)


def test_what_follows_from_earlier_answers_and_sums_of_groups_are_each_runs_own(
    private, membership
):
    shared = Shared(private, membership)
    for unit, fixed in (("record", False), ("group", True)):
        for run, row in enumerate(membership):
            words = {"epsilon": 1.0, "unit": unit, "insecure_seed": 3}
            # In a run's part a group may have fewer records, which then count more each.
            budget = Budget(private.select(row), among=(shared, run), **words)
            found = budget.release(
                "x", lambda x, _, k=run: x[:, 0, 0] * k, Bound.of(3.0), 1.0, fixed=fixed
            )
            plain = Budget(private.select(row), **words)
            alone = plain.release("x", lambda x, _, k=run: x[:, 0, 0] * k, Bound.of(3.0), 1.0)
            assert torch.equal(found.values, alone.values)


def test_a_release_shares_nothing(private, membership):
    with pytest.raises(AssertionError, match="a release shares nothing"):
        Budget(private, epsilon=1.0, among=(Shared(private, membership), 0))
