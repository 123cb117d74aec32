"""The exact neural tangent kernel of infinitely wide fully connected ReLU networks."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import OptionError

WEIGHT_STD = math.sqrt(2.0)
BIAS_STD = 0.1


def fully_connected_ntk(
    x: Float[Tensor, "*batch n d"],
    y: Float[Tensor, "*batch m d"],
    *,
    depth: int = 2,
    weight_std: float = WEIGHT_STD,
    bias_std: float = BIAS_STD,
) -> Float[Tensor, "*batch n m"]:
    """Neural tangent kernel between the rows of ``x`` and of ``y``.

    depth: hidden ReLU layers, 1 to 4; a network of depth L has L + 1 weight matrices.
    weight_std, bias_std: of the entries, in NTK parametrisation (weights divided by the root of
        the fan-in); the defaults are those of KIP (Nguyen et al. 2021, arXiv 2011.00050v3, app. B).

    The recursion is Jacot et al. 2018 (arXiv 1806.07572v4, theorem 1) with the ReLU expectations
    of Cho & Saul 2009 (eqs. 3 and 6, orders 0 and 1). Differentiable in both arguments. The kernel
    has a kink where two rows point the same way; its derivative across the kink is taken as zero,
    so gradients stay finite at identical rows. Computed in the precision of ``x``: float32 loses
    half of its digits in the angle between nearly parallel rows. Raises OptionError for a depth
    outside 1 to 4.
    """
    if not 1 <= depth <= 4:
        raise OptionError(f"the kernel's depth must be 1 to 4 hidden layers, not {depth}")
    weight, bias = weight_std**2, bias_std**2
    scale = weight / x.shape[-1]
    # Covariances of the pre-activations: every pair, and each row with itself.
    pairs = scale * (x @ y.mT) + bias
    own_x = scale * x.square().sum(-1) + bias
    own_y = scale * y.square().sum(-1) + bias
    tangent = pairs
    for _ in range(depth):
        lengths = _root(own_x)[..., :, None] * _root(own_y)[..., None, :]
        cosine, angle = _angle(pairs / lengths)
        turned = (math.pi - angle) / (2 * math.pi)  # E[relu'(u) relu'(v)]
        product = lengths * (angle.sin() / (2 * math.pi) + turned * cosine)  # E[relu(u) relu(v)]
        pairs = weight * product + bias
        tangent = pairs + weight * turned * tangent
        own_x = weight * own_x / 2 + bias
        own_y = weight * own_y / 2 + bias
    return tangent


def _root(variances: Tensor) -> Tensor:
    # A row of zeros without biases has variance 0, where the root has no derivative.
    return variances.clamp_min(torch.finfo(variances.dtype).tiny ** 0.5).sqrt()


def _angle(cosine: Tensor) -> tuple[Tensor, Tensor]:
    """The cosine within [-1, 1] and its angle; constant, not NaN, in gradients where parallel."""
    parallel = cosine.abs() > 1 - 4 * torch.finfo(cosine.dtype).eps
    inside = torch.where(parallel, 0.0, cosine)
    angle = torch.where(parallel, (cosine < 0) * math.pi, inside.acos())
    return cosine.clamp(-1, 1), angle
