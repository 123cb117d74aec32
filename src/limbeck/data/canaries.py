"""Canaries: records made to be exposed, so that an audit measures the worst case, not the average.

mislabelled: the input stays, the label becomes a uniformly random other one [Aerni 2024,
arXiv:2404.17399]. Attacks may be scored under the assigned and under the true label.

out-of-distribution: the input becomes a smooth random pattern of no class (for tables: uniform
noise), the label a uniformly random one. Its true label is the assigned one: there is no other.

duplicates: canaries come in pairs (``index[0]`` with ``index[1]``, and so on) that share the first
one's input and label; in a random half of the pairs that label is a wrong one. A pair is one
person: both have the same group, hence one coin, and are in or out together. It exposes a
defence that protects each record by asking models which did not see *that* record: they saw its
twin.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import interpolate

from limbeck.coins import generator
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError

Kind = Literal["mislabelled", "out-of-distribution", "duplicates"]


@dataclass(frozen=True, eq=False)
class Planted:
    """A dataset with canaries, and what only the auditor knows of them.

    data: all records; those at ``index`` (k,) are canaries and carry their assigned labels.
    true_labels: int64 (k,), the labels that the canaries' inputs really have.
    units: int64 (k,), equal for canaries that share one coin (twins); all different otherwise.
    """

    data: LabeledDataset
    index: Tensor
    kind: Kind
    true_labels: Tensor
    units: Tensor

    @property
    def assigned_labels(self) -> Int64[Tensor, " k"]:
        """The labels that the canaries carry in ``data``."""
        return self.data.labels[self.index]


def plant(data: LabeledDataset, index: Int64[Tensor, " k"], kind: Kind, seed: int) -> Planted:
    """``data`` with its records at ``index`` turned into canaries; the input is left untouched.

    OptionError when an index repeats or is out of range, duplicates are odd in number, or a
    label cannot be wrong because there is one class.
    """
    if len(index) != len(torch.unique(index)):
        raise OptionError(f"{data.name}: a record is to be a canary twice; give distinct indices")
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(data):
        raise OptionError(
            f"{data.name}: canary indices run from {int(index.min())} to {int(index.max())}, "
            f"records from 0 to {len(data) - 1}; choose among these"
        )
    makers = {
        "mislabelled": _mislabelled,
        "out-of-distribution": _out_of_distribution,
        "duplicates": _duplicates,
    }
    return makers[kind](data, index, generator(seed, "canaries", kind))


def _mislabelled(
    data: LabeledDataset, index: Int64[Tensor, " k"], coins: torch.Generator
) -> Planted:
    true = data.labels[index]
    labels = data.labels.index_copy(0, index, _wrong(true, data, coins))
    return Planted(
        replace(data, labels=labels), index, "mislabelled", true, torch.arange(len(index))
    )


def _out_of_distribution(
    data: LabeledDataset, index: Int64[Tensor, " k"], coins: torch.Generator
) -> Planted:
    patterns = _patterns(len(index), data.shape, coins)
    assigned = torch.randint(len(data.classes), (len(index),), generator=coins)
    planted = replace(
        data,
        inputs=data.inputs.index_copy(0, index, patterns),
        labels=data.labels.index_copy(0, index, assigned),
    )
    return Planted(planted, index, "out-of-distribution", assigned, torch.arange(len(index)))


def _duplicates(
    data: LabeledDataset, index: Int64[Tensor, " k"], coins: torch.Generator
) -> Planted:
    if len(index) % 2:
        raise OptionError(
            f"{data.name}: duplicates are planted in pairs, but {len(index)} canaries are asked "
            "for; give an even number"
        )
    first, second = index[0::2], index[1::2]
    true = data.labels[first]
    pairs = len(first)
    wrong = torch.zeros(pairs, dtype=torch.bool)
    wrong[torch.randperm(pairs, generator=coins)[: pairs // 2]] = True
    assigned = torch.where(wrong, _wrong(true, data, coins), true)
    groups = torch.arange(len(data)) if data.groups is None else data.groups
    planted = replace(
        data,
        inputs=data.inputs.index_copy(0, second, data.inputs[first]),
        labels=data.labels.index_copy(0, first, assigned).index_copy(0, second, assigned),
        groups=groups.index_copy(0, second, groups[first]),
    )
    units = torch.arange(pairs).repeat_interleave(2)
    return Planted(planted, index, "duplicates", true.repeat_interleave(2), units)


def _wrong(
    true: Int64[Tensor, " k"], data: LabeledDataset, coins: torch.Generator
) -> Int64[Tensor, " k"]:
    """A uniformly random label other than the true one."""
    classes = len(data.classes)
    if classes < 2:
        raise OptionError(f"{data.name} has one class: no label can be wrong; use another kind")
    shift = torch.randint(1, classes, (len(true),), generator=coins)
    return (true + shift) % classes


def _patterns(count: int, shape: tuple[int, ...], coins: torch.Generator) -> Float[Tensor, "k ..."]:
    """Random inputs of full range; images are smooth, built from a coarse grid of 4x4 values."""
    if len(shape) != 3 or count == 0:
        return torch.rand((count, *shape), generator=coins)
    channels, height, width = shape
    coarse = torch.rand((count, channels, 4, 4), generator=coins)
    smooth = interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    low = smooth.amin((1, 2, 3), keepdim=True)
    high = smooth.amax((1, 2, 3), keepdim=True)
    # Plain strides: interpolation may hand out channels-last ones.
    stretched = ((smooth - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return stretched.clone(memory_format=torch.contiguous_format)
