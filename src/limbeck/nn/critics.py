"""Many small networks side by side, each with records of its own: one batched product a layer."""

import itertools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck import coins

_SLOPE = 0.2  # of the leaky ReLU below zero


class Critics(nn.Module):
    """``count`` separate networks of two hidden layers, each from a record to one number.

    Network k sees row k of its input and nothing else: what it says, and every gradient of its
    weights, depend on that row alone. Sums of their losses train each as if it were by itself, with
    any optimiser that looks at single weights, such as ``fit.Adam``.

    size: numbers of a record. width: units of a hidden layer. Weights follow from ``seed``.
    """

    def __init__(self, count: int, size: int, *, width: int, seed: int) -> None:
        super().__init__()
        drawn = coins.generator(seed, "critics")
        sizes = [size, width, width, 1]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inward, outward in itertools.pairwise(sizes):
            # Of variance 2 / fan-in (He et al. 2015): no norm keeps the signal's size.
            bound = math.sqrt(6 / inward)
            weight = torch.empty(count, inward, outward).uniform_(-bound, bound, generator=drawn)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(count, 1, outward)))
        # What is said first is 0 everywhere: no network points anywhere before it has learnt.
        nn.init.zeros_(self.weights[-1])

    def forward(self, records: Float[Tensor, "count n ..."]) -> Float[Tensor, "count n"]:
        """What each network says of each of its records."""
        x, last = records.flatten(2), len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if k < last:
                x = F.leaky_relu(x, _SLOPE)
        return x[..., 0]


def slopes(
    critics: Critics, records: Float[Tensor, "count n ..."], *, differentiable: bool = False
) -> Float[Tensor, "count n ..."]:
    """The gradient of what is said of each record with respect to that record."""
    at = records.detach().requires_grad_()
    return torch.autograd.grad(critics(at).sum(), at, create_graph=differentiable)[0]


def wasserstein_loss(
    critics: Critics,
    real: Float[Tensor, "count n ..."],
    fake: Float[Tensor, "count n ..."],
    shares: Float[Tensor, "count n"],
    penalty: float,
) -> Float[Tensor, ""]:
    """The sum of all critics' losses with gradient penalty (Gulrajani et al. 2017, equation 3).

        mean D(fake) - mean D(real) + penalty mean (|grad D(mixed)| - 1)^2

    shares: in [0, 1], of the real record in each mixed one.
    """
    weights = shares.view(*shares.shape, *[1] * (real.dim() - 2))
    steep = slopes(critics, torch.lerp(fake, real, weights), differentiable=True)
    # The root's slope is infinite at 0.
    lengths = (steep.flatten(2).square().sum(2) + 1e-12).sqrt()
    gap = critics(fake).mean(1) - critics(real).mean(1)
    found: Tensor = (gap + penalty * (lengths - 1).square().mean(1)).sum()
    return found
