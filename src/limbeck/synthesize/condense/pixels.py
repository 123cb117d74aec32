"""Gradient descent on pixels: SGD with momentum inside [0, 1], the optimiser of every condenser."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limbeck.nn.augment import PIXEL_SCALE

Schedule = Literal["constant", "cosine"]


class PixelDescent:
    """Holds images of shape (n, *shape) and moves them against a gradient, step by step.

    learning_rate is stated, as in the literature, for pixels of unit standard deviation; pixels
    in [0, 1] have about PIXEL_SCALE, so that a step here is shorter by its square. blur is the
    standard deviation (in pixels) of a Gaussian that smooths the gradient of images: random
    convolution networks put most of it into single-pixel noise that no trained network reads.
    """

    def __init__(
        self,
        images: Float[Tensor, "n ..."],
        *,
        learning_rate: float,
        momentum: float,
        steps: int,
        schedule: Schedule,
        blur: float,
    ) -> None:
        self.images = images.clone()
        self._velocity = torch.zeros_like(images)
        self._rate = learning_rate * PIXEL_SCALE**2
        self._momentum = momentum
        self._steps = steps
        self._schedule = schedule
        self._kernel = _gaussian(blur).to(images) if blur > 0 and images.dim() == 4 else None
        self._done = 0

    @torch.no_grad()
    def step(self, gradient: Float[Tensor, "n ..."]) -> None:
        """One step of SGD with momentum, then back into [0, 1]."""
        if self._kernel is not None:
            gradient = _smooth(gradient, self._kernel)
        decay = 1.0
        if self._schedule == "cosine":
            decay = 0.5 * (1 + math.cos(math.pi * self._done / self._steps))
        self._velocity = self._momentum * self._velocity + gradient
        self.images = (self.images - self._rate * decay * self._velocity).clamp(0, 1)
        self._done += 1


def _gaussian(sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    return weights / weights.sum()


def _smooth(images: Tensor, kernel: Tensor) -> Tensor:
    channels, reach = images.shape[1], len(kernel) // 2
    weight = kernel.expand(channels, 1, 1, -1)
    rows = F.conv2d(images, weight, padding=(0, reach), groups=channels)
    return F.conv2d(rows, weight.transpose(2, 3), padding=(reach, 0), groups=channels)
