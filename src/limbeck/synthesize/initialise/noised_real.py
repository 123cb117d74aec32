"""Start from private images under noise."""

import math
from typing import Annotated

from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import FromRecords
from limbeck.synthesize.initialise.noise import Noise
from limbeck.synthesize.initialise.real import Real


@register(
    "noised-real",
    kind="initialisation",
    summary="Random private images mixed with Gaussian noise",
    paper="limbeck; a control between real images and noise",
    access="records",
    cost="milliseconds",
)
@options
class NoisedReal(FromRecords):
    """0.5 + sqrt(1 - level) (r - 0.5) + sqrt(level) (g - 0.5), clamped to [0, 1].

    r is an image of "real" and g one of "noise" (mean 0.5, standard deviation 0.25), under the
    same seed: the variance about mid-grey is shared out, so that level 0 is "real" and level 1
    is "noise". The noise is no privacy mechanism: it gives no guarantee.

    level: the noise's share, in [0, 1].
    """

    level: Annotated[float, Field(ge=0, le=1)] = 0.5

    def read(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Float[Tensor, "images ..."]:
        real = Real().read(private, member, per_class, seed)
        noise = Noise().draw(Form.of(private), per_class, seed).to(real)
        of_real, of_noise = math.sqrt(1 - self.level), math.sqrt(self.level)
        mixed = of_real * real + of_noise * noise + 0.5 * (1 - of_real - of_noise)
        return mixed.clamp(0, 1)

    def sources(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Int64[Tensor, "images 1"]:
        return Real().sources(private, member, per_class, seed)
