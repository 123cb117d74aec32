"""Multi-formation: several low-resolution images in one slot of the synthetic set.

Kim et al. 2022 (IDC, arXiv 2205.14959, section 3.2): a slot of full size is cut into a grid of
factor x factor tiles, and each tile is enlarged to a full-size image. What is optimised, stored
and counted as one image per class then trains factor**2 images, so that accuracies are not
comparable image by image: every card and comparison says so.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limbeck.errors import OptionError


def check(shape: tuple[int, ...], factor: int) -> None:
    """OptionError where slots of this shape cannot be cut into factor x factor tiles."""
    if factor == 1:
        return
    if len(shape) != 3 or any(side % factor for side in shape[1:]):
        raise OptionError(
            f"formation {factor} needs images whose sides are multiples of {factor}, not records "
            f"of shape {shape}; use formation 1 or resize them"
        )


def decode(slots: Float[Tensor, "n ..."], factor: int) -> Float[Tensor, "m ..."]:
    """The images in the slots, slot by slot and row by row of tiles; differentiable.

    slots (n, c, h, w) gives (n * factor**2, c, h, w).
    """
    if factor == 1:
        return slots
    n, channels, height, width = slots.shape
    tiles = slots.unflatten(3, (factor, -1)).unflatten(2, (factor, -1))
    tiles = tiles.permute(0, 2, 4, 1, 3, 5).reshape(
        n * factor**2, channels, height // factor, width // factor
    )
    # Contiguous: one-channel results can carry channels-last strides, which slow convolutions.
    return F.interpolate(
        tiles, size=(height, width), mode="bilinear", align_corners=False
    ).contiguous()


def encode(images: Float[Tensor, "m ..."], factor: int) -> Float[Tensor, "n ..."]:
    """Slots whose tiles are the images, reduced by averaging; the shapes are those of decode."""
    if factor == 1:
        return images
    small = F.avg_pool2d(images, factor)
    grid = small.unflatten(0, (-1, factor, factor)).permute(0, 3, 1, 4, 2, 5)
    return torch.flatten(torch.flatten(grid, 4, 5), 2, 3).contiguous()
