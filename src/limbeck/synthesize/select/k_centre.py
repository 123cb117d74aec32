"""k-centre greedy: records that leave none of their class far from all of them."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.select.coreset import FeatureCoreset


@register(
    "k-centre",
    kind="synthesizer",
    summary="Coreset: private records that leave none of their class far from all of them",
    paper="Sener & Savarese 2018, arXiv 1708.00489",
    access="records",
    guarantee="none",
    cost="1,438 digits to 50 per class: 0.1 CPU-seconds",
)
@options
class KCentre(FeatureCoreset):
    """Take, again and again, the record that lies farthest from those taken.

        argmax_i min_{j taken} | phi(x_i) - phi(x_j) |       (Sener & Savarese 2018, algorithm 1)

    with phi the public features at length 1. The paper starts from a pool that is labelled already;
    here the record nearest to its class's mean comes first. What lies farthest is what is unusual:
    outliers and mislabelled records are taken early. Nothing is random.

    Holds private records as they are, and gives no formal guarantee.
    """

    def choose(
        self, features: Float[Tensor, "n d"], generator: torch.Generator
    ) -> Int64[Tensor, " ipc"]:
        return k_centre_greedy(features, self.ipc)


def k_centre_greedy(features: Float[Tensor, "n d"], count: int) -> Int64[Tensor, " count"]:
    """The first ``count`` of ``n`` rows that the greedy algorithm takes, in its order."""
    norms = features.square().sum(1)

    def squared(point: Tensor) -> Tensor:
        return norms - 2 * (features @ point) + point.square().sum()

    at = squared(features.mean(0)).argmin()
    gaps = squared(features[at])
    taken = [at]
    for _ in range(count - 1):
        gaps[at] = -torch.inf  # for good: the minimum below keeps it
        at = gaps.argmax()
        taken.append(at)
        gaps = torch.minimum(gaps, squared(features[at]))
    return torch.stack(taken)
