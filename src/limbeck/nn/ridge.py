"""Ridge regression in its dual form: from kernel blocks to predictions and their error."""

import torch
from jaxtyping import Float
from torch import Tensor


def ridge_dual(
    kernel: Float[Tensor, "*runs s s"], targets: Float[Tensor, "*runs s c"], ridge: float
) -> Float[Tensor, "*runs s c"]:
    """The coefficients (K + lambda I)^-1 targets, with lambda = ridge * trace(K) / s.

    Predictions at other records are their kernel with the ``s`` records, times the coefficients.
    ``ridge`` must be well above the rounding error of the kernel, of relative size 1e-7 in float32
    and 1e-16 in float64, times s. Differentiable.
    """
    shift = ridge * kernel.diagonal(dim1=-2, dim2=-1).mean(-1)
    system = kernel.clone()  # 20,000 records are 3 GB: no more copies than needed
    system.diagonal(dim1=-2, dim2=-1).add_(shift[..., None])
    return torch.cholesky_solve(targets, torch.linalg.cholesky(system))


def ridge_loss(
    kernel: Float[Tensor, "*runs s s"],
    across: Float[Tensor, "*runs t s"],
    targets: Float[Tensor, "*runs s c"],
    wanted: Float[Tensor, "*runs t c"],
    ridge: float,
) -> Float[Tensor, "*runs"]:
    """Half the mean squared error at ``t`` records of the regression solved on ``s`` others.

        1 / (2 t) * | wanted - across (kernel + lambda I)^-1 targets |^2

    This is KIP's loss (Nguyen et al. 2021, arXiv 2011.00050v3, eq. 7) as a mean over the ``t``
    records. The solution is computed in the precision of ``kernel``, the rest in that of
    ``across``.
    """
    dual = ridge_dual(kernel, targets.to(kernel), ridge)
    missed = wanted - across @ dual.to(across)
    return missed.square().sum(-1).mean(-1) / 2
