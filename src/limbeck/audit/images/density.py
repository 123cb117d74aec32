"""The density ratio: a record that is likelier under the release than in the population."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32
from sklearn.decomposition import PCA
from torch import Tensor

from limbeck.audit.images.embedders import Embed, Labelled, embedded, of_class
from limbeck.audit.images.measures import euclidean
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError

_BLOCK = 1024


class DensityRatio:
    """The log of p_S(x) / p_ref(x) within the record's class [van Breugel 2023, arXiv 2302.12580].

    Both are Gaussian kernel density estimates with Scott's bandwidth n^(-1 / (d + 4)), in the
    first ``components`` principal components (fewer where there are not so many) of the
    population's embeddings within their classes, scaled to unit variance.

    population: records that are neither members nor among ``records``. Where it or a release
    lacks the class, all of it stands in. OptionError for fewer than two population records.
    """

    def __init__(
        self,
        records: LabeledDataset,
        population: LabeledDataset,
        embed: Embed,
        *,
        components: int = 32,
    ) -> None:
        if len(population) < 2:
            raise OptionError(
                f"the density ratio needs a reference and got population records of shape "
                f"{tuple(population.inputs.shape)}; give some hundreds that are in no run"
            )
        self._embed = embed
        self._device = device = records.inputs.device
        own = population.labels.to(device)
        usual = embedded(embed, population.inputs.to(device))
        residual = usual.clone()
        for label in own.unique().tolist():
            residual[own == label] -= usual[own == label].mean(0)
        self._axes = _axes(residual, components)
        self._seen = embedded(embed, records.inputs) @ self._axes
        self._of_class = {
            label: records.labels == label for label in records.labels.unique().tolist()
        }
        reference = usual @ self._axes
        self._base = torch.empty(len(records), device=device)
        for label, rows in self._of_class.items():
            points = reference[of_class(own, label)]
            self._base[rows] = _log_density(self._seen[rows], points)

    def signal(self, release: Labelled) -> Float32[np.ndarray, " records"]:
        """One value per record."""
        images = embedded(self._embed, release.inputs.to(self._device)) @ self._axes
        labels = release.labels.to(self._device)
        found = torch.empty_like(self._base)
        for label, rows in self._of_class.items():
            points = images[of_class(labels, label)]
            found[rows] = _log_density(self._seen[rows], points) - self._base[rows]
        return found.cpu().numpy()


def density_ratio(
    records: LabeledDataset,
    releases: Sequence[Labelled],
    population: LabeledDataset,
    embed: Embed,
    *,
    components: int = 32,
) -> Float32[np.ndarray, "runs records"]:
    """``DensityRatio`` of several releases."""
    prepared = DensityRatio(records, population, embed, components=components)
    return np.stack([prepared.signal(release) for release in releases])


def _axes(residual: Float[Tensor, "n d"], components: int) -> Float[Tensor, "d k"]:
    """Principal directions, each divided by the standard deviation along it."""
    most = min(components, len(residual) - 1, residual.shape[1])
    fitted = PCA(most, random_state=0).fit(residual.cpu().numpy())
    variance = np.maximum(fitted.explained_variance_, 1e-12)
    kept = variance > 1e-6 * variance[0]
    axes = fitted.components_[kept].T / np.sqrt(variance[kept])
    return torch.from_numpy(axes.astype(np.float32)).to(residual.device)


def _log_density(x: Float[Tensor, "n k"], points: Float[Tensor, "m k"]) -> Float[Tensor, " n"]:
    """Log of the kernel density at ``x``, less its factor of 2 pi."""
    count, dimension = points.shape
    bandwidth = count ** (-1 / (dimension + 4))
    kernels = [
        torch.logsumexp(-(euclidean(block, points) / bandwidth).square() / 2, 1)
        for block in x.split(_BLOCK)
    ]
    return torch.cat(kernels) - math.log(count) - dimension * math.log(bandwidth)
