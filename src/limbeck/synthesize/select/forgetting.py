"""Forgetting events: records that a network keeps unlearning while it trains."""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.nn.networks import Network
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.select.scored import ScoredCoreset, training


@register(
    "forgetting",
    kind="synthesizer",
    summary="Coreset: private records that networks forget most often while they train",
    paper="Toneva et al. 2019, arXiv 1812.05159",
    access="records",
    guarantee="none",
    cost="1,438 digits: 0.6 to 0.8 CPU-seconds",
)
@options
class Forgetting(ScoredCoreset):
    """Keep the records with most forgetting events (Toneva et al. 2019, algorithm 1).

    A record is forgotten when it is classified rightly in one epoch's batch and wrongly in the next
    epoch's, before the step is taken. One that is never right counts as forgotten more often than
    any other. Mislabelled and unusual records are those: selection by forgetting keeps them.

    keep: "highest" as in the paper; "lowest" keeps what is never forgotten, which is the better
        choice for few records (Sorscher et al. 2022, arXiv 2206.14486).
    networks, epochs: counts are averaged over so many trainings. network, width: what is trained.

    Holds private records as they are, and gives no formal guarantee.
    """

    networks: Annotated[int, Field(ge=1)] = 2
    epochs: Annotated[int, Field(ge=2)] = 15

    def score(self, network: Network, data: LabeledDataset, seed: int) -> Float[Tensor, " records"]:
        device = data.inputs.device
        correct = torch.zeros(self.epochs, len(data), dtype=torch.bool, device=device)
        shown = torch.zeros(len(data), dtype=torch.int64, device=device)
        for at, logits in training(network, data, self.epochs, seed):
            correct[shown[at], at] = logits.argmax(1) == data.labels[at]
            shown[at] += 1
        return forgetting_events(correct)


def forgetting_events(correct: Bool[Tensor, "epochs records"]) -> Float[Tensor, " records"]:
    """How often each record went from right to wrong; ``epochs`` for one that never was right.

    correct: whether each record was classified rightly when each epoch showed it.
    """
    events = (correct[:-1] & ~correct[1:]).sum(0)
    return events.where(correct.any(0), len(correct)).float()
