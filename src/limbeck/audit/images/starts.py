"""Initialisations made of private records, and whether the finished images still tell them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck.audit import evidence
from limbeck.audit.images.initialisation import identify
from limbeck.audit.images.measures import standard
from limbeck.audit.inference.intervals import clopper_pearson
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.mechanism.base import Mechanism
from limbeck.synthesize.condense.base import Condenser
from limbeck.synthesize.initialise.base import FromRecords

CANDIDATES = 1_000
"""Other members beside the true starts, at most: structural similarity is slow."""


@dataclass(frozen=True, eq=False)
class Started:
    """ranks: float32 (measures, images), see ``Identification``. chance: of a hit by a guess."""

    ranks: np.ndarray
    chance: float


def started(
    mechanism: Mechanism,
    private: LabeledDataset,
    member: Bool[Tensor, " records"],
    seed: int,
    release: SyntheticDataset,
) -> Started | None:
    """How well an attacker with the run's own records finds those that its images began as.

    Candidates are the true starts and up to ``CANDIDATES`` other members of the run, spread over
    the data. None where the mechanism starts from no private records, or not from single ones.
    """
    synthesizer = getattr(mechanism, "synthesizer", None)
    if not isinstance(synthesizer, Condenser) or not isinstance(synthesizer.start, FromRecords):
        return None
    sources = synthesizer.start.sources(private, member, synthesizer.per_class, seed)
    if sources is None or len(sources) != len(release):
        return None
    others = member.nonzero()[:, 0]
    others = others[:: -(-len(others) // CANDIDATES)]
    among = torch.unique(torch.cat([sources.flatten(), others]))
    candidates = private.select(among)
    places = torch.searchsorted(among, sources).numpy()
    found = [identify(release, candidates, places, m) for m in standard(private.shape)]
    ranks = np.stack([one.ranks for one in found]).astype(np.float32)
    return Started(ranks, found[0].chance)


def found_starts(
    signals: Mapping[str, np.ndarray], shape: tuple[int, ...]
) -> tuple[evidence.Start, ...]:
    """How often an image was found to be what it began as, over all utility runs; by measure.

    signals: a mechanism's, with ``starts`` (rows, measures, images) where images begin as records.
    shape: of the records.
    """
    if "starts" not in signals:
        return ()
    ranks, chance = signals["starts"], float(signals["start_chance"].mean())
    names = (measure.name for measure in standard(shape))
    found = []
    for name, hits in zip(names, (ranks == 0).swapaxes(0, 1), strict=True):
        low, high = clopper_pearson(float(hits.sum()), float(hits.size))
        value = evidence.Estimate(value=hits.mean(), low=low, high=high, trials=hits.size)
        found.append(evidence.Start(measure=name, hit_at_1=value, chance=chance))
    return tuple(found)
