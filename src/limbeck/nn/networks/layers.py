"""Layers that the networks share: made without global random state, and fast on a CPU."""

import math
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = TypeVar("Layer", bound=nn.Module)
Norm = Literal["instance", "group"]
GROUPS = 4  # of channels, where a network is made with group norm


def blank(layer: type[Layer], *sizes: int, **options: Any) -> Layer:
    """A layer with unset parameters: PyTorch's own would be drawn from global random state.

    torch.nn.utils.skip_init does the same and takes a second to import what it needs.
    """
    made = layer(*sizes, device="meta", **options)
    for name, parameter in list(made.named_parameters(recurse=False)):
        setattr(made, name, nn.Parameter(torch.empty(parameter.shape)))
    return made


class GreyConv2d(nn.Conv2d):
    """A convolution of one-channel images with stride 1: on a CPU, one matrix product.

    Equal to ``nn.Conv2d`` up to the order of sums. PyTorch's own gradients with respect to such a
    layer's weights and to its images take twice to three times as long as these.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Conv2d
        if input.device.type != "cpu":
            return super().forward(input)
        size, padding = int(self.kernel_size[0]), int(self.padding[0])
        patches = F.unfold(input, size, padding=padding)
        kernels = self.weight.flatten(1).expand(len(input), -1, -1)
        start = patches.new_zeros(1) if self.bias is None else self.bias[None, :, None]
        height, width = (side + 2 * padding - size + 1 for side in input.shape[-2:])
        return torch.baddbmm(start, kernels, patches).reshape(
            len(input), self.out_channels, height, width
        )


def convolution(
    inward: int, outward: int, size: int, *, padding: int = 0, stride: int = 1, bias: bool = True
) -> nn.Conv2d:
    """A ``size`` x ``size`` convolution from ``inward`` to ``outward`` channels, blank."""
    kind = GreyConv2d if inward == 1 and stride == 1 else nn.Conv2d
    return blank(kind, inward, outward, kernel_size=size, padding=padding, stride=stride, bias=bias)


def normalisation(kind: Norm, channels: int) -> nn.GroupNorm:
    """Instance norm (a group a channel), or group norm of four groups where four divide them.

    Either is affine and sees one image at a time.
    """
    groups = channels if kind == "instance" else math.gcd(GROUPS, channels)
    return blank(nn.GroupNorm, groups, channels)


def scaled(channels: int, width: int, own: int) -> int:
    """``channels`` of a network whose first layer has ``width`` channels instead of its ``own``."""
    return max(1, round(channels * width / own))


def halvings(shape: tuple[int, ...], most: int) -> int:
    """How often images of ``shape`` can be halved, sides rounded up, and keep 2x2 pixels.

    Instance norm of a single pixel is zero whatever the image: a network that went there would
    learn nothing.
    """
    side = min(shape[1:])
    return max(k for k in range(most + 1) if k == 0 or math.ceil(side / 2**k) >= 2)


def halve(maps: Tensor) -> Tensor:
    """2x2 average pooling as a sum of row pairs and one matrix product.

    On a CPU the same numbers as ``avg_pool2d`` in a quarter of its time forward, and under half
    of it backward.
    """
    n, channels, height, width = maps.shape
    upper, lower = maps.reshape(n, channels, height // 2, 2, width).unbind(3)
    columns = torch.full((2, 1), 0.25, dtype=maps.dtype, device=maps.device)
    pool = torch.kron(torch.eye(width // 2, dtype=maps.dtype, device=maps.device), columns)
    return (upper + lower) @ pool


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Images with zeros around them, up to the next multiple of pixels on each side."""
    height, width = images.shape[-2:]
    extra_rows, extra_columns = -height % multiple, -width % multiple
    if not extra_rows and not extra_columns:
        return images
    top, left = extra_rows // 2, extra_columns // 2
    return F.pad(images, (left, extra_columns - left, top, extra_rows - top))
