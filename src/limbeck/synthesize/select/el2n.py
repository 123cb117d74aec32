"""EL2N: the length of the error vector, early in training."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from limbeck.data.dataset import LabeledDataset
from limbeck.nn.networks import Network
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.select.scored import ScoredCoreset, in_blocks, trained

_ROWS = 1024


@register(
    "el2n",
    kind="synthesizer",
    summary="Coreset: private records with the largest errors early in training",
    paper="Paul, Ganguli & Dziugaite 2021, arXiv 2107.07075",
    access="records",
    guarantee="none",
    cost="1,438 digits: 0.4 CPU-seconds",
)
@options
class EL2N(ScoredCoreset):
    """Keep the records with the largest |softmax(f(x)) - onehot(y)|, averaged over networks.

    Each network has trained for a few ``epochs`` (Paul et al. 2021: ten networks, ten to twenty
    epochs of 200). Mislabelled records have the largest errors of all: this selection keeps them.

    keep: "highest" as in the paper; "lowest" keeps the easy ones, the better choice for few
        records (Sorscher et al. 2022, arXiv 2206.14486).
    networks, epochs: how many are trained, and how long. network, width: what is trained.

    Holds private records as they are, and gives no formal guarantee.
    """

    def score(self, network: Network, data: LabeledDataset, seed: int) -> Float[Tensor, " records"]:
        known = trained(network, data, self.epochs, seed)
        return in_blocks(lambda x, y: error_norms(known(x), y), data, _ROWS)


def error_norms(
    logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """The Euclidean length of each record's predicted probabilities less its one-hot label."""
    errors = logits.softmax(1) - one_hot(labels, logits.shape[1])
    norms: Tensor = torch.linalg.vector_norm(errors, dim=1)
    return norms
