"""Evaluation: the mean and interval it says, whatever the number of workers."""

import math

import pytest
import torch
from scipy import stats

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.train import KernelRidge, Standard, evaluate

Digits = tuple[LabeledDataset, LabeledDataset]


def test_is_the_mean_of_trainings_with_students_interval_over_the_sets(digits: Digits) -> None:
    private, test = digits
    sets = [private.select(range(50)), private.select(range(50, 100))]
    trainer = Standard("mlp", steps=20)
    shares: list[float] = []
    found = evaluate(sets, test, trainer=trainer, networks=2, seed=7, progress=shares.append)
    accuracies = [
        trainer.fit(data, seed=coins.derive(7, "evaluate", i, k)).accuracy(test)
        for i, data in enumerate(sets)
        for k in range(2)
    ]
    means = [sum(accuracies[:2]) / 2, sum(accuracies[2:]) / 2]
    low, high = stats.t.interval(0.95, 1, sum(means) / 2, stats.sem(means))
    assert found.value == pytest.approx(sum(accuracies) / 4)
    assert found.low == pytest.approx(max(0, low)) and found.high == pytest.approx(min(1, high))
    assert found.trials == 2, "networks that share a set are no independent trials"
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_one_set_is_judged_over_its_networks(digits: Digits) -> None:
    private, test = digits
    data, trainer = private.select(range(50)), Standard("mlp", steps=5)
    found = evaluate(data, test, trainer=trainer, networks=3, seed=7)
    accuracies = [
        trainer.fit(data, seed=coins.derive(7, "evaluate", 0, k)).accuracy(test) for k in range(3)
    ]
    low, high = stats.t.interval(0.95, 2, sum(accuracies) / 3, stats.sem(accuracies))
    assert (found.low, found.high) == (pytest.approx(max(0, low)), pytest.approx(min(1, high)))
    assert found.trials == 3


def test_workers_do_not_change_the_result(digits: Digits) -> None:
    private, test = digits
    data = private.select(range(50))
    one, two = (
        evaluate(data, test, trainer=Standard("convnet2", steps=4, width=4), networks=2, workers=w)
        for w in (1, 2)
    )
    assert one == two


def test_a_single_network_has_no_interval(digits: Digits) -> None:
    private, test = digits
    found = evaluate(private.select(range(50)), test, trainer=KernelRidge(), networks=1)
    assert math.isnan(found.low)
    assert found.value > 0.7


def test_what_does_not_match_is_refused(digits: Digits) -> None:
    private, test = digits
    other = LabeledDataset(torch.zeros(10, 1, 9, 9), torch.arange(10), test.classes, name="nines")
    with pytest.raises(DatasetError, match=r"nines .*does not match digits"):
        evaluate(other, test)
    with pytest.raises(OptionError, match="recipe"):
        evaluate(private, test, recipe="quick")
    with pytest.raises(OptionError, match="resnet"):
        evaluate(private, test, network="resnet")
    with pytest.raises(OptionError, match="nothing"):
        evaluate([], test)
