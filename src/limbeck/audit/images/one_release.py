"""Every score of one finished release, calibrated by other records since there are no runs."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from limbeck.audit.images.density import density_ratio
from limbeck.audit.images.embedders import random_embed, random_embedders
from limbeck.audit.images.measures import standard
from limbeck.audit.images.nearest import calibrated
from limbeck.audit.images.tracing import tracing
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

_EMBEDDERS = 8
"""Random embeddings to trace in."""


def names(shape: tuple[int, ...]) -> tuple[str, ...]:
    """The attacks on records of ``shape``, in their order."""
    return (*(f"nearest-{m.name}" for m in standard(shape)), "tracing", "density-ratio")


def calibrated_scores(
    records: LabeledDataset,
    releases: Sequence[SyntheticDataset],
    population: LabeledDataset,
    *,
    seed: int = 0,
) -> Float32[np.ndarray, "releases attacks records"]:
    """Scores of the attacks in the order of ``names``; finite, higher for likelier members.

    population: records of the same kind that are neither members nor among ``records``.
    seed: of the public random networks.
    """
    shape = records.shape
    near = calibrated(records, releases, population, standard(shape, seed=seed))
    traced = tracing(records, releases, population, random_embedders(shape, _EMBEDDERS, seed=seed))
    ratio = density_ratio(records, releases, population, random_embed(shape, seed=seed))
    return np.concatenate([near, traced[:, None], ratio[:, None]], axis=1)
