"""A small class-conditional U-Net: noisy images, how noisy they are, and labels to their noise."""

import itertools
import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck import coins
from limbeck.nn.networks import initialise
from limbeck.nn.networks.layers import blank, convolution, normalisation, pad_to_multiple

_SMALLEST = 4  # pixels of a side below which nothing is halved
_DEEPEST = 3


class UNet(nn.Module):
    """The noise in images (n, c, h, w), given times (n,) and labels (n,); drawn from ``seed``.

    As the denoiser of Ho et al. 2020 (arXiv 2006.11239, appendix B) in small and without attention:
    residual blocks of two 3x3 convolutions with group norm, told the time (by sines) and the label
    between the two; halved up to three times while sides keep 4 pixels, and doubled again beside
    what was there before. ``width``: channels at full size; each halving adds as many.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, *, width: int, seed: int) -> None:
        super().__init__()
        self.width = width
        smallest = min(shape[1:]) // _SMALLEST
        self.halvings = min(_DEEPEST, max(0, smallest.bit_length() - 1))
        known = 4 * width
        self.times = nn.ModuleList([blank(nn.Linear, width, known), blank(nn.Linear, known, known)])
        self.labels = blank(nn.Linear, classes, known, bias=False)
        self.stem = convolution(shape[0], width, 3, padding=1)
        channels = [width * (k + 1) for k in range(self.halvings + 1)]
        self.down = nn.ModuleList(
            _Block(before, after, known)
            for before, after in zip([width, *channels], channels, strict=False)
        )
        self.middle = _Block(channels[-1], channels[-1], known)
        upward = [*channels[::-1], width]
        self.up = nn.ModuleList(
            _Block(2 * before, after, known) for before, after in itertools.pairwise(upward)
        )
        self.norm = normalisation("group", width)
        self.out = convolution(width, shape[0], 3, padding=1)
        initialise(self, coins.generator(seed, "u-net"))
        nn.init.zeros_(self.out.weight)

    def forward(
        self,
        images: Float[Tensor, "n c h w"],
        times: Float[Tensor, " n"],
        labels: Int64[Tensor, " n"],
    ) -> Float[Tensor, "n c h w"]:
        """times: in [0, 1], 1 for nothing but noise."""
        height, width = images.shape[2:]
        classes = self.labels.in_features
        known = self.times[1](F.silu(self.times[0](waves(times, self.width))))
        known = F.silu(known + self.labels(F.one_hot(labels, classes).to(known)))
        x = pad_to_multiple(images, 2**self.halvings)
        top, left = ((b - a) // 2 for a, b in zip((height, width), x.shape[2:], strict=True))
        x = self.stem(x)
        kept = []
        for k, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if k > 0 else x, known)
            kept.append(x)
        x = self.middle(x, known)
        for k, block in enumerate(self.up):
            x = block(torch.cat([x, kept.pop()], 1), known)
            x = F.interpolate(x, scale_factor=2.0) if k < self.halvings else x
        x = self.out(F.silu(self.norm(x)))
        found: Tensor = x[..., top : top + height, left : left + width]
        return found


def waves(times: Float[Tensor, " n"], size: int) -> Float[Tensor, "n size"]:
    """Cosines and sines of the times at ``size`` / 2 frequencies from 1 to 1000, and 0 if odd."""
    half = size // 2
    steps = torch.arange(half, device=times.device) / max(1, half - 1)
    turned = times[:, None] * torch.exp(math.log(1000.0) * steps)
    return F.pad(torch.cat([turned.cos(), turned.sin()], 1), (0, size - 2 * half))


class _Block(nn.Module):
    """Two convolutions beside the identity; what is known scales and shifts the maps between them.

    After the norm, which would take a shift out again.
    """

    def __init__(self, before: int, after: int, known: int) -> None:
        super().__init__()
        self.first_norm = normalisation("group", before)
        self.first = convolution(before, after, 3, padding=1)
        self.told = blank(nn.Linear, known, 2 * after)
        self.second_norm = normalisation("group", after)
        self.second = convolution(after, after, 3, padding=1)
        self.beside = nn.Identity() if before == after else convolution(before, after, 1)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        y = self.first(F.silu(self.first_norm(x)))
        scale, shift = self.told(known)[:, :, None, None].chunk(2, 1)
        y = self.second(F.silu(self.second_norm(y) * (1 + scale) + shift))
        found: Tensor = self.beside(x) + y
        return found
