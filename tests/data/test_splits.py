import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.splits import sample_per_class, stratified_sample, stratified_split
from limbeck.errors import OptionError

label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(torch.tensor)


@settings(max_examples=50, deadline=None)
@given(label_lists, st.floats(0.05, 0.95), st.integers(0, 2**40))
def test_a_split_is_a_partition_with_each_class_in_proportion(labels, share, seed):
    private, test = stratified_split(labels, share, seed)
    assert sorted([*private.tolist(), *test.tolist()]) == list(range(len(labels)))
    for c in labels.unique().tolist():
        count, held = int((labels == c).sum()), int((labels[test] == c).sum())
        assert count - held >= 1
        assert held == count - 1 or abs(held - share * count) <= 1


@settings(max_examples=50, deadline=None)
@given(label_lists, st.integers(1, 70), st.integers(0, 2**40))
def test_a_sample_has_the_size_asked_for_and_every_class(labels, size, seed):
    present = labels.unique()
    if len(present) > size:
        return
    chosen = stratified_sample(labels, size, seed)
    assert len(chosen) == len(chosen.unique()) == min(size, len(labels))
    assert torch.equal(labels[chosen].unique(), present)


def test_a_sample_keeps_balanced_classes_balanced():
    labels = torch.arange(1000) % 10
    chosen = stratified_sample(labels, 250, 3)
    assert torch.bincount(labels[chosen]).tolist() == [25] * 10


def test_seeds_decide():
    labels = torch.arange(100) % 4
    first = stratified_split(labels, 0.3, 1)[1]
    assert torch.equal(first, stratified_split(labels, 0.3, 1)[1])
    assert not torch.equal(first, stratified_split(labels, 0.3, 2)[1])


def test_every_record_is_equally_likely_to_be_chosen():
    labels = torch.tensor([0] * 6 + [1] * 4)
    hits = torch.zeros(10)
    for seed in range(2000):
        hits[stratified_sample(labels, 5, seed)] += 1
    # 1 + 3 * 5/8 -> 3 of 6 and 1 + 3 * 3/8 -> 2 of 4: each record has probability one half;
    # five standard deviations of 2,000 fair coins are 112.
    assert (hits - 1000).abs().max() < 112


def test_groups_are_never_separated():
    groups = torch.arange(300) // 3 * 7 + 5
    labels = groups % 2
    private, test = stratified_split(labels, 0.25, 0, groups)
    assert not set(groups[private].tolist()) & set(groups[test].tolist())
    assert len(test) == 75


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_shares_that_leave_nothing_are_refused(share):
    with pytest.raises(OptionError, match="test_share"):
        stratified_split(torch.tensor([0, 1]), share, 0)


def test_a_limit_below_the_classes_is_refused():
    with pytest.raises(OptionError, match=r"limit is 2, .* 3 classes"):
        stratified_sample(torch.tensor([0, 1, 2, 2]), 2, 0)


def test_sample_per_class_takes_the_quota_and_refuses_more() -> None:
    labels = torch.arange(60) % 4
    quota = torch.tensor([3, 0, 15, 1])
    chosen = sample_per_class(labels, quota, seed=0)
    assert torch.equal(torch.bincount(labels[chosen], minlength=4), quota)
    assert torch.equal(chosen, chosen.unique()), "each record once, in order"
    assert torch.equal(chosen, sample_per_class(labels, quota, seed=0))
    assert not torch.equal(chosen, sample_per_class(labels, quota, seed=1))
    with pytest.raises(OptionError, match="class 3 has 15 of the 60 records, fewer than the 16"):
        sample_per_class(labels, torch.tensor([1, 1, 1, 16]), seed=0)
    with pytest.raises(OptionError, match="class 4 has 0"):
        sample_per_class(labels, torch.tensor([1, 1, 1, 1, 1]), seed=0)
