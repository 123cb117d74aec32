"""Answers for several sets of records at once: side by side, cut to a norm, with noise."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.privacy.entropy import Coins

_DOWN = 1 - 2.0**-20
"""Norms are cut to this much less than they may be: more than rounding to float32 can add."""


def cut(answers: Float[Tensor, "n ..."], norm: float) -> Float[Tensor, "n ..."]:
    """Each answer shrunk to the norm where it is longer; what is not finite becomes 0."""
    clean = torch.nan_to_num(answers.double(), nan=0.0, posinf=0.0, neginf=0.0)
    lengths: Tensor = torch.linalg.vector_norm(clean.flatten(1), dim=1)
    factors = (norm * _DOWN / lengths.clamp(min=1e-300)).clamp(max=1.0)
    return (clean * factors.view(-1, *[1] * (clean.dim() - 1))).float()


def noised(total: Tensor, scale: float, coins: Coins) -> Tensor:
    """The total with normal noise of this standard deviation on every number, drawn once."""
    if scale == 0:
        return total
    noise = torch.from_numpy(coins.normal(total.numel()) * scale)
    return total + noise.to(total).reshape(total.shape)


def padded(
    inputs: Float[Tensor, "n ..."], place: Int64[Tensor, " n"], places: int
) -> tuple[Float[Tensor, "places m ..."], Int64[Tensor, " places"]]:
    """The records of each place side by side, zeros behind them, and how many each has."""
    sizes = torch.bincount(place, minlength=places)
    order = torch.argsort(place, stable=True)
    starts = sizes.cumsum(0) - sizes
    within = torch.arange(len(order)) - starts[place[order]]
    made = inputs.new_zeros(places, max(1, int(sizes.max())), *inputs.shape[1:])
    made[place[order], within] = inputs[order]
    return made, sizes
