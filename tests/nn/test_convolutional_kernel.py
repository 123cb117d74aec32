"""The convolutional tangent kernel against the full recursion and a wide random network."""

import math
from itertools import product as pairs_of

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import OptionError
from limbeck.nn import kernels
from limbeck.nn.kernels import BIAS_STD, WEIGHT_STD, convolutional_ntk


def relu_moments(xx: float, xy: float, yy: float) -> tuple[float, float]:
    theta = math.acos(max(-1.0, min(1.0, xy / math.sqrt(xx * yy))))
    first = math.sqrt(xx * yy) * (math.sin(theta) + (math.pi - theta) * math.cos(theta))
    return first / (2 * math.pi), (math.pi - theta) / (2 * math.pi)


def slow_ntk(x: Tensor, y: Tensor, depth: int, weight: float, bias: float) -> float:
    """One pair of images, by the recursion over ALL pairs of pixels, in plain floats."""
    channels, height, width = x.shape
    pixels = list(pairs_of(range(height), range(width)))

    def patches(values: dict, p: tuple, q: tuple) -> float:
        """Mean over the 3x3 patches around p and q of the covariances of matching positions."""
        near = pairs_of((-1, 0, 1), repeat=2)
        shifted = (((p[0] + a, p[1] + b), (q[0] + a, q[1] + b)) for a, b in near)
        return sum(values.get(key, 0.0) for key in shifted) / 9

    def raw(a: Tensor, b: Tensor) -> dict:
        return {(p, q): float(a[:, *p] @ b[:, *q]) / channels for p in pixels for q in pixels}

    def convolve(values: dict, bias: float = bias) -> dict:
        return {key: weight**2 * patches(values, *key) + bias**2 for key in values}

    xx, xy, yy = convolve(raw(x, x)), convolve(raw(x, y)), convolve(raw(y, y))
    tangent = xy
    for layer in range(depth):
        moments = {(p, q): relu_moments(xx[p, p], xy[p, q], yy[q, q]) for p, q in xy}
        gated = {key: moments[key][1] * tangent[key] for key in xy}
        if layer + 1 == depth:
            diagonal = sum(moments[p, p][0] + gated[p, p] for p in pixels)
            return weight**2 * diagonal / len(pixels) + bias**2
        own = [{(p, q): relu_moments(v[p, p], v[p, q], v[q, q])[0] for p, q in v} for v in (xx, yy)]
        xy = convolve({key: first for key, (first, _) in moments.items()})
        xx, yy = (convolve(values) for values in own)
        passed = convolve(gated, bias=0.0)
        tangent = {key: xy[key] + passed[key] for key in xy}
    raise AssertionError


def images(n: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(("depth", "channels"), [(1, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize(("weight", "bias"), [(WEIGHT_STD, BIAS_STD), (1.3, 0.7)])
def test_equals_the_recursion_over_all_pixel_pairs(depth, channels, weight, bias):
    x = images(3, (channels, 3, 4), seed=depth)
    found = convolutional_ntk(x, x[1:], depth=depth, weight_std=weight, bias_std=bias)
    slow = [[slow_ntk(a, b, depth, weight, bias) for b in x[1:]] for a in x]
    # At identical images the plain angle is the root of a rounding error.
    torch.testing.assert_close(found, torch.tensor(slow, dtype=torch.float64), rtol=0, atol=1e-6)


def empirical_ntk(x: Tensor, depth: int, width: int, seed: int) -> Tensor:
    """Inner products of parameter gradients of one random network in NTK parametrisation."""
    generator = torch.Generator().manual_seed(seed)
    parameters = []

    def draw(*shape: int) -> Tensor:
        parameters.append(torch.randn(*shape, generator=generator).requires_grad_())
        return parameters[-1]

    maps, channels = x, x.shape[1]
    for _ in range(depth):
        weights = draw(width, channels, 3, 3) * WEIGHT_STD / math.sqrt(9 * channels)
        maps = F.conv2d(maps, weights, BIAS_STD * draw(width), padding=1).relu()
        channels = width
    flat = maps.flatten(1)
    out = WEIGHT_STD * flat @ draw(flat.shape[1]) / math.sqrt(flat.shape[1]) + BIAS_STD * draw(1)
    gradients = [
        torch.cat([g.flatten() for g in torch.autograd.grad(o, parameters, retain_graph=True)])
        for o in out
    ]
    stacked = torch.stack(gradients)
    return stacked @ stacked.T


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_equals_the_tangent_kernel_of_a_wide_network(depth):
    x = images(4, (2, 5, 4), seed=1)
    width, draws = 256, 6
    sampled = torch.stack([empirical_ntk(x.float(), depth, width, s) for s in range(draws)])
    exact = convolutional_ntk(x, x, depth=depth).float()
    error = (sampled.mean(0) - exact).norm() / exact.norm()
    assert error < 1.2 * depth / math.sqrt(width * draws)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [0.0, BIAS_STD])
def test_gradients_are_finite_at_equal_opposite_and_zero_images(dtype, bias):
    first = images(1, (1, 5, 5), seed=2).to(dtype)
    x = torch.cat([first, first, -first, 2 * first, torch.zeros_like(first)]).requires_grad_()
    kernel = convolutional_ntk(x, x, depth=3, bias_std=bias)
    kernel.square().sum().backward()
    assert torch.isfinite(kernel).all()
    assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0


def test_gradients_equal_finite_differences():
    x, y = (images(n, (2, 3, 3), seed=n).requires_grad_() for n in (3, 2))
    assert torch.autograd.gradcheck(lambda a, b: convolutional_ntk(a, b, depth=2), (x, y))


def test_blocks_equal_the_whole_in_values_and_gradients(monkeypatch):
    def both(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        kernel = convolutional_ntk(x, y, depth=2)
        return (kernel.detach(), *torch.autograd.grad(kernel.square().sum(), (x, y)))

    x, y = (images(n, (1, 4, 4), seed=n).requires_grad_() for n in (5, 7))
    whole = both(x, y)
    calls = []
    original = kernels._convolutional_block
    monkeypatch.setattr(kernels, "_convolutional_block", lambda *a: calls.append(1) or original(*a))
    monkeypatch.setattr(kernels, "_BLOCK", 16 * 3)  # three columns and one row at a time
    in_blocks = both(x, y)
    assert len(calls) == 2 * 5 * 3, "each block once forwards and once more backwards"
    for one, other in zip(in_blocks, whole, strict=True):
        torch.testing.assert_close(one, other)


def test_batches_equal_one_by_one():
    x = images(6, (1, 4, 3)).unflatten(0, (2, 3))
    together = convolutional_ntk(x, x[:, :2], depth=2)
    alone = torch.stack([convolutional_ntk(each, each[:2], depth=2) for each in x])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("depth", [0, 4])
def test_other_depths_are_refused(depth):
    x = images(1, (1, 3, 3))
    with pytest.raises(OptionError, match="1 to 3"):
        convolutional_ntk(x, x, depth=depth)
