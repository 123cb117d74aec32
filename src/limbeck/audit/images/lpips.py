"""LPIPS, the learned perceptual distance, over a feature network that the caller brings."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.audit.images.embedders import embedded
from limbeck.audit.images.measures import Measure, euclidean
from limbeck.errors import OptionError

Maps = Callable[[Tensor], Sequence[Tensor]]
"""From images (n, c, h, w) with values in [0, 1] to the maps (n, c_l, h_l, w_l) of some layers."""


@dataclass(frozen=True)
class Lpips(Measure):
    """The distance of Zhang et al. 2018 (arXiv 1801.03924, equation 1).

    Maps are normalised to unit length over the channels, their squared differences weighted by
    channel, averaged over places and summed over layers: a squared Euclidean distance, so that
    each image is embedded once however many pairs there are.

    maps: the feature network, its own scaling of the input included. Limbeck ships no weights.
    weights: the learned weights of each layer's channels, (c_l,), at least 0.
    OptionError where the two disagree.
    """

    maps: Maps
    weights: tuple[Tensor, ...]
    name: str = "lpips"

    def prepare(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        return embedded(self._vectors, inputs)

    def between(self, a: Float[Tensor, "n ..."], b: Float[Tensor, "m ..."]) -> Float[Tensor, "n m"]:
        return euclidean(a, b).square()

    def _vectors(self, inputs: Tensor) -> Tensor:
        maps = self.maps(inputs)
        found, wanted = [m.shape[1] for m in maps], [len(w) for w in self.weights]
        if found != wanted:
            raise OptionError(
                f"lpips: the feature network has layers of {found} channels and the weights are "
                f"for {wanted}; give the weights that belong to the network"
            )
        return torch.cat([_flat(m, w) for m, w in zip(maps, self.weights, strict=True)], 1)


def _flat(maps: Float[Tensor, "n c h w"], weight: Float[Tensor, " c"]) -> Float[Tensor, "n d"]:
    length = maps.square().sum(1, keepdim=True).sqrt() + 1e-10
    weighted = maps / length * weight.to(maps).sqrt()[:, None, None]
    return weighted.flatten(1) / math.sqrt(maps[0, 0].numel())
