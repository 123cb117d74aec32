"""Noisy sums over shards, and joint readings of a sample: what one unit can move, and its price."""

import math

import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import BudgetError
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.blocks import cut, padded
from limbeck.privacy.budget import Budget
from limbeck.privacy.records import Bound
from limbeck.privacy.sampled import Sampler, Steps
from limbeck.privacy.shards import Shards, declare

CLASSES, SHARDS, NORM = 3, 4, 0.7
STEPS = Bound.of(NORM).reach
"""The norm, in grid steps, which events count in."""


def data(n=60, seed=0, groups=None):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    inputs = torch.rand(n, 5, generator=generator)
    return LabeledDataset(inputs, labels, ("a", "b", "c"), groups=groups)


def with_one(private, record, label):
    """The data and one more record, put first: places in memory must not matter."""
    inputs = torch.cat([record[None], private.inputs])
    labels = torch.cat([torch.tensor([label]), private.labels])
    return LabeledDataset(inputs, labels, private.classes)


def turns(count=1, mu=math.inf, adjacency="add-remove", unit="record"):
    return declare(
        shards=SHARDS,
        norm=NORM,
        count=count,
        mu=mu,
        classes=CLASSES,
        adjacency=adjacency,
        unit=unit,
    )


def sums(private, ask, unit="record"):
    return Shards(private, turns(), unit=unit).step(ask)


def contrary(records, sizes):
    """The worst answer there is: it flips with every record that a shard has more or less."""
    sign = 1.0 - 2.0 * (sizes % 2)
    return sign[:, None] * torch.full((len(sizes), 6), 1e6)


def test_the_sum_is_that_of_a_slow_loop_over_classes_and_shards():
    private, seen = data(), {}

    def means(records, sizes):
        seen["records"], seen["sizes"] = records, sizes
        return records.sum(1) * 3 + 1

    found = sums(private, means)
    assert int(seen["sizes"].sum()) == 60
    for c in range(CLASSES):
        total = torch.zeros(5)
        own = torch.zeros(0, 5)
        for k in range(SHARDS):
            size = int(seen["sizes"][c * SHARDS + k])
            part = seen["records"][c * SHARDS + k]
            assert not part[size:].any()
            own = torch.cat([own, part[:size]])
            answer = part.sum(0) * 3 + 1
            if size:
                total += answer * min(1.0, NORM / float(answer.norm()))
        torch.testing.assert_close(found[c], total)
        expected = private.inputs[private.labels == c]
        assert torch.equal(own.sort(0).values, expected.sort(0).values), "each record once"


@pytest.mark.parametrize("label", range(CLASSES))
def test_one_record_moves_its_class_alone_and_by_twice_the_norm(label):
    private = data()
    for seed in range(5):
        record = torch.rand(5, generator=torch.Generator().manual_seed(100 + seed))
        moved = sums(with_one(private, record, label), contrary) - sums(private, contrary)
        assert moved.norm() == pytest.approx(2 * NORM, rel=1e-5), "and this answer attains it"
        assert moved[label].norm() == moved.norm()
    assert turns().sensitivity == 2 * STEPS


def test_another_record_and_another_group_in_its_place_move_no_more_than_is_declared():
    private, most = data(), 0.0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        inputs, labels = private.inputs.clone(), private.labels.clone()
        inputs[0] = torch.rand(5, generator=generator)
        labels[0] = seed % CLASSES
        other = LabeledDataset(inputs, labels, private.classes)
        most = max(most, float((sums(other, contrary) - sums(private, contrary)).norm()))
    assert most > 2.1 * NORM, "more than adding one"
    most_steps = turns(adjacency="replace-one").sensitivity
    assert most_steps == 4 * STEPS and most <= 4 * NORM

    groups = torch.arange(60) // 6
    grouped = data(groups=groups)
    fewer = grouped.select(groups != 3)
    moved = (sums(grouped, contrary, "group") - sums(fewer, contrary, "group")).norm()
    assert moved > 2.1 * NORM, "more than one record"
    assert moved <= turns(unit="group").sensitivity * NORM / STEPS


def test_a_group_stays_in_its_shards_when_another_one_leaves_and_all_are_numbered_anew():
    names = torch.arange(60) // 6
    grouped = data(groups=names)
    for gone in range(10):
        fewer = grouped.select(names != gone)
        ranks = torch.unique(fewer.groups, return_inverse=True)[1]
        again = LabeledDataset(fewer.inputs, fewer.labels, fewer.classes, groups=ranks)
        moved = sums(grouped, contrary, "group") - sums(again, contrary, "group")
        assert moved.norm() <= turns(unit="group").sensitivity * NORM / STEPS


def test_a_shard_sees_no_record_come_or_go_elsewhere():
    private = data()
    drawn = torch.rand(CLASSES * SHARDS, 1, 5)

    def ask(records, sizes):
        return records.sum(1) * drawn[:, 0]

    for label in range(CLASSES):
        more = with_one(private, torch.full((5,), 0.25), label)
        parts = [Shards(d, turns(), unit="record") for d in (private, more)]
        answers = [ask(p._inputs, p._sizes) for p in parts]
        changed = (answers[0] != answers[1]).any(1).nonzero().flatten()
        assert len(changed) == 1 and changed[0] // SHARDS == label


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, 0.0])
def test_an_answer_is_finite_and_within_the_norm(value):
    answers = torch.full((2, 3, 2), value)
    answers[1] = 0.01
    found = cut(answers, Bound.of(NORM))
    assert found.dtype == torch.int64 and found.flatten(1).square().sum(1).max() <= STEPS**2
    torch.testing.assert_close(
        found[1].double() * (NORM / STEPS), answers[1].double(), rtol=1e-4, atol=0
    )


