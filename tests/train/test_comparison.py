"""Utility: what is trained on what, and that every number is the one it is called."""

import math
from dataclasses import replace
from statistics import fmean

import pytest
import torch
from scipy import stats

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.train import Classifier, KernelRidge, Standard, Trainer, TrainingSet, evaluate, utility

Digits = tuple[LabeledDataset, LabeledDataset]


class Known(Classifier):
    def __init__(self, accuracy: float) -> None:
        self.known = accuracy

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def accuracy(self, test: LabeledDataset) -> float:
        return self.known


class Spy(Trainer):
    """Keeps what it is trained on; its accuracies are given."""

    title = "spy"

    def __init__(self, values: list[float], many: "Spy | None" = None) -> None:
        self.values, self.many = iter(values), many
        self.seen: list[TrainingSet] = []

    def for_many_records(self) -> "Spy":
        return self.many or self

    def fit(self, data: TrainingSet, *, seed: int, device: str = "cpu") -> Known:
        self.seen.append(data)
        return Known(next(self.values))


def condensed(
    data: LabeledDataset, *, per_class: int = 2, soft: bool = False, **card: object
) -> SyntheticDataset:
    """The first records of each class, in the place of a synthetic set."""
    at = torch.cat([(data.labels == c).nonzero()[:per_class, 0] for c in range(len(data.classes))])
    labels = data.labels[at]
    soft_labels = torch.eye(len(data.classes))[labels] * 0.9 + 0.01 if soft else None
    return SyntheticDataset(
        data.inputs[at], labels, data.classes, soft_labels=soft_labels, name="made", card=card
    )


def test_accuracy_is_that_of_evaluate(digits: Digits) -> None:
    private, test = digits
    data, trainer = condensed(private), Standard("mlp", steps=5)
    [row] = utility(data, test, trainers=[trainer], seed=4)
    assert row.accuracy == evaluate(data, test, trainer=trainer, seed=4)
    assert (row.network, row.labels, row.pixel_fair, row.note) == ("mlp", "hard", True, "")
    assert row.random_subset is row.improvement is row.full_data is row.recovered is None


def test_networks_are_rows_in_order(digits: Digits) -> None:
    private, test = digits
    data = condensed(private)
    rows = utility(data, test, networks=["mlp", "linear"], recipe="search", repeats=1)
    assert [row.network for row in rows] == ["mlp", "linear"]
    assert rows[1].accuracy == evaluate(data, test, network="linear", networks=1)


def test_random_subsets_are_fresh_records_of_the_same_number_per_class(digits: Digits) -> None:
    private, test = digits
    data, many = condensed(private, per_class=3), Spy([0.9])
    spy = Spy([0.8, 0.7, 0.5, 0.4, 0.45, 0.3], many)
    shares: list[float] = []
    arguments = {"private": private, "repeats": 3, "progress": shares.append}
    [row] = utility(data, test, trainers=[spy], **arguments)
    own, subsets = spy.seen[:3], spy.seen[3:]
    assert all(seen.inputs is data.inputs for seen in own)
    assert many.seen == [private]
    everyone = {tuple(x.flatten().tolist()) for x in private.inputs}
    for subset in subsets:
        assert isinstance(subset, LabeledDataset)
        assert subset.counts().tolist() == [3] * 10
        records = [tuple(x.flatten().tolist()) for x in subset.inputs]
        assert everyone.issuperset(records) and len(set(records)) == 30
    assert not torch.equal(subsets[0].inputs, subsets[1].inputs)
    assert row.accuracy.value == pytest.approx(2 / 3)
    assert row.random_subset is not None and row.improvement is not None
    assert row.random_subset.value == pytest.approx((0.4 + 0.45 + 0.3) / 3)
    assert row.improvement.value == pytest.approx(2 / 3 - 1.15 / 3)
    difference = stats.ttest_ind([0.8, 0.7, 0.5], [0.4, 0.45, 0.3], equal_var=False)
    interval = difference.confidence_interval()
    assert (row.improvement.low, row.improvement.high) == pytest.approx(interval)
    assert row.full_data is not None and row.full_data.value == 0.9
    assert row.recovered is not None and row.recovered.value == pytest.approx(2 / 3 / 0.9)
    assert math.isnan(row.recovered.low), "one full training has no spread"
    assert shares == pytest.approx([i / 7 for i in range(1, 8)])


