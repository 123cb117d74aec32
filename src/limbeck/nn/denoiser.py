"""A small class-conditional U-Net: noisy images, how noisy they are, and labels to their noise."""

import math

import torch
from diffusers import UNet2DModel
from jaxtyping import Float, Int64
from torch import Tensor, nn

from limbeck import coins
from limbeck.nn.networks import initialise
from limbeck.nn.networks.layers import GROUPS, pad_to_multiple

_SMALLEST = 4  # pixels of a side below which nothing is halved
_DEEPEST = 3


class Denoiser(nn.Module):
    """The noise in images (n, c, h, w), given times (n,) and labels (n,); drawn from ``seed``.

    The U-Net of ``diffusers`` in small: the denoiser of Ho et al. 2020 (arXiv 2006.11239, appendix
    B) without attention, one residual block a level on the way down and two on the way up, whose
    maps times and labels scale and shift. Halved up to three times while sides keep 4 pixels;
    sides that cannot be halved so often are padded. ``width``: channels at full size; each
    halving adds as many.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, *, width: int, seed: int) -> None:
        super().__init__()
        smallest = min(shape[1:]) // _SMALLEST
        halvings = min(_DEEPEST, max(0, smallest.bit_length() - 1))
        self.multiple = 2**halvings
        # Weights are drawn below: diffusers would draw them from global random state.
        with torch.device("meta"):
            blank = UNet2DModel(
                in_channels=shape[0],
                out_channels=shape[0],
                block_out_channels=tuple(width * (k + 1) for k in range(halvings + 1)),
                down_block_types=("DownBlock2D",) * (halvings + 1),
                mid_block_type=None,
                up_block_types=("UpBlock2D",) * (halvings + 1),
                layers_per_block=1,
                norm_num_groups=math.gcd(GROUPS, width),
                # After the norm, which would take out again what is merely added before it.
                resnet_time_scale_shift="scale_shift",
                num_class_embeds=classes,
            )
        self.unet = blank.to_empty(device="cpu")
        drawn = coins.generator(seed, "u-net")
        initialise(self.unet, drawn)
        nn.init.normal_(self.unet.class_embedding.weight, generator=drawn)
        nn.init.zeros_(self.unet.conv_out.weight)

    def forward(
        self,
        images: Float[Tensor, "n c h w"],
        times: Int64[Tensor, " n"],
        labels: Int64[Tensor, " n"],
    ) -> Float[Tensor, "n c h w"]:
        """times: from 0, the first time at which there is noise."""
        height, width = images.shape[2:]
        padded = pad_to_multiple(images, self.multiple)
        top, left = ((b - a) // 2 for a, b in zip((height, width), padded.shape[2:], strict=True))
        whole = self.unet(padded, times, labels).sample
        found: Tensor = whole[..., top : top + height, left : left + width]
        return found
