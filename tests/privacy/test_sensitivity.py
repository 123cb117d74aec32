"""How far neighbouring datasets are apart in every kind of sum, by brute force."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.dataset import LabeledDataset
from limbeck.privacy import records, sums
from limbeck.privacy.queries import Query
from limbeck.privacy.records import Bound

SMALL = Bound.of(1.0, 6)
"""A coarse grid, on which rounding is far from negligible."""


def signed(inputs, labels):
    """A statistic of both signs, longer than the bound or shorter."""
    return (2 * inputs - 1) * 1.5


def data(rows, labels, groups=None):
    return LabeledDataset(
        torch.tensor(rows, dtype=torch.float32),
        torch.tensor(labels),
        ("a", "b"),
        groups=None if groups is None else torch.tensor(groups),
    )


rows = st.lists(
    st.tuples(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), st.integers(0, 1)),
    min_size=3,
    max_size=5,
)


def distance(one, other):
    """Exact, in Python's integers."""
    return math.sqrt(sum(int(v) ** 2 for v in (one - other).flatten()))


def summed(kind, private, by_class):
    return getattr(sums, kind)(private, signed, SMALL, by_class=by_class)


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("kind", ["vectors", "products"])
@given(rows, rows)
@settings(max_examples=15, deadline=None)
def test_neighbours_are_no_further_apart_than_the_sensitivity(kind, by_class, given_rows, others):
    inputs, labels = zip(*given_rows, strict=True)
    everyone = data(inputs, labels)
    query = Query("q", 1.0, products=kind == "products", reach=SMALL.reach)
    whole = summed(kind, everyone, by_class)
    for k in range(len(inputs)):
        without = summed(kind, everyone.select([i for i in range(len(inputs)) if i != k]), by_class)
        assert distance(whole, without) <= query.sensitivity("add-remove")
    stranger, label = others[0]
    for k in range(len(inputs)):
        replaced = data(
            [*inputs[:k], stranger, *inputs[k + 1 :]], [*labels[:k], label, *labels[k + 1 :]]
        )
        assert distance(whole, summed(kind, replaced, by_class)) <= query.sensitivity("replace-one")


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("kind", ["vectors", "products"])
@given(rows, st.integers(2, 3))
@settings(max_examples=15, deadline=None)
def test_a_group_moves_a_sum_by_no_more_than_a_record(kind, by_class, given_rows, owners):
    inputs, labels = zip(*given_rows, strict=True)
    groups = [i % owners for i in range(len(inputs))]
    everyone = data(inputs, labels, groups)
    query = Query("q", 1.0, products=kind == "products", reach=SMALL.reach)
    whole = summed(kind, everyone, by_class)
    others = everyone.select(everyone.groups != 0)
    assert distance(whole, summed(kind, others, by_class)) <= query.sensitivity("add-remove")


@pytest.mark.parametrize(
    ("kind", "one", "other", "adjacency"),
    [
        ("vectors", [1.0, 0.5, 0.5], None, "add-remove"),
        ("vectors", [1.0, 0.5, 0.5], [0.0, 0.5, 0.5], "replace-one"),
        ("products", [1.0, 0.5, 0.5], None, "add-remove"),
        ("products", [1.0, 0.5, 0.5], [0.5, 1.0, 0.5], "replace-one"),
    ],
)
def test_the_sensitivity_is_reached(kind, one, other, adjacency):
    """It is not idle: some neighbours are that far apart, but for the grid's rounding."""
    bystander = [0.5, 0.5, 0.5]
    before = data([bystander, one], [0, 0])
    after = data([bystander], [0]) if other is None else data([bystander, other], [0, 0])
    far = distance(summed(kind, before, False), summed(kind, after, False))
    query = Query("q", 1.0, products=kind == "products", reach=SMALL.reach)
    assert far > 0.96 * query.sensitivity(adjacency)


@pytest.mark.parametrize("kind", ["vectors", "products"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_order_changes_no_bit_after_any_cast(kind, dtype):
    generator = torch.Generator().manual_seed(0)
    everyone = LabeledDataset(
        torch.rand(300, 7, generator=generator), torch.arange(300) % 2, ("a", "b")
    )
    weights = torch.randn(7, 5, generator=generator).to(dtype)

    def cast(inputs, labels):
        return inputs.to(dtype) @ weights

    shuffled = everyone.select(torch.randperm(300, generator=generator))
    found = [
        getattr(sums, kind)(d, cast, Bound.of(1.0, 18), by_class=True) for d in (everyone, shuffled)
    ]
    assert torch.equal(*found)
    assert not records.varies(everyone, cast, Bound.of(1.0))


def test_products_are_those_of_python_integers():
    generator = torch.Generator().manual_seed(1)
    everyone = LabeledDataset(
        torch.rand(5000, 3, generator=generator), torch.arange(5000) % 2, ("a", "b")
    )
    bound = Bound.of(1.0, 18)
    found = sums.products(everyone, signed, bound, by_class=True)
    steps = bound.cut(signed(everyone.inputs, None)).numpy().astype(object)
    for k in range(2):
        own = steps[k::2]
        exact = own.T @ own
        assert (np.array(found[k].tolist(), dtype=object) == exact).all()


def test_what_is_not_finite_counts_nothing_wherever_it_stands():
    """NaN in a record that stands in for an empty place of a batch must not reach the others."""
    everyone = data([[0.9, 0.5, 0.5], [0.2, 0.5, 0.5]], [0, 1])
    clean = sums.vectors(everyone, signed, SMALL)
    poisoned = data([[0.9, 0.5, 0.5], [0.2, 0.5, 0.5], [0.0, 0.0, 0.0]], [0, 1, 1])
    poisoned.inputs[2] = math.nan  # past the dataset's own check
    assert torch.equal(sums.vectors(poisoned, signed, SMALL), clean)
    alone = data([[0.5, 0.5, 0.5]], [0])
    alone.inputs[0] = math.nan  # whose content every empty place would show, times 0
    at = next(records.batches(torch.zeros(1, 3)))
    assert torch.isfinite(records.chosen(alone.inputs, at)[at < 0]).all()


def test_an_embedding_is_computed_once_and_gives_the_same_sums():
    generator = torch.Generator().manual_seed(2)
    everyone = LabeledDataset(
        torch.rand(200, 6, generator=generator), torch.arange(200) % 2, ("a", "b")
    )
    weights = torch.randn(6, 4, generator=generator)
    table = records.embed(everyone, lambda x: x @ weights)
    assert torch.allclose(table, everyone.inputs @ weights, atol=1e-6)
    direct = sums.vectors(everyone, lambda x, y: x @ weights, SMALL)
    kept = sums.vectors(everyone, lambda rows, y: rows, SMALL, embedded=table)
    assert torch.equal(direct, kept)
