"""The sum's sensitivity: by brute force over neighbours, after casts, in any order."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.dataset import LabeledDataset
from limbeck.nn import networks
from limbeck.privacy import records
from limbeck.privacy.records import Bound, batches
from limbeck.privacy.sums import vectors


def data(n=150, shape=(1, 8, 8), seed=0, groups=None):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(n, *shape, generator=generator)
    return LabeledDataset(inputs, torch.arange(n) % 3, ("a", "b", "c"), groups=groups)


def embedding(shape=(1, 8, 8)):
    network = networks.make("convnet2", shape, 3, width=8, seed=1)
    return lambda inputs, labels: network.embed(inputs) * (1 + labels[:, None])


def norm(steps):
    return sum(int(v) ** 2 for v in steps) ** 0.5  # exact: Python's integers


@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=12),
    st.sampled_from([1e-3, 1.0, 37.5]),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
)
@settings(max_examples=300, deadline=None)
def test_the_bound_holds_for_any_row_after_any_cast(row, limit, dtype):
    bound = Bound.of(limit)
    [steps] = bound.cut(torch.tensor([row]).to(dtype))
    assert sum(int(v) ** 2 for v in steps) <= bound.reach**2
    assert bound.reach * bound.step <= bound.norm * (1 + 1e-12)


@pytest.mark.parametrize("size", [1e-42, 1e-38, 1e-7, 1.0, 1e7, 1e30, 3e38])
@pytest.mark.parametrize("wide", [1, 3, 1000, 300_000])
def test_the_bound_holds_for_wide_rows_of_any_size(wide, size):
    """Equal entries, entries of one large and many small ones, and normal ones: all at the norm."""
    generator = torch.Generator().manual_seed(wide)
    rows = torch.ones(3, wide)
    rows[1, 1:] = 2.0**-12
    rows[2] = torch.randn(wide, generator=generator)
    rows = (rows.double() * size / rows.double().norm(dim=1, keepdim=True)).float()
    for limit in (rows[0].double().norm().item(), 1.0, 1e-3, 1e4):
        bound = Bound.of(max(limit, 1e-30))
        steps = bound.cut(rows).numpy()
        assert all(int((row**2).sum()) <= bound.reach**2 for row in steps)  # below 2^63


def test_rows_within_the_bound_are_only_cut_to_the_grid():
    rows = torch.tensor([[0.3, -0.4], [0.0, 0.0]])
    bound = Bound(1.0, 1 / 1000)
    assert bound.cut(rows).tolist() == [[300, -400], [0, 0]]
    [long] = bound.cut(torch.tensor([[3.0, -4.0]]))
    assert long.tolist() == [599, -799], "towards zero"


@pytest.mark.parametrize("removed", [0, 7, 149])
def test_removing_a_record_changes_the_sum_by_its_own_statistic_and_no_bit_more(removed):
    everyone, statistic, bound = data(), embedding(), Bound.of(2.0)
    others = torch.arange(len(everyone)) != removed
    gone = vectors(everyone, statistic, bound) - vectors(everyone.select(others), statistic, bound)
    alone = vectors(everyone.select(~others), statistic, bound)
    assert torch.equal(gone, alone)
    assert 0 < norm(gone) <= bound.reach


def test_replacing_a_record_changes_the_sum_by_at_most_twice_the_bound():
    everyone, bound = data(), Bound.of(0.5)
    inputs = everyone.inputs.clone()
    inputs[3] = 1 - inputs[3]  # the worst case: the opposite statistic
    other = replace(everyone, inputs=inputs)
    sums = [vectors(d, lambda x, _: x.flatten(1) - 0.5, bound) for d in (everyone, other)]
    assert 1.99 * bound.reach < norm(sums[0] - sums[1]) <= 2 * bound.reach


def test_the_order_of_the_records_changes_no_bit():
    everyone, statistic, bound = data(), embedding(), Bound.of(2.0)
    shuffled = everyone.select(torch.randperm(150, generator=torch.Generator().manual_seed(3)))
    sums = [vectors(d, statistic, bound) for d in (everyone, shuffled)]
    assert torch.equal(*sums)


def test_a_group_counts_no_more_than_one_record():
    groups = torch.arange(150) // 50
    everyone, bound = data(groups=groups), Bound.of(0.5)
    everyone.inputs[50:100] = everyone.inputs[50]  # the worst case: all alike
    everyone.labels[50:100] = 1
    others = everyone.select(groups != 1)
    change = vectors(everyone, embedding(), bound) - vectors(others, embedding(), bound)
    assert 0.99 * bound.reach < norm(change) <= bound.reach


def test_the_sum_is_that_of_a_loop_over_records():
    everyone, bound = data(20), Bound.of(3.0)
    total = torch.zeros(4, dtype=torch.int64)
    for record in everyone.inputs:
        row = record.flatten()[:4].double()
        total += (row / bound.step * min(1, 3.0 / float(row.norm()))).trunc().long()
    found = vectors(everyone, lambda x, y: x.flatten(1)[:, :4], bound)
    assert (found - total).abs().max() <= 20, "to within one step a record"


def test_places_are_kept_whoever_else_is_there():
    everyone = data(500).inputs
    place = {}
    for at in batches(everyone):
        assert len(at) == records.BATCH
        place |= {int(i): p for p, i in enumerate(at) if i >= 0}
    assert sorted(place) == list(range(500))
    some = torch.arange(0, 500, 3)
    for at in batches(everyone[some]):
        assert all(place[int(some[i])] == p for p, i in enumerate(at) if i >= 0)


def test_a_statistic_that_looks_at_the_batch_is_found_out():
    everyone, bound = data(), Bound.of(2.0)

    def normalised(inputs, labels):  # as batch norm does
        rows = inputs.flatten(1)
        return rows - rows.mean(0)

    assert records.varies(everyone, normalised, bound)
    assert not records.varies(everyone, embedding(), bound)
