"""Distances between images, for all pairs of two sets: pixels, structure, an embedding."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limbeck.audit.images.embedders import Embed, embedded, random_embed

_VALUES = 2**22
"""Values of one working array of the structural similarity."""


class Measure(ABC):
    """A distance; ``prepare`` is done once for each record, ``between`` for each pair."""

    name: str

    def prepare(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """What ``between`` reads of each record."""
        return inputs

    @abstractmethod
    def between(self, a: Float[Tensor, "n ..."], b: Float[Tensor, "m ..."]) -> Float[Tensor, "n m"]:
        """Distances of all pairs of prepared records; 0 for equal ones."""


@dataclass(frozen=True)
class L2(Measure):
    """Root of the mean squared difference of two records' values: in units of their scale."""

    name: str = "l2"

    def prepare(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        return inputs.flatten(1) / math.sqrt(inputs[0].numel())

    def between(self, a: Float[Tensor, "n ..."], b: Float[Tensor, "m ..."]) -> Float[Tensor, "n m"]:
        return euclidean(a, b)


@dataclass(frozen=True)
class Embedding(Measure):
    """Euclidean distance of the vectors that ``embed`` gives."""

    embed: Embed
    name: str = "embedding"

    def prepare(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        return embedded(self.embed, inputs)

    def between(self, a: Float[Tensor, "n ..."], b: Float[Tensor, "m ..."]) -> Float[Tensor, "n m"]:
        return euclidean(a, b)


@dataclass(frozen=True)
class Structural(Measure):
    """1 - SSIM, the structural similarity of images with values in [0, 1]; see ``ssim``."""

    name: str = "ssim"

    def between(self, a: Float[Tensor, "n ..."], b: Float[Tensor, "m ..."]) -> Float[Tensor, "n m"]:
        return 1 - ssim(a, b)


def standard(
    shape: tuple[int, ...], *, seed: int = 0, device: str | torch.device = "cpu"
) -> tuple[Measure, ...]:
    """Pixels, SSIM (of images alone) and the embedding of one public random network."""
    structural: tuple[Measure, ...] = (Structural(),) if len(shape) == 3 else ()
    return (L2(), *structural, Embedding(random_embed(shape, seed=seed, device=device)))


def euclidean(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Distances by differences: by scalar products, equal vectors would not come out at 0."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def ssim(
    a: Float[Tensor, "n c h w"], b: Float[Tensor, "m c h w"], *, window: int = 7
) -> Float[Tensor, "n m"]:
    """Mean structural similarity [Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13, 17].

    Over all square windows with equal weights, ``window`` pixels on a side (fewer in smaller
    images), and channels; K1 = 0.01 and K2 = 0.03 of a range of 1, variances with divisor N.
    """
    size = min(window, *a.shape[2:])
    places = a.shape[1] * math.prod(side - size + 1 for side in a.shape[2:])
    block = max(1, math.isqrt(_VALUES // places))
    rows = [_windows(part, size) for part in b.split(block)]
    return torch.cat(
        [
            torch.cat([_similarity(own, other) for other in rows], 1)
            for own in (_windows(part, size) for part in a.split(block))
        ]
    )


_Windows = tuple[Tensor, Tensor, Tensor]


def _windows(images: Float[Tensor, "n c h w"], size: int) -> _Windows:
    """Means and variances (places, n) and centred values (places, n, pixels) of all windows."""
    found = F.unfold(images, size).unflatten(1, (images.shape[1], size**2))
    values = found.permute(1, 3, 0, 2).flatten(0, 1)
    mean = values.mean(2)
    centred = values - mean[..., None]
    return mean, centred.square().mean(2), centred


def _similarity(a: _Windows, b: _Windows) -> Float[Tensor, "n m"]:
    (mean, variance, centred), (mean_b, variance_b, centred_b) = a, b
    one, two = 0.01**2, 0.03**2
    covariance = centred @ centred_b.mT / centred.shape[2]
    products = mean[:, :, None] * mean_b[:, None]
    squares = mean.square()[:, :, None] + mean_b.square()[:, None]
    spread = variance[:, :, None] + variance_b[:, None]
    shares = (2 * products + one) * (2 * covariance + two) / (squares + one) / (spread + two)
    return shares.mean(0)
