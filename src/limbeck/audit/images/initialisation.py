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
    chance: the share that a guess within the class finds (of k starts to find, k times as much).
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
    starts: Int64[np.ndarray, "images *k"],
    measure: Measure,
) -> Identification:
    """Rank all candidates by their distance to each image and look up where its start stands.

    starts: the candidate that each image began as, -1 where none is known; or the k candidates
        that it was made of, of which the nearest counts. A start that ties with others for the
        first place is half a rank behind each and is no hit.
    OptionError where a start is no candidate of its image's class, or none is known.
    """
    several = starts[:, None] if starts.ndim == 1 else starts
    known = np.flatnonzero((several >= 0).all(1))
    if len(several) != len(release) or not len(known) or several.max() >= len(candidates):
        raise OptionError(
            f"starts of shape {starts.shape} for {len(release)} images and {len(candidates)} "
            "candidates: give for each image the index of a candidate, or -1, and at least one"
        )
    distances = ranking(release, candidates, measure)[known]
    of_starts = np.take_along_axis(distances, several[known], axis=1)
    if not np.isfinite(of_starts).all():
        row, column = np.argwhere(~np.isfinite(of_starts))[0]
        raise OptionError(
            f"image {known[row]} of {len(release)} is said to have begun as candidate "
            f"{several[known][row, column]}, which is of another class; check the order of starts"
        )
    own = of_starts.min(1)
    ahead = np.count_nonzero(distances < own[:, None], axis=1)
    ties = np.count_nonzero(distances == own[:, None], axis=1) - np.count_nonzero(
        of_starts == own[:, None], axis=1
    )
    ranks = np.full(len(release), np.nan)
    ranks[known] = ahead + ties / 2
    hits = int(np.count_nonzero(ranks == 0))
    low, high = clopper_pearson(float(hits), float(len(known)))
    return Identification(
        measure.name,
        ranks,
        Estimate(hits / len(known), low, high, len(known)),
        float(np.mean(several.shape[1] / np.isfinite(distances).sum(1))),
    )
