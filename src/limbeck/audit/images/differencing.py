"""Differencing: two releases, of data with and without one person, point at who it was.

Releasing again after a deletion, with other options or other seeds, adds to what the first release
gave away. The difference of two releases carries the one record that differs undiluted by all the
others, as far as both were made alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from limbeck.audit.images.embedders import Embedders
from limbeck.audit.images.tracing import Tracing
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError


@dataclass(frozen=True, eq=False)
class Pointing:
    """Whom the difference of two releases points at.

    scores: float (candidates,), higher for likelier ones. ranks: float (suspects,), how many
    other candidates come before each suspect, ties counting half. p_value: of ranks as good by
    chance, were the suspects random candidates (their best rank, exact up to ties).
    """

    scores: np.ndarray
    ranks: np.ndarray
    p_value: float


def difference(
    before: Sequence[SyntheticDataset],
    after: Sequence[SyntheticDataset],
    candidates: LabeledDataset,
    population: LabeledDataset,
    embedders: Embedders,
    *,
    ridge: float = 0.1,
) -> Float[np.ndarray, " candidates"]:
    """<e(x) - r, M (mean of e(before) - mean of e(after))> over x's class, averaged.

    The matched filter for one record among Gaussian ones: ``Tracing`` is linear in the released
    class means, so it is the difference of two tracings. Several releases on a side are averaged,
    which takes the noise of their seeds down.

    before: releases made with the sought record, after: without. population and ridge: as in
    ``Tracing``. OptionError where a side has no release.
    """
    if not before or not after:
        raise OptionError(
            f"{len(before)} releases before and {len(after)} after the change: give at least one "
            "of each"
        )
    traced = Tracing(candidates, population, embedders, ridge=ridge)
    sides = (
        np.mean([traced.signal(release).astype(np.float64) for release in side], axis=0)
        for side in (before, after)
    )
    with_it, without = sides
    found: np.ndarray = with_it - without
    return found


def point(scores: Float[np.ndarray, " candidates"], suspects: Int64[np.ndarray, " k"]) -> Pointing:
    """Where the suspects (one record, or all of a group) stand among the candidates.

    A suspect is a candidate that really differs: the question of an auditor, who knows. The
    records of a group are one: their best rank counts.
    """
    own = scores[suspects]
    others = np.delete(scores, suspects)
    ranks = (others[None] > own[:, None]).sum(1) + (others[None] == own[:, None]).sum(1) / 2
    # The best of k random places among all: 1 - C(n - m, k) / C(n, k), m places as good.
    places, k = len(scores), len(suspects)
    good = int(np.floor(ranks.min())) + 1
    missed = 1.0
    for taken in range(k):
        missed *= max(places - good - taken, 0) / (places - taken)
    return Pointing(scores, ranks, 1 - missed)
