"""The members of each class, and random subsets of them to make one image of."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError


def by_class(
    private: LabeledDataset, member: Bool[Tensor, " records"], fewest: int, remedy: str
) -> list[Int64[Tensor, " n"]]:
    """Indices of the members of each class, in the order of the data.

    Raises DatasetError when a class has fewer than ``fewest``; ``remedy`` ends its line: what they
    are needed for, and what to do.
    """
    found = []
    for label, name in enumerate(private.classes):
        own = ((private.labels == label) & member).nonzero()[:, 0]
        if len(own) < fewest:
            raise DatasetError(
                f"{private.name}: class {name!r} has {len(own)} records, fewer than the {fewest} "
                f"{remedy}"
            )
        found.append(own)
    return found


def subsets(
    private: LabeledDataset,
    member: Bool[Tensor, " records"],
    per_class: int,
    count: int,
    seed: int,
    remedy: str,
) -> Int64[Tensor, "images count"]:
    """For each image, class by class, the indices of ``count`` distinct random members.

    Images are drawn independently: two of a class may share members. Errors as ``by_class``.
    """
    chosen = []
    for label, own in enumerate(by_class(private, member, count, remedy)):
        generator = coins.generator(seed, "subsets", label)
        ranks = torch.rand(per_class, len(own), generator=generator)
        chosen.append(own[ranks.topk(count).indices])
    return torch.cat(chosen)
