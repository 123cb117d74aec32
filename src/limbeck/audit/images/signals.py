"""All signals that an attacker without a classifier reads off released images, run by run."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from limbeck.audit.images.density import density_ratio
from limbeck.audit.images.embedders import Embedders, random_embed, random_embedders
from limbeck.audit.images.measures import standard
from limbeck.audit.images.nearest import nearest
from limbeck.audit.images.tracing import tracing
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

_EMBEDDERS = 4
"""Random embeddings to trace in, where the synthesizer has none that are known."""


def kinds(shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of the signals of records of ``shape``, in their order."""
    return (*(f"nearest-{m.name}" for m in standard(shape)), "tracing", "density-ratio")


def image_signals(
    records: LabeledDataset,
    releases: Sequence[SyntheticDataset],
    population: LabeledDataset,
    *,
    known: Embedders | None = None,
    seed: int = 0,
) -> Float32[np.ndarray, "runs kinds records"]:
    """Every kind of signal in the order of ``kinds``; higher for likelier members, and finite.

    Each kind is a view of its own for LiRA over shadow runs: signals[:, [k]] are (runs, 1,
    records). Records are embedded once, however many runs there are.

    population: records that are members of no run.
    known: the synthesizer's embeddings (``known_embedders``); None takes public random ones.
    seed: of the random embeddings, the same for all runs that are compared.
    """
    shape, device = records.shape, records.inputs.device
    near = nearest(records, releases, standard(shape, seed=seed, device=device))
    if known is None:
        known = random_embedders(shape, _EMBEDDERS, seed=seed, device=device)
    traced = tracing(records, releases, population, known)
    embed = random_embed(shape, seed=seed, device=device)
    ratio = density_ratio(records, releases, population, embed)
    return np.concatenate([near, traced[:, None], ratio[:, None]], axis=1)
