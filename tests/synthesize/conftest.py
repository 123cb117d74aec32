"""Data that can be learnt, data that count how often they are read, and budgets handed over."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.privacy.budget import Budget
from limbeck.synthesize.form import Form
from limbeck.synthesize.private import PrivateSynthesizer


@pytest.fixture
def quadrants() -> LabeledDataset:
    """Ten images of each of four classes: class c is bright in quadrant c."""
    inputs = 0.3 * torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 4
    for c in range(4):
        row, column = 4 * (c // 2), 4 * (c % 2)
        inputs[labels == c, :, row : row + 4, column : column + 4] += 0.6
    return LabeledDataset(inputs, labels, ("a", "b", "c", "d"), name="quadrants")


class Counted(torch.Tensor):
    """Records that count how often they are taken out of the dataset."""

    reads = 0

    def __getitem__(self, index):
        if self.dim() == 4:  # the records themselves, not what was computed from them
            Counted.reads += len(index) if isinstance(index, torch.Tensor) else len(self)
        return super().__getitem__(index).as_subclass(torch.Tensor)


@pytest.fixture
def counted(tiny_images: LabeledDataset) -> tuple[LabeledDataset, Callable[[], int]]:
    """``tiny_images``, and how many records were taken out of them so far."""
    Counted.reads = 0
    records = tiny_images.inputs.as_subclass(Counted)
    return replace(tiny_images, inputs=records), lambda: Counted.reads


@pytest.fixture
def handed(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[type[PrivateSynthesizer]], list[Budget]]:
    """Of a private method, the budgets that its ``publish`` is handed from now on."""

    def of(method: type[PrivateSynthesizer]) -> list[Budget]:
        budgets, publish = [], method.publish

        def only_the_budget(self, budget, form, seed, **words):
            assert isinstance(budget, Budget) and isinstance(form, Form)
            budgets.append(budget)
            return publish(self, budget, form, seed, **words)

        monkeypatch.setattr(method, "publish", only_the_budget)
        return budgets

    return of
