"""Tracing: a record that is in the data whose class means the release gives away."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from limbeck.audit.images.embedders import Embedders, embedded
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset


class Tracing:
    """<e(x) - r, M (mean of e(S) - r)> over the record's class, averaged over embeddings e.

    The tracing statistic of Homer et al. 2008 (doi:10.1371/journal.pgen.1000167) and Dwork et al.
    2015 (doi:10.1109/FOCS.2015.46), with r the class mean of the population records. With the
    synthesizer's own embeddings (``known_embedders``) it is the natural attack on sum matching: a
    member pulls the matched mean towards itself.

    population: records that are neither members nor among ``records``.
    ridge: M is the inverse of (C / v + ridge I), C the population's covariance within classes and
        v its mean variance: near 0 the likelihood ratio of a mean of Gaussian records, for large
        values the plain inner product.

    An embedding that a record does not enter, or a class without images, adds nothing. What does
    not depend on the release is computed once.
    """

    def __init__(
        self,
        records: LabeledDataset,
        population: LabeledDataset,
        embedders: Embedders,
        *,
        ridge: float = 0.1,
    ) -> None:
        self._labels, self._classes = records.labels, len(records.classes)
        self._embed = embedders.embed
        device, own = records.inputs.device, population.labels.to(records.inputs.device)
        entered = torch.ones(len(records), len(self._embed), dtype=torch.bool, device=device)
        if embedders.entered is not None:
            entered = embedders.entered(records.inputs).to(device)
        self._rows = [column.nonzero()[:, 0] for column in entered.unbind(1)]
        self._centres: list[Tensor] = []
        self._weighed: list[Tensor] = []
        for embed, rows in zip(self._embed, self._rows, strict=True):
            usual = embedded(embed, population.inputs.to(device))
            means, counts = _means(usual, own, self._classes)
            centre = torch.where(counts[:, None] > 0, means, usual.mean(0))
            self._centres.append(centre)
            if not len(rows):
                self._weighed.append(centre[:0])
                continue
            deviation = embedded(embed, records.inputs[rows]) - centre[self._labels[rows]]
            self._weighed.append(_whitened(deviation, usual - centre[own], ridge))

    def signal(self, release: SyntheticDataset) -> Float32[np.ndarray, " records"]:
        """One value per record."""
        device = self._labels.device
        images, labels = release.inputs.to(device), release.labels.to(device)
        total = torch.zeros(len(self._labels), device=device)
        parts = zip(self._embed, self._rows, self._centres, self._weighed, strict=True)
        for embed, rows, centre, weighed in parts:
            if not len(rows):
                continue
            found, count = _means(embedded(embed, images), labels, self._classes)
            shift = torch.where(count[:, None] > 0, found - centre, 0.0)
            total[rows] += (weighed * shift[self._labels[rows]]).sum(1)
        return (total / len(self._embed)).cpu().numpy()


def tracing(
    records: LabeledDataset,
    releases: Sequence[SyntheticDataset],
    population: LabeledDataset,
    embedders: Embedders,
    *,
    ridge: float = 0.1,
) -> Float32[np.ndarray, "runs records"]:
    """``Tracing`` of several releases."""
    prepared = Tracing(records, population, embedders, ridge=ridge)
    return np.stack([prepared.signal(release) for release in releases])


def _means(
    values: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], classes: int
) -> tuple[Float[Tensor, "classes d"], Int64[Tensor, " classes"]]:
    """Means by class, zero for a class without rows, and the number of rows."""
    sums = values.new_zeros(classes, values.shape[1]).index_add(0, labels, values)
    counts = torch.bincount(labels, minlength=classes)
    return sums / counts.clamp(min=1)[:, None], counts


def _whitened(
    deviation: Float[Tensor, "n d"], residual: Float[Tensor, "m d"], ridge: float
) -> Float[Tensor, "n d"]:
    covariance = residual.mT @ residual / len(residual)
    scale = covariance.diagonal().mean().clamp(min=1e-12)
    eye = torch.eye(len(covariance), device=covariance.device)
    factor = torch.linalg.cholesky(covariance / scale + ridge * eye)
    return torch.cholesky_solve(deviation.mT, factor).mT