def test_recovered_has_an_interval_where_the_full_data_has_one(digits: Digits) -> None:
    private, test = digits
    spy = Spy([0.6, 0.7, 0.5, 0.5], many=Spy([0.8, 0.8]))
    [row] = utility(
        condensed(private), test, private=private, trainers=[spy], repeats=2, full_repeats=2
    )
    assert row.recovered is not None
    assert row.recovered.value == pytest.approx(0.65 / 0.8)
    # The full data's accuracy does not vary: the interval is the accuracy's own, scaled.
    low, high = stats.t.interval(0.95, 1, 0.65, stats.sem([0.6, 0.7]))
    assert row.accuracy.high == 1
    assert row.recovered.high == pytest.approx(high / 0.8)
    assert row.recovered.low == pytest.approx(max(0, low / 0.8))


def test_several_sets_count_by_their_means(digits: Digits) -> None:
    private, test = digits
    values = [0.8, 0.6, 0.5, 0.7, 0.9, 0.7]
    [row] = utility(
        [condensed(private, per_class=k) for k in (1, 2, 3)],
        test,
        trainers=[Spy(values)],
        repeats=2,
    )
    low, high = stats.t.interval(0.95, 2, fmean(values), stats.sem([0.7, 0.6, 0.8]))
    assert row.accuracy.trials == 3
    assert (row.accuracy.low, row.accuracy.high) == pytest.approx((low, high))


def test_hard_and_soft_labels_are_rows_of_their_own(digits: Digits) -> None:
    private, test = digits
    data = condensed(private, soft=True)
    spy = Spy([0.5, 0.7, 0.4], many=Spy([0.9]))
    hard, soft = utility(data, test, private=private, trainers=[spy], repeats=1)
    assert (hard.labels, soft.labels) == ("hard", "soft")
    assert (hard.accuracy.value, soft.accuracy.value) == (0.5, 0.7)
    first, second, subset = spy.seen
    assert isinstance(first, SyntheticDataset) and first.soft_labels is None
    assert isinstance(second, SyntheticDataset) and second.soft_labels is data.soft_labels
    assert isinstance(subset, LabeledDataset)
    assert hard.random_subset == soft.random_subset
    assert soft.improvement is not None and soft.improvement.value == pytest.approx(0.3)

    [alone] = utility(data, test, trainers=[Spy([0.5])], repeats=1, hard_labels=True)
    assert alone == replace(
        hard,
        **dict.fromkeys(("random_subset", "improvement")),
        **dict.fromkeys(("full_data", "recovered")),
    )
    with pytest.raises(DatasetError, match="not to be mixed"):
        utility([data, replace(data, soft_labels=None)], test, trainers=[Spy([])])


@pytest.mark.parametrize("slots", [3, None])
def test_multi_formation_is_compared_by_slots_and_called_unfair(
    digits: Digits, slots: int | None
) -> None:
    private, test = digits
    data = condensed(private, per_class=12, formation=2, slots_per_class=slots)
    spy = Spy([0.5, 0.4], many=Spy([0.9]))
    [row] = utility(data, test, private=private, trainers=[spy], repeats=1)
    subset = spy.seen[1]
    assert isinstance(subset, LabeledDataset) and subset.counts().tolist() == [3] * 10
    assert not row.pixel_fair
    assert "4 low-resolution images" in row.note


def test_full_data_that_a_trainer_cannot_serve_is_left_out_with_the_reason(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, test = digits
    monkeypatch.setattr(KernelRidge, "most_records", 100)
    [row] = utility(condensed(private), test, private=private, trainers=[KernelRidge()], repeats=2)
    assert row.full_data is None and row.recovered is None
    assert row.random_subset is not None and row.random_subset.low < row.random_subset.high
    assert "kernel-ridge serves at most 100 records" in row.note


def test_json_holds_every_field(digits: Digits) -> None:
    private, test = digits
    [row] = utility(condensed(private), test, trainers=[KernelRidge()], repeats=2)
    values = row.to_json()
    assert values["accuracy"]["trials"] == 2
    assert values["improvement"] is None
    assert (values["labels"], values["pixel_fair"]) == ("hard", True)


def test_what_does_not_fit_is_refused(digits: Digits) -> None:
    private, test = digits
    data = condensed(private)
    other = LabeledDataset(torch.zeros(10, 1, 9, 9), torch.arange(10), test.classes, name="nines")
    with pytest.raises(DatasetError, match=r"nines .*does not match"):
        utility(data, test, private=other)
    few = private.select(private.labels != 3)
    with pytest.raises(OptionError, match="class 3 has 0 of the"):
        utility(data, test, private=few)
    with pytest.raises(OptionError, match="no network is called"):
        utility(data, test, networks=["convnet2", "resnet50"])
    for nothing in ({"repeats": 0}, {"full_repeats": 0}):
        with pytest.raises(OptionError, match="nothing to evaluate"):
            utility(data, test, **nothing)
