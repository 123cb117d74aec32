"""The exact neural tangent kernels of infinitely wide ReLU networks."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import OptionError

WEIGHT_STD = math.sqrt(2.0)
BIAS_STD = 0.1
_BLOCK = 1 << 18  # covariances held at once by the convolutional kernel: a CPU's cache, about


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
    own_x = scale * _squares(x)[..., :, None] + bias
    own_y = scale * _squares(y)[..., None, :] + bias
    tangent = pairs
    start = torch.full((), bias, dtype=pairs.dtype, device=pairs.device)
    for _ in range(depth):
        lengths, product, turned = _relu_moments(pairs, own_x, own_y)
        pairs = torch.addcmul(start, lengths, product, value=weight)
        tangent = torch.addcmul(pairs, turned, tangent, value=weight)
        own_x = weight * own_x / 2 + bias
        own_y = weight * own_y / 2 + bias
    return tangent


def convolutional_ntk(
    x: Float[Tensor, "*batch n c h w"],
    y: Float[Tensor, "*batch m c h w"],
    *,
    depth: int = 2,
    weight_std: float = WEIGHT_STD,
    bias_std: float = BIAS_STD,
) -> Float[Tensor, "*batch n m"]:
    """Neural tangent kernel of a convolutional network between the images ``x`` and ``y``.

    The network: ``depth`` (1 to 3) times a 3x3 convolution (zero padding, stride 1) and ReLU, then
    all pixels flattened into a linear read-out; no pooling. weight_std, bias_std: as in
    ``fully_connected_ntk``, the fan-in of a convolution being 9 times its channels.

    The recursion is Arora et al. 2019 (arXiv 1904.11955, section 4). Because a flattened read-out
    weighs every pixel on its own, only covariances of equal pixel positions are needed (Novak et
    al. 2019, arXiv 1810.05148, section 3): time O(n m h w depth). Pairs are taken in blocks, which
    are computed again in the backward pass, so that memory does not grow with n or m. Derivatives
    and precision as in ``fully_connected_ntk``. Raises OptionError for a depth outside 1 to 3.
    """
    if not 1 <= depth <= 3:
        raise OptionError(f"the kernel's depth must be 1 to 3 convolutions, not {depth}")
    pixels = math.prod(y.shape[:-4]) * y.shape[-2] * y.shape[-1]
    columns = min(y.shape[-4], max(1, _BLOCK // pixels))
    rows = max(1, _BLOCK // (pixels * columns))

    def block(a: Tensor, b: Tensor) -> Tensor:
        found: Tensor = _Block.apply(  # type: ignore[no-untyped-call]
            a, b, depth, weight_std**2, bias_std**2
        )
        return found

    across = y.split(columns, dim=-4)
    return torch.cat(
        [torch.cat([block(a, b) for b in across], -1) for a in x.split(rows, dim=-4)], -2
    )


class _Block(torch.autograd.Function):
    """``_convolutional_block``, computed again where its gradient is asked for, to hold nothing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, depth: int, weight: float, bias: float) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.network = depth, weight, bias
        return _convolutional_block(x, y, depth, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[:2]
        with torch.enable_grad():
            sides = [
                side.detach().requires_grad_(want)
                for side, want in zip(ctx.saved_tensors, wanted, strict=True)
            ]
            kernel = _convolutional_block(*sides, *ctx.network)
        found = iter(torch.autograd.grad(kernel, [s for s in sides if s.requires_grad], gradient))
        return *(next(found) if want else None for want in wanted), None, None, None


def _convolutional_block(x: Tensor, y: Tensor, depth: int, weight: float, bias: float) -> Tensor:
    # Pixels come first, (*batch, h, w, n, m): sums over neighbours then add whole slabs.
    x = x.movedim((-4, -3), (-2, -1)).contiguous()
    y = y.movedim(-4, -1).movedim(-4, -2).contiguous()  # (*batch, h, w, c, m)
    scale = weight / x.shape[-1]
    pairs = _convolve(x @ y, scale, bias)
    own_x = _convolve(x.square().sum(-1, keepdim=True), scale, bias)
    own_y = _convolve(y.square().sum(-2, keepdim=True), scale, bias)
    tangent = pairs
    for _ in range(depth - 1):
        lengths, product, turned = _relu_moments(pairs, own_x, own_y)
        pairs = _convolve(lengths * product, weight, bias)
        tangent = pairs + _convolve(turned * tangent, weight, 0.0)
        own_x = _convolve(own_x, weight / 2, bias)
        own_y = _convolve(own_y, weight / 2, bias)
    lengths, product, turned = _relu_moments(pairs, own_x, own_y)
    return weight * (lengths * product + turned * tangent).mean((-4, -3)) + bias


def _relu_moments(pairs: Tensor, own_x: Tensor, own_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two factors of E[relu(u) relu(v)], and E[relu'(u) relu'(v)], for Gaussian u and v.

    pairs, own_x, own_y: their covariances and variances; these broadcast to the shape of pairs.
    """
    lengths = _root(own_x) * _root(own_y)
    product: Tensor
    turned: Tensor
    product, turned = _ArcCosine.apply(pairs / lengths)  # type: ignore[no-untyped-call]
    return lengths, product, turned


def _squares(rows: Tensor) -> Tensor:
    # The norm is one pass over the rows; their squares would be written down first.
    norms: Tensor = torch.linalg.vector_norm(rows, dim=-1)
    return norms.square()


def _root(variances: Tensor) -> Tensor:
    # A row of zeros without biases has variance 0, where the root has no derivative.
    return variances.clamp_min(torch.finfo(variances.dtype).tiny ** 0.5).sqrt()


class _ArcCosine(torch.autograd.Function):
    """(sin t + (pi - t) cos t) / 2pi and (pi - t) / 2pi, given cos t, for the angle t in [0, pi].

    Written out because the first one's derivative is the second one, which spares the backward
    pass time and memory, and because that of the second one is infinite at parallel rows, where
    zero is taken instead.
    """

    # In place where possible: new memory costs a CPU more than this arithmetic.
    @staticmethod
    def forward(ctx: Any, cosine: Tensor) -> tuple[Tensor, Tensor]:
        # Stretched by its own rounding error: what is parallel but for that is exactly parallel.
        cosine = cosine.mul(1 + 4 * torch.finfo(cosine.dtype).eps).clamp_(-1, 1)
        sine = cosine.square().neg_().add_(1).sqrt_()
        turned = cosine.acos().mul_(-0.5 / math.pi).add_(0.5)
        product = cosine.mul_(turned).add_(sine, alpha=0.5 / math.pi)
        ctx.save_for_backward(turned, sine)
        return product, turned

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, to_product: Tensor, to_turned: Tensor) -> Tensor:
        turned, sine = ctx.saved_tensors
        # 1 / sine, and zero where the sine is.
        slope = sine / sine.square().clamp_min_(torch.finfo(sine.dtype).tiny)
        slope.mul_(to_turned).mul_(0.5 / math.pi)
        gradient: Tensor = slope.addcmul_(to_product, turned)
        return gradient


class _Convolve(torch.autograd.Function):
    """factor * (mean over 3x3 pixels, zeros beyond the edges) + bias; but for bias self-adjoint.

    Shape (*batch, h, w, n, m), pixels on the axes -4 and -3.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, factor: float, bias: float) -> Tensor:
        ctx.factor = factor
        for axis in (-4, -3):
            size = maps.shape[axis] - 1
            total = maps.clone()
            total.narrow(axis, 1, size).add_(maps.narrow(axis, 0, size))
            total.narrow(axis, 0, size).add_(maps.narrow(axis, 1, size))
            maps = total
        return maps.mul_(factor / 9).add_(bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _convolve(gradient, ctx.factor, 0.0), None, None


def _convolve(maps: Tensor, factor: float, bias: float) -> Tensor:
    found: Tensor = _Convolve.apply(maps, factor, bias)  # type: ignore[no-untyped-call]
    return found
