"""Herding: records whose mean follows the mean of their class."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.select.coreset import FeatureCoreset


@register(
    "herding",
    kind="synthesizer",
    summary="Coreset: private records whose mean feature follows their class's",
    paper="Welling 2009, doi 10.1145/1553374.1553517",
    access="records",
    guarantee="none",
    cost="1,438 digits to 50 per class: 0.1 CPU-seconds",
)
@options
class Herding(FeatureCoreset):
    """Take, again and again, the record that the weights w favour, and move w away from it.

        x_{t+1} = argmax_x <w_t, phi(x)>,   w_{t+1} = w_t + mean_c phi - phi(x_{t+1})

    from w_0 = mean_c phi (Welling 2009), with phi the public features at length 1, where it is the
    same as bringing the mean of those taken as near to the class's as the next one can. A record is
    taken once. It prefers typical records; nothing is random, and the seed changes nothing.

    Holds private records as they are, and gives no formal guarantee.
    """

    def choose(
        self, features: Float[Tensor, "n d"], generator: torch.Generator
    ) -> Int64[Tensor, " ipc"]:
        return herd(features, self.ipc)


def herd(features: Float[Tensor, "n d"], count: int) -> Int64[Tensor, " count"]:
    """The first ``count`` of ``n`` rows that herding takes without replacement, in its order."""
    mean = features.mean(0)
    weights = mean.clone()
    free = torch.ones(len(features), dtype=torch.bool, device=features.device)
    taken = []
    for _ in range(count):
        at = (features @ weights).where(free, -torch.inf).argmax()
        free[at] = False
        weights += mean - features[at]
        taken.append(at)
    return torch.stack(taken)
