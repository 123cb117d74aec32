"""Kernel ridge against scikit-learn, its batched form, and its refusals."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge as Reference

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn.kernels import fully_connected_ntk
from limbeck.train import kernel_ridge
from limbeck.train.kernel_ridge import KernelRidge

Digits = tuple[LabeledDataset, LabeledDataset]


@pytest.mark.parametrize("soft", [False, True])
def test_scores_equal_scikit_learn(digits: Digits, soft: bool) -> None:
    private, test = digits
    few = private.select(range(60))
    labels = torch.eye(10)[few.labels].double()
    data: LabeledDataset | SyntheticDataset = few
    if soft:
        labels = torch.softmax(torch.randn(60, 10, generator=torch.Generator().manual_seed(0)), 1)
        data = SyntheticDataset(few.inputs, few.labels, few.classes, soft_labels=labels)
    x, z = (d.inputs.flatten(1).double() for d in (few, test))
    gram = fully_connected_ntk(x, x, depth=3).numpy()
    alpha = 1e-3 * np.trace(gram) / 60
    reference = Reference(kernel="precomputed", alpha=alpha).fit(gram, labels.numpy() - 0.1)
    expected = reference.predict(fully_connected_ntk(z, x, depth=3).numpy())
    scores = KernelRidge(depth=3, ridge=1e-3).fit(data, seed=0).logits(test.inputs)
    np.testing.assert_allclose(scores.numpy(), expected, atol=1e-5)


def test_learns_digits(digits: Digits) -> None:
    private, test = digits
    assert KernelRidge().fit(private, seed=0).accuracy(test) > 0.97


def test_sets_of_unequal_size_keep_their_order(digits: Digits) -> None:
    private, test = digits
    sets = [private.select(range(a, b)) for a, b in ((0, 30), (30, 60), (60, 110), (110, 140))]
    together = list(KernelRidge().fit_many(sets, range(4)))
    for data, classifier in zip(sets, together, strict=True):
        alone = KernelRidge().fit(data, seed=9).logits(test.inputs)
        torch.testing.assert_close(classifier.logits(test.inputs), alone, rtol=0, atol=1e-6)


def test_prediction_in_blocks_changes_nothing(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, test = digits
    classifier = KernelRidge().fit(private.select(range(50)), seed=0)
    whole = classifier.logits(test.inputs)
    monkeypatch.setattr(kernel_ridge, "_BLOCK", 7 * 50)
    torch.testing.assert_close(classifier.logits(test.inputs), whole, rtol=0, atol=1e-6)


def test_too_many_records_are_refused_in_one_line(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_ridge, "MAX_RECORDS", 10)
    with pytest.raises(OptionError, match=r"11 records of shape \(1, 8, 8\).*'standard'$"):
        KernelRidge().fit(digits[0].select(range(11)), seed=0)
