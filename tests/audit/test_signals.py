import numpy as np
import pytest
import torch

from limbeck.audit.signals import margins, modified_entropy, observe
from limbeck.audit.views import View, choose
from limbeck.train.base import Classifier


class Pixels(Classifier):
    """A classifier whose logits are the first pixels of the record."""

    def logits(self, inputs):
        return inputs.flatten(1)[:, :3]


def test_margin_and_hinge_against_their_definitions():
    logits, labels = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([0])
    probability = torch.softmax(logits.double(), 1)[0, 0]
    margin, hinge = margins(logits, labels)[:, 0]
    assert margin.item() == pytest.approx(torch.log(probability / (1 - probability)).item())
    assert hinge.item() == pytest.approx(1.5)


def test_the_loss_is_softplus_of_minus_the_margin():
    logits, labels = torch.randn(20, 4), torch.arange(20) % 4
    loss = torch.nn.functional.cross_entropy(logits.double(), labels, reduction="none")
    assert torch.allclose(torch.nn.functional.softplus(-margins(logits, labels)[0]), loss)


def test_margins_stay_finite_where_probabilities_round_to_one():
    margin = margins(torch.tensor([[400.0, -400.0, 0.0]]), torch.tensor([0]))[0]
    assert margin.item() == pytest.approx(400)


def test_modified_entropy_against_its_definition():
    logits, labels = 3 * torch.randn(30, 5), torch.arange(30) % 5
    for row, label, found in zip(
        torch.softmax(logits.double(), 1), labels, modified_entropy(logits, labels), strict=True
    ):
        own = row[label]
        expected = -(1 - own) * torch.log(own)
        for i, p in enumerate(row):
            if i != label:
                expected -= p * torch.log(1 - p)
        assert found.item() == pytest.approx(expected.item(), rel=1e-9)


def test_modified_entropy_is_finite_where_probabilities_round_to_one():
    logits = torch.tensor([[400.0, 0.0, 0.0]]).expand(2, 3)
    right, wrong = modified_entropy(logits, torch.tensor([0, 1]))
    assert 0 <= right < 1e-100
    # -log p_1 = 400, and -log(1 - p_0) = 400 - log 2.
    assert wrong.item() == pytest.approx(800 - np.log(2), rel=1e-9)


def test_signals_are_ordered_views_kinds_records():
    inputs = torch.rand(5, 1, 3, 3)
    labels = torch.tensor([0, 1, 2, 0, 1])
    views = (View(), View(flip=True))
    found = observe(Pixels(), inputs, labels, views)
    assert found.shape == (2, 3, 5) and found.dtype == np.float32
    mirrored = margins(inputs.flip(-1).flatten(1)[:, :3], labels)
    assert np.allclose(found[1, :2], mirrored.numpy(), atol=1e-6)
    entropy = modified_entropy(inputs.flip(-1).flatten(1)[:, :3], labels)
    assert np.allclose(found[1, 2], -entropy.numpy(), atol=1e-6)


def test_a_shift_moves_and_fills_with_zero():
    inputs = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    seen = View(down=1, right=-1)(inputs)[0, 0]
    assert seen.tolist() == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]
    assert inputs[0, 0, 0, 0] == 1, "the record itself is left alone"


def test_views_begin_with_the_record_and_never_mirror_digits():
    digits = choose(18, (1, 8, 8), mirror=False)
    assert digits[0] == View() and not any(view.flip for view in digits)
    assert len(digits) == 9
    clothes = choose(18, (1, 32, 32), mirror=True)
    assert len(clothes) == len(set(clothes)) == 18
    assert {abs(view.down) for view in clothes} == {0, 4}
    assert clothes[:2] == (View(), View(flip=True))
    assert choose(4, (7,), mirror=False) == (View(),)
    assert len({view.name for view in clothes}) == 18
