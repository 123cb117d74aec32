"""A small class-conditional generator: Gaussian codes and a label to records in [0, 1]."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck import coins
from limbeck.nn.networks import initialise
from limbeck.nn.networks.layers import blank, convolution


class Generator(nn.Module):
    """Codes (n, ``code``) and labels (n,) to records (n, *shape), drawn from ``seed``.

    Images grow from a quarter of their sides through two upsamplings, each followed by a 5x5
    convolution, in the manner of DP-MERF's (Harder et al. 2021, arXiv 2002.11603); other records,
    and images below 4 pixels, come from two hidden layers. ``width``: channels of the second
    convolution; a hidden layer has 16 times as many units.
    """

    def __init__(
        self, shape: tuple[int, ...], classes: int, *, code: int = 8, width: int = 16, seed: int
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.code, self.width = shape, classes, code, width
        self.convolves = len(shape) == 3 and min(shape[1:]) >= 4
        size = math.prod(shape)
        if self.convolves:
            self.sides = tuple(math.ceil(side / 4) for side in shape[1:])
            size = 2 * width * math.prod(self.sides)
            self.first = convolution(2 * width, width, 5, padding=2)
            self.second = convolution(width, shape[0], 5, padding=2)
        self.hidden = blank(nn.Linear, code + classes, 16 * width)
        self.out = blank(nn.Linear, 16 * width, size)
        initialise(self, coins.generator(seed, "generator"), variance=2.0)

    def forward(
        self, codes: Float[Tensor, "n code"], labels: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n ..."]:
        """The records; differentiable with respect to codes and weights."""
        known = F.one_hot(labels, self.classes).to(codes)
        x = self.out(F.relu(self.hidden(torch.cat([codes, known], 1))))
        if not self.convolves:
            return torch.sigmoid(x).reshape(len(x), *self.shape)
        x = F.relu(x).reshape(len(x), 2 * self.width, *self.sides)
        x = F.relu(self.first(F.interpolate(x, scale_factor=2.0, mode="bilinear")))
        x = self.second(F.interpolate(x, scale_factor=2.0, mode="bilinear"))
        height, width = self.shape[1:]
        return torch.sigmoid(x)[..., :height, :width]

    @torch.no_grad()
    def draw(
        self, labels: Int64[Tensor, " n"], generator: torch.Generator, *, device: str = "cpu"
    ) -> Float[Tensor, "n ..."]:
        """New records of these labels, on the CPU; codes come from the CPU ``generator``."""
        codes = torch.randn(len(labels), self.code, generator=generator)
        blocks = zip(codes.split(1000), labels.split(1000), strict=True)
        made = [self(c.to(device), k.to(device)).cpu() for c, k in blocks]
        return torch.cat(made).contiguous()
