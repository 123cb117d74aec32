"""All signals that an attacker reads off released images, the mechanism's classifier apart."""

from typing import get_args

import numpy as np
from jaxtyping import Float32

from limbeck.audit.attacks.base import ImageSignal
from limbeck.audit.images.density import DensityRatio
from limbeck.audit.images.embedders import Embedders, random_embed, random_embedders
from limbeck.audit.images.measures import standard
from limbeck.audit.images.nearest import Nearest
from limbeck.audit.images.retrained import Retrained
from limbeck.audit.images.tracing import Tracing
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

_EMBEDDERS = 4
"""Random embeddings to trace in, where the synthesizer has none that are known."""


def kinds(shape: tuple[int, ...]) -> tuple[ImageSignal, ...]:
    """The names of the signals of records of ``shape``, in their order."""
    every: tuple[ImageSignal, ...] = get_args(ImageSignal)
    without = {"ensemble"} if len(shape) == 3 else {"ensemble", "nearest-ssim"}
    return tuple(kind for kind in every if kind not in without)


class ImageSignals:
    """Reads every kind of signal, in the order of ``kinds``; higher for likelier members.

    Each kind is a view of its own for LiRA over shadow runs. What depends on the records alone
    is computed once, and a release's signals on no other release.

    population: records that are members of no run.
    known: the synthesizer's embeddings (``known_embedders``); None takes public random ones.
    seed: of the random embeddings, the same for all runs that are compared.
    networks: that the attacker trains for himself.
    """

    def __init__(
        self,
        records: LabeledDataset,
        population: LabeledDataset,
        *,
        known: Embedders | None = None,
        seed: int = 0,
        networks: int = 2,
    ) -> None:
        shape, device = records.shape, records.inputs.device
        self._near = Nearest(records, standard(shape, seed=seed, device=device))
        if known is None:
            known = random_embedders(shape, _EMBEDDERS, seed=seed, device=device)
        self._traced = Tracing(records, population, known)
        embed = random_embed(shape, seed=seed, device=device)
        self._ratio = DensityRatio(records, population, embed)
        self._retrained = Retrained(records, seed=seed, networks=networks)

    def read(self, release: SyntheticDataset) -> Float32[np.ndarray, "kinds records"]:
        """The signals of one release, all finite."""
        parts = self._traced.signal(release), self._ratio.signal(release)
        own = self._retrained.signal(release)
        return np.concatenate([self._near.signal(release), np.stack(parts), own])
