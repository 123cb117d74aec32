"""Tracing: a record that is in the data whose class means the release gives away."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from limbeck.audit.images.embedders import Embedders, embedded
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset


def tracing(
    records: LabeledDataset,
    releases: Sequence[SyntheticDataset],
    population: LabeledDataset,
    embedders: Embedders,
    *,
    ridge: float = 0.1,
) -> Float32[np.ndarray, "runs records"]:
    """<e(x) - r, M (mean of e(S) - r)> over the record's class, averaged over embeddings e.

    The tracing statistic of Homer et al. 2008 (doi:10.1371/journal.pgen.1000167) and Dwork et al.
    2015 (doi:10.1109/FOCS.2015.46), with r the class mean of the population records. With the
    synthesizer's own embeddings (``known_embedders``) it is the natural attack on sum matching: a
    member pulls the matched mean towards itself.

    population: records that are neither members nor among ``records``.
    ridge: M is the inverse of (C / v + ridge I), C the population's covariance within classes and
        v its mean variance: near 0 the likelihood ratio of a mean of Gaussian records, for large
        values the plain inner product.

    An embedding that a record does not enter, or a class without images, adds nothing.
    """
    device, labels = records.inputs.device, records.labels
    classes = len(records.classes)
    entered = None
    if embedders.entered is not None:
        entered = embedders.entered(records.inputs).to(device)
    total = torch.zeros(len(releases), len(records), device=device)
    for k, embed in enumerate(embedders.embed):
        usual = embedded(embed, population.inputs.to(device))
        own = population.labels.to(device)
        means, counts = _means(usual, own, classes)
        centre = torch.where(counts[:, None] > 0, means, usual.mean(0))
        deviation = embedded(embed, records.inputs) - centre[labels]
        weighed = _whitened(deviation, usual - centre[own], ridge)
        if entered is not None:
            weighed = weighed * entered[:, k, None]
        for run, release in enumerate(releases):
            seen = embedded(embed, release.inputs.to(device))
            found, images = _means(seen, release.labels.to(device), classes)
            shift = torch.where(images[:, None] > 0, found - centre, 0.0)
            total[run] += (weighed * shift[labels]).sum(1)
    return (total / len(embedders.embed)).cpu().numpy()


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
