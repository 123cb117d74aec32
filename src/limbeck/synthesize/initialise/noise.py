"""Start from noise: nothing of the private data is in the initial images."""

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck import coins
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import DataFree


@register(
    "noise",
    kind="initialisation",
    summary="Gaussian noise around mid-grey",
    paper="Zhao et al. 2021, arXiv 2006.05929",
    access="none",
    cost="milliseconds",
)
@options
class Noise(DataFree):
    """Independent Gaussian noise, mean 0.5 and standard deviation 0.25, clamped to [0, 1]."""

    def draw(self, form: Form, per_class: int, seed: int) -> Float[Tensor, "images ..."]:
        generator = coins.generator(seed, "init", "noise")
        drawn = torch.randn(len(form.classes) * per_class, *form.shape, generator=generator)
        return (0.5 + 0.25 * drawn).clamp(0, 1)
