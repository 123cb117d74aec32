"""Start from k-means prototypes of each class."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import one_hot

from limbeck.data.dataset import LabeledDataset
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.initialise.base import FromRecords
from limbeck.synthesize.initialise.real import pick

_ROUNDS = 10  # a start needs no convergence


@register(
    "k-means",
    kind="initialisation",
    summary="Centroids of k-means within each class",
    paper="Lloyd 1982, doi 10.1109/TIT.1982.1056489",
    access="records",
    cost="60,000 images of 28x28 to 10 per class: one to two CPU-seconds",
)
@options
class KMeans(FromRecords):
    """Centroids of the members of each class: ten rounds of Lloyd's algorithm from random members.

    Each is the arithmetic mean of the members that were nearest to it. A cluster of one is that
    record, unchanged, and the one that stands alone is the unusual one.
    """

    def read(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Float[Tensor, "images ..."]:
        starts = pick(private, member, per_class, seed).split(per_class)
        found = []
        for label, start in enumerate(starts):
            own = (private.labels == label) & member
            points = private.inputs[own].flatten(1)
            found.append(centroids(points, private.inputs[start].flatten(1)))
        return torch.cat(found).reshape(-1, *private.shape).clamp(0, 1)


def centroids(
    points: Float[Tensor, "n d"], start: Float[Tensor, "k d"], rounds: int = _ROUNDS
) -> Float[Tensor, "k d"]:
    """Lloyd's algorithm from the centres ``start``, ``rounds`` times.

    A centre that no point is nearest to, as happens where points repeat, stays where it was.
    """
    # Here rather than scikit-learn's, whose threads add up in any order: a run of an audit and
    # the release must see the same centroids.
    centres = start
    for _ in range(rounds):
        # Squared distances less the points' own squared norms, which change no order.
        gaps = centres.square().sum(1) - points @ (2 * centres).mT
        nearest = one_hot(gaps.argmin(1), len(centres)).to(points)
        sizes = nearest.sum(0)[:, None]
        means = nearest.mT @ points / sizes.clamp(min=1)
        centres = torch.where(sizes > 0, means, centres)
    return centres
