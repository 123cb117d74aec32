"""Coresets by a score of each record that small networks give it while they train on the data."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.fit import MomentumSGD
from limbeck.nn.networks import Network, make
from limbeck.recipe import options
from limbeck.synthesize.base import Progress
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.members import by_class
from limbeck.synthesize.select.coreset import REMEDY, Coreset, public_order

BATCH, RATE, MOMENTUM, WEIGHT_DECAY = 64, 0.05, 0.9, 5e-4


@options
class ScoredCoreset(Coreset):
    """The records of each class whose score is highest, or lowest.

    A subclass says what one network scores; scores are averaged over ``networks``, which are drawn
    and trained from the run's own seed, on its own records alone.
    """

    keep: Literal["highest", "lowest"] = "highest"
    networks: Annotated[int, Field(ge=1)] = 4
    epochs: Annotated[int, Field(ge=1)] = 5
    network: str = "mlp"
    width: Annotated[int, Field(ge=1)] = 64

    def resolve(self, private: LabeledDataset) -> "ScoredCoreset":
        make(self.network, private.shape, 2, width=1, seed=0)  # refuses what it cannot serve
        super().resolve(private)
        return self

    @abstractmethod
    def score(self, network: Network, data: LabeledDataset, seed: int) -> Float[Tensor, " records"]:
        """The score of each record by one fresh network, on the device of ``data``."""

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        data = private.select(public_order(private))
        classes = len(data.classes)
        total = torch.zeros(len(data))
        for k in range(self.networks):
            own = coins.derive(seed, "coreset", k)
            network = make(self.network, data.shape, classes, width=self.width, seed=own)
            total += self.score(network.to(device), data.to(device), own).cpu()
            if progress is not None:
                progress((k + 1) / self.networks, None)
        chosen = data.select(self.chosen(data, total / self.networks, seed))
        return self.release(chosen.inputs, chosen.labels, Form.of(private))

    def chosen(
        self, data: LabeledDataset, scores: Float[Tensor, " records"], seed: int
    ) -> Int64[Tensor, " chosen"]:
        """Indices class by class, best first; equal scores are drawn among by ``seed``."""
        lots = torch.randperm(len(data), generator=coins.generator(seed, "coreset", "ties"))
        ranked = lots[scores[lots].argsort(descending=self.keep == "highest", stable=True)]
        everyone = torch.ones(len(data), dtype=torch.bool)
        by_class(data, everyone, self.ipc, REMEDY)  # refuses a class that is too small
        own = [ranked[data.labels[ranked] == label] for label in range(len(data.classes))]
        return torch.cat([records[: self.ipc] for records in own])


def training(
    network: Network, data: LabeledDataset, epochs: int, seed: int
) -> Iterator[tuple[Int64[Tensor, " batch"], Float[Tensor, "batch classes"]]]:
    """Train ``network`` by SGD; of each step, the batch and its logits before the step.

    Every epoch shows each record once, in an order that ``seed`` draws.
    """
    optimiser = MomentumSGD(network.parameters(), momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    generator = coins.generator(seed, "batches")
    for _ in range(epochs):
        for batch in torch.randperm(len(data), generator=generator).split(BATCH):
            at = batch.to(data.inputs.device)
            logits = network(data.inputs[at])
            optimiser.minimise(F.cross_entropy(logits, data.labels[at]), RATE)
            yield at, logits.detach()


def trained(network: Network, data: LabeledDataset, epochs: int, seed: int) -> Network:
    """``network`` after ``epochs`` of ``training``."""
    for _ in training(network, data, epochs, seed):
        pass
    return network


@torch.no_grad()
def in_blocks(
    function: Callable[[Tensor, Tensor], Tensor], data: LabeledDataset, size: int
) -> Float[Tensor, " records"]:
    """``function`` of the inputs and labels of ``size`` records at a time."""
    blocks = zip(data.inputs.split(size), data.labels.split(size), strict=True)
    return torch.cat([function(inputs, labels) for inputs, labels in blocks])
