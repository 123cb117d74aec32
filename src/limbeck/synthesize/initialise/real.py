"""Start from real images: the initialisation that leaks."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.initialise.base import FromRecords
from limbeck.synthesize.initialise.members import by_class


@register(
    "real",
    kind="initialisation",
    summary="Random private images as they are; they stay visible in the result",
    paper="Zhao & Bilen 2021, arXiv 2102.08259",
    access="records",
    cost="milliseconds",
)
@options
class Real(FromRecords):
    """Random members of each class, drawn without replacement, unchanged."""

    def read(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Float[Tensor, "images ..."]:
        return private.inputs[pick(private, member, per_class, seed)]

    def sources(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Int64[Tensor, "images 1"]:
        return pick(private, member, per_class, seed)[:, None]


def pick(
    private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
) -> Int64[Tensor, " images"]:
    """Indices of ``per_class`` random members of each class, class by class.

    Raises DatasetError when a class has fewer members.
    """
    chosen = []
    remedy = "per class that the images start from; lower ipc"
    for label, own in enumerate(by_class(private, member, per_class, remedy)):
        order = torch.randperm(len(own), generator=coins.generator(seed, "pick", label))
        chosen.append(own[order[:per_class]])
    return torch.cat(chosen)