def test_a_shard_without_records_answers_nothing():
    private = data().select([0])
    found = sums(private, lambda records, sizes: torch.full((len(sizes), 2), 0.1))
    expected = torch.zeros(CLASSES, 2)
    expected[private.labels[0]] = 0.1
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("unit", ["record", "group"])
def test_all_steps_cost_the_budget_by_dp_accounting_and_one_more_is_refused(unit):
    private = data(groups=torch.arange(60) // 2)
    budget = Budget(private, epsilon=3.0, unit=unit)
    shards = budget.shards("answers", shards=SHARDS, norm=NORM, count=6, share=1.0)
    [event] = budget.events
    assert (event.count, event.rate, event.mechanism) == (6, 1.0, "discrete Gaussian")
    assert event.sensitivity == pytest.approx(2 * STEPS * (math.sqrt(3) if unit == "group" else 1))
    stated = budget.guarantee
    assert stated.epsilon <= 3.0 and stated.mu is not None
    assert epsilon_declared([event], 1e-5) == pytest.approx(3.0, rel=1e-3)
    big = [shards.step(lambda r, s: torch.zeros(len(s), 4000)) for _ in range(6)]
    scale = torch.stack(big).std() / (event.noise_scale * NORM / STEPS)
    assert abs(scale - 1) < 0.02, "five standard errors"
    with pytest.raises(BudgetError, match="6 noisy steps were declared and all are done"):
        shards.step(contrary)
    with pytest.raises(BudgetError, match="left"):
        budget.shards("more", shards=1, norm=1.0, count=1, share=0.5)


def test_two_events_share_no_noise_even_where_it_can_be_repeated():
    def drawn(seed):
        budget = Budget(data(), epsilon=3.0, insecure_seed=seed)
        turns = [
            budget.shards("answers", shards=SHARDS, norm=NORM, count=2, share=0.5) for _ in "ab"
        ]
        return [t.step(lambda r, s: torch.zeros(len(s), 50)) for t in turns for _ in "ab"]

    first, again = drawn(1), drawn(1)
    assert all(map(torch.equal, first, again))
    every = torch.stack([*first, *drawn(2)])
    assert len(every.unique()) == every.numel(), "a number that stands twice was drawn once"


def test_records_stand_side_by_side_by_place():
    inputs = torch.arange(5.0)[:, None]
    found, sizes = padded(inputs, torch.tensor([2, 0, 2, 2, 0]), 4)
    assert sizes.tolist() == [2, 0, 3, 0]
    assert found[..., 0].tolist() == [[1, 4, 0], [0, 0, 0], [0, 2, 3], [0, 0, 0]]
    none, sizes = padded(inputs[:0], torch.zeros(0, dtype=torch.int64), 2)
    assert none.shape == (2, 1, 1) and not sizes.any()


def joint(private, rate=1.0, count=1, multiplier=0.0):
    steps = Steps(rate, count, multiplier, norm=2 * NORM)
    shape = [torch.Size([CLASSES, 6])]
    return Sampler(private.inputs, private.labels, steps, shape, insecure_seed=0)


@pytest.mark.parametrize("label", range(CLASSES))
def test_one_record_moves_a_joint_reading_by_the_declared_norm(label):
    private = data()
    before = joint(private).jointly(contrary, CLASSES)
    more = with_one(private, torch.full((5,), 0.5), label)
    moved = joint(more).jointly(contrary, CLASSES) - before
    assert moved.norm() == pytest.approx(2 * NORM, rel=1e-5)
    assert moved[label].norm() == moved.norm()


def test_a_joint_reading_sees_the_sampled_records_by_class_and_is_counted():
    private, seen = data(), []
    sampler = joint(private, rate=0.3, count=30, multiplier=1.5)

    def noted(records, sizes):
        seen.append(int(sizes.sum()))
        for c in range(CLASSES):
            own = private.inputs[private.labels == c]
            for record in records[c, : int(sizes[c])]:
                assert (own == record).all(1).any()
        return torch.zeros(CLASSES, 6)

    found = torch.stack([sampler.jointly(noted, CLASSES) for _ in range(30)])
    assert abs(sum(seen) / 30 / 60 - 0.3) < 0.06 and len(set(seen)) > 3
    assert abs(found.std() / (1.5 * 2 * NORM) - 1) < 0.16, "five standard errors"
    with pytest.raises(BudgetError, match="30 noisy steps were declared"):
        sampler.jointly(noted, CLASSES)


def test_a_class_of_whom_nobody_takes_part_reads_as_zero():
    found = joint(data(), rate=1e-9).jointly(lambda r, s: torch.ones(CLASSES, 6), CLASSES)
    assert not found.any()
