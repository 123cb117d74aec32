"""Start from mixtures of two private images of a class."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.initialise.base import FromRecords
from limbeck.synthesize.initialise.members import subsets


@register(
    "mixup",
    kind="initialisation",
    summary="Mixtures of two random private images of a class",
    paper="Zhang et al. 2018, arXiv 1710.09412",
    access="records",
    cost="milliseconds",
)
@options
class Mixup(FromRecords):
    """w a + (1 - w) b of two random members a and b, with w drawn from Beta(alpha, alpha).

    Both are of the image's own class, unlike in the paper: labels stay hard. A small alpha gives
    nearly real images, a large one means of two.

    alpha: both parameters of the Beta distribution.
    """

    alpha: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0

    remedy: ClassVar[str] = "start from something else or add records"

    def needs_per_class(self, per_class: int) -> int:
        return 2

    def read(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Float[Tensor, "images ..."]:
        one, other = private.inputs[self.sources(private, member, per_class, seed)].unbind(1)
        drawn = coins.numpy_generator(seed, "mixup").beta(self.alpha, self.alpha, len(one))
        weights = torch.from_numpy(drawn).to(one).view(-1, *[1] * len(private.shape))
        return torch.lerp(other, one, weights).clamp(0, 1)

    def sources(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Int64[Tensor, "images 2"]:
        remedy = "that each image is mixed of; add records"
        return subsets(private, member, per_class, 2, seed, remedy)
