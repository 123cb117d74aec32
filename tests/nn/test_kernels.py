"""The tangent kernel against a scalar recursion, a wide random network, and its own gradients."""

import math

import pytest
import torch
from torch import Tensor

from limbeck.errors import OptionError
from limbeck.nn.kernels import BIAS_STD, WEIGHT_STD, fully_connected_ntk


def scalar_ntk(x: list[float], y: list[float], depth: int, weight: float, bias: float) -> float:
    """One pair of rows, by the textbook recursion in plain floats."""

    def covariance(a: list[float], b: list[float]) -> float:
        return weight**2 * sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + bias**2

    xx, yy, xy = covariance(x, x), covariance(y, y), covariance(x, y)
    tangent = xy
    for _ in range(depth):
        theta = math.acos(max(-1.0, min(1.0, xy / math.sqrt(xx * yy))))
        first = math.sqrt(xx * yy) * (math.sin(theta) + (math.pi - theta) * math.cos(theta))
        xy = weight**2 * first / (2 * math.pi) + bias**2
        tangent = tangent * weight**2 * (math.pi - theta) / (2 * math.pi) + xy
        xx, yy = weight**2 * xx / 2 + bias**2, weight**2 * yy / 2 + bias**2
    return tangent


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize(("weight", "bias"), [(WEIGHT_STD, BIAS_STD), (1.3, 0.7)])
def test_equals_the_scalar_recursion(depth: int, weight: float, bias: float) -> None:
    rows = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(depth))
    kernel = fully_connected_ntk(rows, rows[1:], depth=depth, weight_std=weight, bias_std=bias)
    slow = [
        [scalar_ntk(x, y, depth, weight, bias) for y in rows[1:].tolist()] for x in rows.tolist()
    ]
    # At identical rows the scalar angle is the root of a rounding error.
    torch.testing.assert_close(kernel, torch.tensor(slow, dtype=torch.float64), rtol=0, atol=1e-6)


def empirical_ntk(rows: Tensor, depth: int, width: int, seed: int) -> Tensor:
    """Inner products of parameter gradients of one random network in NTK parametrisation."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [rows.shape[1], *[width] * depth]
    activation, before, inner = rows, [], []
    for fan_in in sizes:
        out = 1 if len(before) == depth else width
        weights = torch.randn(fan_in, out, generator=generator)
        bias = torch.randn(out, generator=generator)
        inner.append(WEIGHT_STD**2 * activation @ activation.T / fan_in + BIAS_STD**2)
        hidden = WEIGHT_STD * activation @ weights / fan_in**0.5 + BIAS_STD * bias
        before.append(hidden.requires_grad_())
        activation = hidden.relu()
    deltas = torch.autograd.grad(before[-1].sum(), before)
    # A layer's gradient is an outer product, so its inner products factorise.
    return sum((d @ d.T) * k for d, k in zip(deltas, inner, strict=True)).detach()  # type: ignore[union-attr]


@pytest.mark.parametrize("depth", [1, 2])
def test_equals_the_tangent_kernel_of_a_wide_network(depth: int) -> None:
    rows = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    width, draws = 4096, 4
    sampled = torch.stack([empirical_ntk(rows, depth, width, seed) for seed in range(draws)])
    exact = fully_connected_ntk(rows.double(), rows.double(), depth=depth).float()
    # Relative sampling error of a mean over width x draws units is of order depth / 128.
    error = (sampled.mean(0) - exact).norm() / exact.norm()
    assert error < 3 * depth / math.sqrt(width * draws)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [0.0, BIAS_STD])
def test_gradients_are_finite_at_equal_opposite_and_zero_rows(
    dtype: torch.dtype, bias: float
) -> None:
    first = torch.randn(1, 8, dtype=dtype, generator=torch.Generator().manual_seed(2))
    rows = torch.cat([first, first, -first, 2 * first, torch.zeros(1, 8, dtype=dtype)])
    rows.requires_grad_()
    kernel = fully_connected_ntk(rows, rows, depth=3, bias_std=bias)
    kernel.square().sum().backward()
    assert torch.isfinite(kernel).all()
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()
    assert rows.grad.abs().max() > 0


def test_gradients_equal_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    y = torch.randn(2, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: fully_connected_ntk(a, b, depth=2), (x, y))


def test_batches_equal_one_by_one() -> None:
    x = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    together = fully_connected_ntk(x, x[:, :2])
    alone = torch.stack([fully_connected_ntk(each, each[:2]) for each in x])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("depth", [0, 5])
def test_other_depths_are_refused(depth: int) -> None:
    with pytest.raises(OptionError, match="1 to 4"):
        fully_connected_ntk(torch.ones(1, 2), torch.ones(1, 2), depth=depth)
