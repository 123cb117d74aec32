"""What every network is: an embedding and a linear head, drawn from an explicit generator."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.errors import OptionError


class Network(nn.Module):
    """A classifier in two parts: ``embed`` to ``features`` numbers, a linear ``head`` to logits.

    No layer looks at more than one record at a time, so no record's logits depend on its company.
    """

    head: nn.Linear
    features: int
    name: str
    """What ``make`` was asked for, with ``width`` (0: this kind has none)."""
    width: int

    @abstractmethod
    def embed(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """Features that the head reads, and that distribution matching compares."""

    def forward(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        """Logits."""
        logits: Tensor = self.head(self.embed(inputs))
        return logits


def require_images(shape: tuple[int, ...], what: str, at_least: int = 1) -> None:
    """OptionError unless records are (channels, height, width) of at least that many pixels."""
    if len(shape) != 3 or min(shape[1:]) < at_least:
        raise OptionError(
            f"{what} needs images of shape (channels, height, width), at least {at_least} pixels "
            f"wide and high; these records have shape {shape}: use network 'mlp'"
        )


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator, *, variance: float = 1 / 3) -> None:
    """Draw weights uniformly: of ``variance`` / fan-in, by default PyTorch's own 1 / (3 fan-in).

    Biases are uniform within 1/sqrt(fan-in), as PyTorch's; norms start as the identity.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            bound = math.sqrt(3 * variance / fan_in)
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                bound = 1 / math.sqrt(fan_in)
                module.bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, nn.GroupNorm):
            module.weight.fill_(1)
            module.bias.fill_(0)
