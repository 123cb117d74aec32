"""Differentiable siamese augmentation (DSA; Zhao & Bilen 2021, arXiv 2102.08259v2, section 3.2).

``draw`` picks one of the family's transforms and its parameters; the transform it returns is a
value that maps any number of images the same way, differentiably. With ``count=1`` one parameter
serves every image (siamese: real and synthetic sides get the same); with ``count=n`` each of n
images gets its own.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
CROP = 0.125  # largest shift, as a share of the side
CUTOUT = 0.5  # side of the blanked square, as a share of the side
SCALE = 1.2
ROTATE = 15.0  # degrees
# DSA states brightness for pixels of unit standard deviation; pixels in [0, 1] have about 0.3.
PIXEL_SCALE = 0.3


@dataclass(frozen=True, eq=False)
class Transform:
    """One transform with its coins: ``coins`` holds (count, k) uniforms in [0, 1]."""

    name: str
    coins: Float[Tensor, "count k"]

    def __call__(self, images: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """The transformed images; differentiable with respect to them."""
        if self.name == "identity":
            return images
        return _TRANSFORMS[self.name](images, self.coins.to(images.device))


def identity() -> Transform:
    """The transform that changes nothing; also what records that are no images get."""
    return Transform("identity", torch.zeros(1, 1))


def draw(
    generator: torch.Generator, shape: tuple[int, ...], *, mirror: bool, count: int = 1
) -> Transform:
    """One of the family's transforms for records of ``shape``, drawn from a CPU ``generator``.

    mirror: whether left-right flips keep the label (never for digits); without it no flip is drawn.
    """
    if len(shape) != 3:
        return identity()
    names = [n for n in _TRANSFORMS if mirror or n != "flip"]
    name = names[int(torch.randint(len(names), (), generator=generator))]
    return Transform(name, torch.rand(count, 3, generator=generator))


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _colour(images: Tensor, coins: Tensor) -> Tensor:
    bright, saturate, contrast = coins.unbind(1)
    x = images + _per_image((bright - 0.5) * BRIGHTNESS * PIXEL_SCALE)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * _per_image(saturate * SATURATION) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * _per_image(contrast + CONTRAST) + mean


def _offsets(coins: Tensor, reach: int) -> Tensor:
    # 2 * reach + 1 equally likely integer shifts; the clamp covers a uniform of exactly 1.
    return (coins * (2 * reach + 1)).floor().clamp(max=2 * reach).long() - reach


def _crop(images: Tensor, coins: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    down = _offsets(coins[:, 0], round(height * CROP))
    right = _offsets(coins[:, 1], round(width * CROP))
    rows = torch.arange(height, device=images.device) + down[:, None]
    columns = torch.arange(width, device=images.device) + right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & (
        (columns >= 0) & (columns < width)
    )[:, None, None, :]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    if len(coins) == 1:
        moved = images[:, :, rows[0]][:, :, :, columns[0]]
    else:
        n = torch.arange(len(images), device=images.device)[:, None, None]
        moved = images[n, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return moved * inside


def _cutout(images: Tensor, coins: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    # The square's centre is uniform over the image, so it may hang over the edge.
    middle_row = (coins[:, 0] * height).floor()[:, None]
    middle_column = (coins[:, 1] * width).floor()[:, None]
    reach_rows, reach_columns = round(height * CUTOUT) / 2, round(width * CUTOUT) / 2
    hit_rows = (rows - middle_row >= -reach_rows) & (rows - middle_row < reach_rows)
    hit_columns = (columns - middle_column >= -reach_columns) & (
        columns - middle_column < reach_columns
    )
    return images * ~(hit_rows[:, None, :, None] & hit_columns[:, None, None, :])


def _flip(images: Tensor, coins: Tensor) -> Tensor:
    return torch.where(_per_image(coins[:, 0] < 0.5), images.flip(-1), images)


def _resample(images: Tensor, matrices: Tensor) -> Tensor:
    grid = F.affine_grid(matrices, [len(matrices), *images.shape[1:]], align_corners=False)
    if len(matrices) == 1:
        grid = grid.expand(len(images), -1, -1, -1)
    # Contiguous: one-channel results can carry channels-last strides, which slow convolutions.
    return F.grid_sample(images, grid.to(images.dtype), align_corners=False).contiguous()


def _affine(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    zero = torch.zeros_like(a)
    return torch.stack([torch.stack([a, b, zero], 1), torch.stack([c, d, zero], 1)], 1)


def _scale(images: Tensor, coins: Tensor) -> Tensor:
    factors = 1 / SCALE + coins * (SCALE - 1 / SCALE)
    zero = torch.zeros_like(factors[:, 0])
    return _resample(images, _affine(factors[:, 0], zero, zero, factors[:, 1]))


def _rotate(images: Tensor, coins: Tensor) -> Tensor:
    angle = (coins[:, 0] - 0.5) * 2 * math.radians(ROTATE)
    return _resample(images, _affine(angle.cos(), -angle.sin(), angle.sin(), angle.cos()))


_TRANSFORMS = {
    "colour": _colour,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
}
