"""What every coreset selector shares: private records, ``ipc`` of each class, as they are."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.hashing import content_key
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.public_features import public_features
from limbeck.recipe import options
from limbeck.synthesize.base import Progress, Reading, SumSynthesizer, Synthesizer
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import labels
from limbeck.synthesize.initialise.members import by_class

REMEDY = "per class that the coreset takes; lower ipc"
FEATURES = 64
_BLOCK = 256


@options
class Coreset(Synthesizer):
    """``ipc`` private records of each class, released unchanged."""

    ipc: Annotated[int, Field(ge=1)] = 10

    @property
    def holds_real_records(self) -> bool:
        return True

    @property
    def needs_per_class(self) -> int:
        return self.ipc

    def resolve(self, private: LabeledDataset) -> "Coreset":
        self.require_records(private)
        return self


@options
class FeatureCoreset(Coreset, SumSynthesizer):
    """A coreset chosen by where the records of each class lie in a public feature space.

    The features (``nn.public_features``) depend on no private record; each record's are computed
    once for any number of shadow runs, and scaled to length 1.
    """

    @abstractmethod
    def choose(
        self, features: Float[Tensor, "n d"], generator: torch.Generator
    ) -> Int64[Tensor, " ipc"]:
        """Which ``ipc`` distinct rows, of the records of one class, are taken."""

    def read(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> Reading:
        """The chosen records of every run, class by class: {"inputs": (runs, chosen, ...)}."""
        order = public_order(private)
        data, member = private.select(order), membership[:, order]
        features = embed(data.inputs, device)
        chosen = []
        for done, (row, seed) in enumerate(zip(member, seeds, strict=True), 1):
            at = [
                own[self.choose(features[own], coins.generator(seed, "coreset", label)).cpu()]
                for label, own in enumerate(by_class(data, row, self.ipc, REMEDY))
            ]
            chosen.append(data.inputs[torch.cat(at)])
            if progress is not None:
                progress(done / len(seeds))
        return {"inputs": torch.stack(chosen)}

    def craft(
        self,
        reading: Reading,
        form: Form,
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> list[SyntheticDataset]:
        """The chosen records with their labels."""
        known = labels(len(form.classes), self.ipc)
        if progress is not None:
            progress(1.0, None)
        return [self.release(inputs, known, form) for inputs in reading["inputs"]]


@torch.no_grad()
def embed(inputs: Float[Tensor, "n ..."], device: str) -> Float[Tensor, "n d"]:
    """Public features of each record, of length 1, on ``device``."""
    features = public_features(tuple(inputs.shape[1:]), FEATURES, device)
    rows = torch.cat([features(block.to(device)) for block in inputs.split(_BLOCK)])
    return torch.nn.functional.normalize(rows, dim=1)


def public_order(private: LabeledDataset) -> Int64[Tensor, " n"]:
    """The records class by class, in an order of their own contents.

    What is chosen in this order is the same set in whatever order the records came: greedy steps,
    batches and ties all follow from what the records are.
    """
    order = content_key(private.inputs, "coreset").argsort(stable=True)
    return order[private.labels[order].argsort(stable=True)]
