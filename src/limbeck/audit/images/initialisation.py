"""Initialisation identification: the private image that a synthetic one began as, found again."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64

from limbeck.audit.images.embedders import Labelled
from limbeck.audit.images.measures import Measure
from limbeck.audit.inference.intervals import clopper_pearson
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.types import Estimate


@dataclass(frozen=True, eq=False)
class Identification:
    """How well the starts of a release's images are found among the candidates.

    ranks: float (images,), how many candidates of its class lie nearer to each image than its
        start does, ties counting half; NaN where the start is unknown.
    hit_at_1: the share of known starts that come first; an exact interval over the images.
    chance: the share that a guess within the class finds.
    """

    measure: str
    ranks: np.ndarray
    hit_at_1: Estimate
    chance: float


def ranking(
    release: Labelled, candidates: LabeledDataset, measure: Measure
) -> Float[np.ndarray, "images candidates"]:
    """Distance of every candidate of its class to each image; infinite for other classes."""
    device = candidates.inputs.device
    images = measure.prepare(release.inputs.to(device))
    distances = measure.between(measure.prepare(candidates.inputs), images).mT
    same = release.labels.to(device)[:, None] == candidates.labels
    return distances.where(same, torch.inf).cpu().numpy()


def identify(
    release: Labelled,
    candidates: LabeledDataset,
    starts: Int64[np.ndarray, " images"],
    measure: Measure,
) -> Identification:
    """Rank all candidates by their distance to each image and look up where its start stands.

    starts: the candidate that each image began as, -1 where none is known. A start that ties with
    others for the first place is half a rank behind each and is no hit.
    OptionError where a start is no candidate of its image's class, or none is known.
    """
    known = np.flatnonzero(starts >= 0)
    if starts.shape != (len(release),) or not len(known) or starts.max() >= len(candidates):
        raise OptionError(
            f"starts of shape {starts.shape} for {len(release)} images and {len(candidates)} "
            "candidates: give for each image the index of a candidate, or -1, and at least one"
        )
    distances = ranking(release, candidates, measure)[known]
    own = distances[np.arange(len(known)), starts[known]]
    if not np.isfinite(own).all():
        wrong = known[~np.isfinite(own)][0]
        raise OptionError(
            f"image {wrong} of {len(release)} is said to have begun as candidate {starts[wrong]}, "
            "which is of another class; check the order of starts"
        )
    ahead = np.count_nonzero(distances < own[:, None], axis=1)
    ties = np.count_nonzero(distances == own[:, None], axis=1) - 1
    ranks = np.full(len(release), np.nan)
    ranks[known] = ahead + ties / 2
    hits = int(np.count_nonzero(ranks == 0))
    low, high = clopper_pearson(float(hits), float(len(known)))
    return Identification(
        measure.name,
        ranks,
        Estimate(hits / len(known), low, high, len(known)),
        float(np.mean(1 / np.isfinite(distances).sum(1))),
    )
