"""Opacus' clipping and summing, with noise from the operating system's entropy."""

from collections.abc import Iterable

import torch
from opacus.optimizers import DPOptimizer
from torch import Tensor

from limbeck.privacy.entropy import Coins


class Clipped(DPOptimizer):  # type: ignore[misc]
    """Opacus' optimiser as far as the noisy sum: ``clip_and_accumulate``, then ``add_noise``.

    parameters: tensors of the shapes that gradients have; they hold ``grad_sample`` before, and the
    noisy sum as ``grad`` after, and never move.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, multiplier: float, norm: float, coins: Coins
    ) -> None:
        still = torch.optim.SGD([p.requires_grad_() for p in parameters], lr=0.0)
        super().__init__(
            still,
            noise_multiplier=multiplier,
            max_grad_norm=norm,
            expected_batch_size=None,
            loss_reduction="sum",
        )
        self._coins = coins

    def add_noise(self) -> None:
        """Put each sum with its noise into ``grad``; in place of Opacus' draw from PyTorch."""
        scale = self.noise_multiplier * self.max_grad_norm
        for p in self.params:
            noise = torch.from_numpy(self._coins.normal(p.numel()) * scale)
            p.grad = p.summed_grad + noise.to(p).reshape(p.shape)
