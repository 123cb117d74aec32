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


def test_is_the_mean_of_trainings_with_students_interval(digits: Digits) -> None:
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
    low, high = stats.t.interval(0.95, 3, *stats.describe(accuracies)[2:3], stats.sem(accuracies))
    assert found.value == pytest.approx(sum(accuracies) / 4)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.trials == 4
    assert shares == [0.25, 0.5, 0.75, 1.0]


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
