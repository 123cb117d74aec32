"""Public images made of nothing: random shapes with edges, shades and stripes.

They stand in for natural images wherever a choice must not depend on private ones: which
directions of a feature space vary, and in which proportion.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

LAYERS = 6
"""Shapes laid over each other in an image, at most."""


def shapes(
    count: int, shape: tuple[int, ...], generator: torch.Generator
) -> Float[Tensor, "count c h w"]:
    """Images of shape (c, h, w), values in [0, 1], every one with coins of its own.

    A dark or grey ground, and over it up to six shapes, the later ones over the earlier: each
    bounded by an ellipse of some power and by up to three straight cuts, shaded from one side to
    the other, and striped now and then. Half of the images are mirror symmetric.
    """
    channels, height, width = shape
    rows = (torch.arange(height) + 0.5) / height * 2 - 1
    columns = (torch.arange(width) + 0.5) / width * 2 - 1
    y, x = (side[None] for side in torch.meshgrid(rows, columns, indexing="ij"))
    edge = 2.0 / max(height, width)

    def uniform(low: float, high: float, *size: int) -> Tensor:
        drawn = torch.rand(count, *(size or (1, 1)), generator=generator)
        return low + (high - low) * drawn

    mirrored = uniform(0.0, 1.0) < 0.5
    x = torch.where(mirrored, x.abs(), x)
    images = (uniform(-0.6, 0.6).clamp(min=0))[:, None].expand(-1, channels, height, width)
    layers = 1 + (uniform(0.0, 1.0) * LAYERS).floor()
    for layer in range(LAYERS):
        middle_x = torch.where(mirrored, uniform(-0.2, 0.4), uniform(-0.6, 0.6))
        turn = uniform(0.0, math.pi) * (uniform(0.0, 1.0) < 0.5)
        u, v = x - middle_x, y - uniform(-0.6, 0.6)
        u, v = u * turn.cos() + v * turn.sin(), v * turn.cos() - u * turn.sin()
        power = uniform(1.2, 6.0)
        size_u, size_v = uniform(-2.5, 0.2).exp(), uniform(-2.5, 0.2).exp()
        inside = 1 - ((u / size_u).abs() ** power + (v / size_v).abs() ** power) ** (1 / power)
        inside = inside * torch.minimum(size_u, size_v)
        for _ in range(3):
            angle, offset = uniform(0.0, 2 * math.pi), uniform(-0.1, 1.2)
            inside = torch.minimum(inside, offset - u * angle.cos() - v * angle.sin())
        cover = torch.sigmoid(inside / (edge * uniform(0.1, 0.6))) * (layer < layers)
        angle, frequency = uniform(0.0, math.pi), uniform(4.0, 30.0)
        stripes = (frequency * (u * angle.cos() + v * angle.sin()) + uniform(0.0, 6.3)).sin()
        striped = uniform(-0.4, 0.4).clamp(min=0) * stripes
        shade = uniform(-0.4, 0.4) * u + uniform(-0.4, 0.4) * v + striped
        colour = uniform(0.0, 1.0, 1, 1, 1) + uniform(-0.2, 0.2, channels, 1, 1) * (channels > 1)
        images = images + cover[:, None] * (colour + shade[:, None] - images)
    return images.clamp(0, 1).contiguous()
