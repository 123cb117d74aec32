"""What a network's layers give on data: a mean and a deviation of each channel.

Batch norm keeps these of its own accord; the networks here have none, so that they are measured
once instead. Images whose statistics agree with them look to the network as its data did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.nn.networks import Network

_BLOCK = 256


def watched(
    network: Network, inputs: Float[Tensor, "n ..."]
) -> tuple[Float[Tensor, "n classes"], list[Float[Tensor, "n _ _"]]]:
    """The logits, and the outputs (n, channels, places) of every hidden weighted layer."""
    seen: list[Tensor] = []

    def note(_layer: Any, _given: Any, made: Tensor) -> None:
        seen.append(made.reshape(len(made), made.shape[1], -1))

    hidden = [
        part
        for part in network.modules()
        if isinstance(part, (nn.Conv2d, nn.Linear)) and part is not network.head
    ]
    hooks = [layer.register_forward_hook(note) for layer in hidden]
    try:
        return network(inputs), seen
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Means and standard deviations over records and places, (channels,) a hidden layer."""

    means: tuple[Tensor, ...]
    deviations: tuple[Tensor, ...]

    @classmethod
    @torch.no_grad()
    def of(cls, network: Network, inputs: Float[Tensor, "n ..."]) -> "FeatureStatistics":
        """Those of ``inputs``, read block by block on the device of ``network``."""
        device = network.head.weight.device
        sums: list[Tensor] = []
        squares: list[Tensor] = []
        counts: list[int] = []
        for block in inputs.split(_BLOCK):
            _, outputs = watched(network, block.to(device))
            if not sums:
                sums = [torch.zeros(x.shape[1], device=device) for x in outputs]
                squares = [torch.zeros_like(total) for total in sums]
                counts = [0] * len(outputs)
            for k, x in enumerate(outputs):
                sums[k] += x.sum((0, 2))
                squares[k] += x.square().sum((0, 2))
                counts[k] += x.shape[0] * x.shape[2]
        means = tuple(total / count for total, count in zip(sums, counts, strict=True))
        deviations = tuple(
            (total / count - mean.square()).clamp(min=0).sqrt()
            for total, count, mean in zip(squares, counts, means, strict=True)
        )
        return cls(means, deviations)

    def distance(self, outputs: Sequence[Float[Tensor, "n _ _"]]) -> Float[Tensor, ""]:
        """How far a batch's statistics lie from these, in their deviations; a mean over layers.

        Of each channel ((mean - mean_0)^2 + (deviation - deviation_0)^2) / deviation_0^2, the
        statistics loss of Yin et al. 2020 (arXiv 1912.08795) in units that every layer shares.
        A network without a hidden layer has distance 0.
        """
        if not self.means:
            return torch.zeros(())
        gaps = []
        for x, mean, deviation in zip(outputs, self.means, self.deviations, strict=True):
            # The small number is under the root too: a channel of one value has a derivative.
            spread = (x.var((0, 2), correction=0) + 1e-6).sqrt()
            off = (x.mean((0, 2)) - mean).square() + (spread - deviation).square()
            gaps.append((off / (deviation.square() + 1e-2 * deviation.square().mean())).mean())
        return torch.stack(gaps).mean()
