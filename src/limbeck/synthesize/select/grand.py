"""GraNd: the length of each record's own gradient, early in training."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.dataset import LabeledDataset
from limbeck.nn.networks import Network
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.select.scored import ScoredCoreset, in_blocks, trained

_ROWS = 64  # gradients at a time: each is as large as the network


@register(
    "grand",
    kind="synthesizer",
    summary="Coreset: private records with the largest gradients early in training",
    paper="Paul, Ganguli & Dziugaite 2021, arXiv 2107.07075",
    access="records",
    guarantee="none",
    cost="1,438 digits: 0.7 CPU-seconds",
)
@options
class GraNd(ScoredCoreset):
    """Keep the records with the largest gradient |d loss(f(x), y) / d weights|, over networks.

    The expectation of Paul et al. 2021 (definition 2.1) over ``networks`` that have trained for a
    few ``epochs``. Mislabelled records have large gradients: this selection keeps them.

    keep: "highest" as in the paper; "lowest" keeps the easy ones, the better choice for few
        records (Sorscher et al. 2022, arXiv 2206.14486).
    networks, epochs: how many are trained, and how long. network, width: what is trained.

    Holds private records as they are, and gives no formal guarantee.
    """

    def score(self, network: Network, data: LabeledDataset, seed: int) -> Float[Tensor, " records"]:
        known = trained(network, data, self.epochs, seed)
        return in_blocks(lambda x, y: gradient_norms(known, x, y), data, _ROWS)


def gradient_norms(
    network: Network, inputs: Float[Tensor, "n ..."], labels: Int64[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """The length of the gradient of each record's cross-entropy with respect to all parameters."""
    weights = {name: value.detach() for name, value in network.named_parameters()}

    def loss(at: dict[str, Tensor], record: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(network, at, (record[None],))
        return F.cross_entropy(logits, label[None])

    of_records = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    gradients = of_records(weights, inputs, labels)
    squares = [g.flatten(1).square().sum(1) for g in gradients.values()]
    return torch.stack(squares).sum(0).sqrt()
