"""What noisy sums of unit vectors say of the private records, and how far images are from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.privacy.noisy_sum import NoisySum
from limbeck.synthesize.condense.characteristic_function import discrepancy, waves
from limbeck.synthesize.condense.distribution_matching import mean_distance
from limbeck.synthesize.condense.dm_ridge import regression_error
from limbeck.synthesize.condense.pooled_embedding import PooledEmbedding
from limbeck.synthesize.ridge_teacher import RIDGE
from limbeck.synthesize.statistics import Sums

_REGRESSION = 100.0
"""Weight of the regression error beside distances of means, as in "dm-ridge"."""
_WAVES = 10.0
"""Weight of characteristic functions; brings them to the size of the other two."""


@dataclass(frozen=True, eq=False)
class Target:
    """The private side of the loss under one embedding: noisy sums, freed of noise where possible.

    sums: first and second moments of z, one run. phi: characteristic functions by class at
    ``frequencies``. Of ``second`` and ``phi``, None where nothing was released.
    """

    embedding: PooledEmbedding
    sums: Sums
    phi: Float[Tensor, "classes q"] | None
    frequencies: Float[Tensor, "p d"]
    ridge: float

    @classmethod
    def of(
        cls,
        embedding: PooledEmbedding,
        counts: Float[Tensor, " classes"],
        answers: Mapping[str, NoisySum],
        frequencies: Float[Tensor, "p d"],
        *,
        ridge: float,
        device: str,
    ) -> "Target":
        """From the answers "means", "moments" and "waves", those that there are, and class counts.

        Post-processing of noisy sums: nothing private is read here.
        """
        means = None if "means" not in answers else shrunk(answers["means"], counts)
        phi = None if "waves" not in answers else shrunk(answers["waves"], counts)
        first = torch.zeros(len(counts), 0) if means is None else means * counts[:, None]
        second = None
        if "moments" in answers:
            second = positive(answers["moments"], first, counts).float().to(device)[None]
        return cls(
            embedding=embedding,
            sums=Sums(first.float().to(device)[None], counts.float().to(device)[None], second),
            phi=None if phi is None else phi.float().to(device),
            frequencies=frequencies.to(device),
            ridge=ridge,
        )

    def distance(self, images: Float[Tensor, "images ..."]) -> Float[Tensor, ""]:
        """Of images, as many of each class and class by class, from all that was released."""
        several = self.embedding(images).unflatten(0, (1, self.sums.counts.shape[1], -1))
        total: Tensor = several.new_zeros(())
        if self.sums.first.shape[2] > 0:
            total = total + mean_distance(several, self.sums)
        if self.sums.second is not None:
            first, counts, second = self.sums.first, self.sums.counts, self.sums.second
            error = regression_error(several, first, counts, second, self.ridge)
            total = total + _REGRESSION * error.sum()
        if self.phi is not None:
            own = waves(several.flatten(0, 2), self.frequencies).unflatten(0, several.shape[1:3])
            total = total + _WAVES * discrepancy(self.phi, own.mean(1), 0.5).sum()
        return total


def shrunk(released: NoisySum, counts: Float[Tensor, " classes"]) -> Float[Tensor, "classes d"]:
    """Means by class, drawn towards their mean by as much as their noise asks for.

    The estimate of James and Stein (1961), its positive part: what a class has apart from the mean
    of classes is kept to the share 1 - d s^2 / |it|^2, with s the deviation of its noise.
    """
    means = released.values / counts[:, None]
    middle = means.mean(0)
    own = means - middle
    expected = own.shape[1] * (released.noise / counts).square()
    kept = 1 - expected / own.square().sum(1).clamp(min=1e-12)
    found: Tensor = middle + kept.clamp(min=0)[:, None] * own
    return found


def positive(
    released: NoisySum, first: Float[Tensor, "classes d"], counts: Float[Tensor, " classes"]
) -> Float[Tensor, "d d"]:
    """Second moments whose covariance has no negative eigenvalue, and a floor under all of them.

    Noise makes eigenvalues that no sum of products has. The floor is the ridge of the private
    teacher (``ridge_teacher``), a fixed multiple of the noise's own size: without it the regression
    error would reward images for agreeing with noise.
    """
    total, d = float(counts.sum()), first.shape[1]
    mean = first.sum(0) / total
    around = total * mean[:, None] * mean
    values, vectors = torch.linalg.eigh(released.values - around)
    values = values.clamp(min=0) + 2 * RIDGE * released.noise * d**0.5
    found: Tensor = (vectors * values) @ vectors.mT + around
    return found
