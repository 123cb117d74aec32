"""A private sum with its noise, drawn once: the thing that post-processing reads."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.privacy import noise


@dataclass(frozen=True, eq=False)
class NoisySum:
    """A private sum with its noise.

    values: in the statistic's own units: (d,), (classes, d), (d, d) or (classes, d, d).
    noise: standard deviation of every coordinate's noise; 0 where no guarantee was asked for. In a
        sum of products the diagonal has it, and every other pair of entries, equal by symmetry,
        noise smaller by sqrt 2.
    """

    values: Float[Tensor, "..."]
    noise: float


def noised(
    total: Int64[Tensor, "..."], scale: float, insecure_seed: int | None
) -> Int64[Tensor, "..."]:
    """A sum in grid steps with noise of this scale on every coordinate; none where it is 0."""
    if scale == 0:
        return total
    values = total.flatten().numpy()
    noisy = noise.discrete_gaussian(values, scale, insecure_seed=insecure_seed)
    return torch.from_numpy(noisy).reshape(total.shape)


def noised_products(
    total: Int64[Tensor, "*classes d d"], scale: float, seed_of: Callable[[str], int | None]
) -> Int64[Tensor, "*classes d d"]:
    """Symmetric sums with noise on and above the diagonal, smaller by sqrt 2 above it.

    A symmetric matrix is the vector of its diagonal and of sqrt 2 times what is above it, of the
    same norm; noise of this scale on that vector is what is added. seed_of: what is repeatable, of
    the two parts "diagonal" and "above".
    """
    above = noise.discrete_scale(noise.continuous_scale(scale) / math.sqrt(2)) if scale else 0.0
    row, column = torch.triu_indices(total.shape[-1], total.shape[-1], 1)
    diagonal = noised(total.diagonal(dim1=-2, dim2=-1).contiguous(), scale, seed_of("diagonal"))
    upper = noised(total[..., row, column], above, seed_of("above"))
    noisy = torch.diag_embed(diagonal)
    noisy[..., row, column] = upper
    noisy[..., column, row] = upper
    return noisy
