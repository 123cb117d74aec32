"""What synthetic images are before they are optimised, and what that reads of private data."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError
from limbeck.types import Access

Init = Literal["noise", "real"]

ACCESS: dict[Init, Access] = {"noise": "none", "real": "records"}
"""What each initialisation reads. A guarantee is possible only where this is "none"."""


def labels(classes: int, ipc: int) -> Int64[Tensor, " images"]:
    """Labels of ``ipc`` images per class, class by class."""
    return torch.arange(classes).repeat_interleave(ipc)


def noise(shape: tuple[int, ...], classes: int, ipc: int, seed: int) -> Float[Tensor, "images ..."]:
    """Gaussian noise around mid-grey, clamped to [0, 1]; independent of any data."""
    drawn = torch.randn(classes * ipc, *shape, generator=coins.generator(seed, "init", "noise"))
    return (0.5 + 0.25 * drawn).clamp(0, 1)


def real(
    private: LabeledDataset, member: Bool[Tensor, " records"], ipc: int, seed: int
) -> Float[Tensor, "images ..."]:
    """``ipc`` random members of each class, as they are: the initialisation that leaks.

    Raises DatasetError when a class has fewer than ``ipc`` members.
    """
    return private.inputs[pick(private, member, ipc, seed)]


def pick(
    private: LabeledDataset, member: Bool[Tensor, " records"], ipc: int, seed: int
) -> Int64[Tensor, " images"]:
    """Indices of ``ipc`` random members of each class, class by class."""
    chosen = []
    for label, name in enumerate(private.classes):
        candidates = ((private.labels == label) & member).nonzero()[:, 0]
        if len(candidates) < ipc:
            raise DatasetError(
                f"{private.name}: class {name!r} has {len(candidates)} records, fewer than the "
                f"{ipc} images per class asked for; lower ipc"
            )
        order = torch.randperm(len(candidates), generator=coins.generator(seed, "pick", label))
        chosen.append(candidates[order[:ipc]])
    return torch.cat(chosen)
