"""Order-2 wavelet scattering: features of images that need no training and no data.

Moduli of wavelet coefficients, smoothed and kept on a coarse grid; and the same of those moduli.
They change little when a shape is shifted or bent a little, which is why a linear classifier on
them does well [Bruna and Mallat 2013, arXiv:1203.1513]; with noisy sums of them, private learning
does too [Tramer and Boneh 2021, arXiv:2011.11660].
"""

import math
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limbeck.nn.networks.base import require_images

ORIENTATIONS = 8
_SIZE = 7  # pixels on a side of a wavelet
_CELLS = 8  # the coarse grid has at most so many cells on a side
# The finest Morlet wavelet of Bruna and Mallat's filters: frequency, width, elongation.
_FREQUENCY, _SIGMA, _SLANT = 3 * math.pi / 4, 0.8, 4 / ORIENTATIONS


class Scattering:
    """Features of images of shape (c, h, w), of two scales and eight orientations.

    For each channel the smoothed image, the smoothed moduli of its wavelet coefficients at both
    scales, and those of the finer moduli at the coarser scale: 81 maps at a quarter of the image's
    resolution, averaged to at most 8x8 cells. 28x28 pixels give 81 x 7 x 7 = 3,969 features.
    """

    def __init__(self, shape: tuple[int, ...], device: str = "cpu") -> None:
        require_images(shape, "scattering", at_least=8)
        self._filters = _morlets().to(device)
        self.features = self(torch.zeros(1, *shape, device=device)).shape[1]

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features of each image; differentiable, and 0 for a black image."""
        n, channels = images.shape[:2]
        grey = images.reshape(n * channels, 1, *images.shape[2:])
        fine = _down(self._moduli(grey))
        half = _down(grey)
        coarse = self._moduli(half)
        second = self._moduli(fine.reshape(-1, 1, *fine.shape[2:]))
        second = second.reshape(len(fine), ORIENTATIONS**2, *fine.shape[2:])
        maps = _down(torch.cat([half, fine, coarse, second], 1))
        if max(maps.shape[2:]) > _CELLS:
            rows, columns = (min(side, _CELLS) for side in maps.shape[2:])
            maps = F.adaptive_avg_pool2d(maps, (rows, columns))
        return maps.reshape(n, -1)

    def _moduli(self, grey: Float[Tensor, "m 1 h w"]) -> Float[Tensor, "m k h w"]:
        waves = F.conv2d(grey, self._filters, padding=_SIZE // 2)
        real, imaginary = waves.chunk(2, 1)
        # Nudged away from the root's kink at 0, and back: 0 stays 0.
        return (real.square() + imaginary.square() + 1e-12).sqrt() - 1e-6


def _morlets() -> Float[Tensor, "filters 1 size size"]:
    """Real parts, then imaginary parts, of the wavelets of one scale; each sums to 0."""
    reach = _SIZE // 2
    rows, columns = torch.meshgrid(
        torch.arange(-reach, reach + 1.0), torch.arange(-reach, reach + 1.0), indexing="ij"
    )
    made = []
    for k in range(ORIENTATIONS):
        angle = k * math.pi / ORIENTATIONS
        along = columns * math.cos(angle) + rows * math.sin(angle)
        across = rows * math.cos(angle) - columns * math.sin(angle)
        bell = torch.exp(-(along**2 + (_SLANT * across) ** 2) / (2 * _SIGMA**2))
        wave = bell * torch.exp(1j * _FREQUENCY * along)
        wave = wave - bell * (wave.sum() / bell.sum())
        made.append(wave * _SLANT / (2 * math.pi * _SIGMA**2))
    filters = torch.stack(made)
    return torch.cat([filters.real, filters.imag])[:, None].float()


def _down(maps: Float[Tensor, "n k h w"]) -> Float[Tensor, "n k r s"]:
    """Half the resolution, after a blur that keeps little of what half the grid cannot hold."""
    rows, columns = (_halving(side).to(maps) for side in maps.shape[2:])
    halved: Tensor = rows @ (maps @ columns.mT)
    return halved


@cache
def _halving(side: int) -> Float[Tensor, "half side"]:
    """The matrix that blurs by (1, 3, 3, 1) / 8 and keeps every other place."""
    half = side // 2
    at = 2 * torch.arange(half)[:, None] + torch.arange(-1, 3)
    weights = torch.tensor([1.0, 3.0, 3.0, 1.0]).expand(half, -1) / 8
    matrix = torch.zeros(half, side)
    # What hangs over an edge is folded back onto the edge's own pixel.
    return matrix.scatter_add_(1, at.clamp(0, side - 1), weights)
