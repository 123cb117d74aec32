"""Features that depend on nothing private: their directions and scales come from public images.

Private learning pays for every direction that it looks at. So wavelet features (or random units,
for records that are no images) are reduced to the directions in which procedural images vary, and
the dominant ones are damped: what tells private classes apart rarely varies most.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck import coins
from limbeck.data.procedural import shapes
from limbeck.nn.scattering import Scattering

PUBLIC_IMAGES = (500, 4, 2000)
"""Procedural images: at least so many, so many a feature, at most so many."""
WHITENING = -0.35
"""Power of a direction's variance that it is scaled by; -0.5 would whiten it."""
_UNITS = 1000
_LEAST = 1e-6  # of the largest variance: directions that vary less are scaled as if by this much


class PublicFeatures:
    """Up to ``size`` features of records of ``shape``; those of public records have norms near 1.

    offset (d,), basis (d, size): of the affine map that follows the raw features.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        offset: Float[Tensor, " d"],
        basis: Float[Tensor, "d size"],
    ) -> None:
        self.shape, self.offset, self.basis = shape, offset, basis
        self._raw = _raw(shape, str(offset.device))

    @property
    def size(self) -> int:
        """How many features there are."""
        return self.basis.shape[1]

    def __call__(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n size"]:
        """The features of each record, of that record alone; differentiable."""
        features: Tensor = (self._raw(inputs) - self.offset) @ self.basis
        return features


@lru_cache(maxsize=4)
@torch.no_grad()
def public_features(shape: tuple[int, ...], size: int, device: str = "cpu") -> PublicFeatures:
    """The features of records of ``shape``, made of procedural images without any private data."""
    public = public_records(shape, size, coins.generator(0, "public features"))
    raw = _raw(shape, "cpu")
    offset, basis = damped_directions(torch.cat([raw(b) for b in public.split(250)]), size)
    return PublicFeatures(shape, offset.to(device), basis.to(device))


def public_records(
    shape: tuple[int, ...], size: int, generator: torch.Generator
) -> Float[Tensor, "n ..."]:
    """Records made of nothing private, enough to take ``size`` directions from.

    Procedural images; uniform noise for images too small to show a shape, and for other records.
    """
    least, each, most = PUBLIC_IMAGES
    count = min(most, max(least, each * size))
    if _has_waves(shape):
        return shapes(count, shape, generator)
    return torch.rand(count, *shape, generator=generator)


def damped_directions(
    rows: Float[Tensor, "n d"], size: int
) -> tuple[Float[Tensor, " d"], Float[Tensor, "d size"]]:
    """The mean of public ``rows``, and up to ``size`` directions in which they vary, scaled.

    Each direction is scaled by a power of its variance, and all together so that the rows, less
    their mean, have a median norm of 1.
    """
    rows = rows.double()
    offset = rows.mean(0)
    rows = rows - offset
    # From the smaller of the two products: both have the same eigenvalues.
    values, vectors = torch.linalg.eigh(
        rows @ rows.mT if len(rows) < rows.shape[1] else rows.mT @ rows
    )
    size = min(size, len(values) - 1, rows.shape[1])
    values, vectors = values.flip(0)[:size].clamp(min=0), vectors.flip(1)[:, :size]
    values = values.clamp(min=_LEAST * float(values[0]))
    if len(rows) < rows.shape[1]:
        vectors = rows.mT @ (vectors / values.sqrt())
    basis = vectors * (values / values[0]) ** WHITENING
    basis = basis / (rows @ basis).norm(dim=1).median()
    return offset.float(), basis.float()


class _RandomUnits:
    """Rectified random projections of records that are no images."""

    def __init__(self, shape: tuple[int, ...], device: str) -> None:
        generator, size = coins.generator(0, "random units"), math.prod(shape)
        self._weights = (torch.randn(size, _UNITS, generator=generator) * (3 / size) ** 0.5).to(
            device
        )
        self._bias = torch.randn(_UNITS, generator=generator).to(device)

    def __call__(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        centred = 2 * inputs.flatten(1) - 1
        return torch.cat([(centred @ self._weights + self._bias).relu(), centred], 1)


def _has_waves(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and min(shape[1:]) >= 8


def _raw(shape: tuple[int, ...], device: str) -> Scattering | _RandomUnits:
    return Scattering(shape, device) if _has_waves(shape) else _RandomUnits(shape, device)
