"""A running mean of a network's weights, which forgets the noise of single steps."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


class Average(Generic[Net]):
    """``network`` holds the mean of the weights followed so far, old ones fading by ``decay``.

    While few were followed they count alike: after t, at most a share of 1 - 1/t is kept.
    """

    def __init__(self, network: Net, decay: float = 0.98) -> None:
        self.network = copy.deepcopy(network)
        self._decay, self._followed = decay, 0

    @torch.no_grad()
    def follow(self, network: Net) -> None:
        """Let the mean take in the network's weights of this moment."""
        self._followed += 1
        share = max(1 - self._decay, 1 / self._followed)
        for mean, value in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, share)
