"""Start from means of several private images."""

from typing import Annotated, ClassVar

from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.initialise.base import FromRecords
from limbeck.synthesize.initialise.members import subsets


@register(
    "average",
    kind="initialisation",
    summary="Means of several random private images of a class",
    paper="limbeck; what remains of one record among several",
    access="records",
    cost="milliseconds",
)
@options
class Average(FromRecords):
    """The arithmetic mean of ``count`` distinct random members of the class.

    Contrast is not restored to that of single images: that would raise each member's share above
    1/count. Images of a class are drawn independently and may share members; those of a class
    with ``count`` members are all its mean.

    count: members in each mean. "real" is the mean of one.
    """

    count: Annotated[int, Field(ge=2)] = 8

    remedy: ClassVar[str] = "lower count (average:COUNT) or add records"

    def needs_per_class(self, per_class: int) -> int:
        return self.count

    def read(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Float[Tensor, "images ..."]:
        return private.inputs[self.sources(private, member, per_class, seed)].mean(1)

    def sources(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Int64[Tensor, "images count"]:
        remedy = "that each image is the mean of; lower count (average:COUNT)"
        return subsets(private, member, per_class, self.count, seed, remedy)
