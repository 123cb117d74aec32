"""What every trainer and classifier offers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.types import Guarantee

TrainingSet = LabeledDataset | SyntheticDataset


class Classifier(ABC):
    """A trained model: inputs in [0, 1] to one score (logit) per class.

    claimed: what the run that made it spent, and alone may be stated of it; None where nothing may,
    as of every classifier of ``fit_many``, whose noise can be repeated.
    """

    claimed: Guarantee | None = None

    @abstractmethod
    def logits(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        """Scores of each record, float32 on the CPU; larger means more likely that class."""

    def accuracy(self, test: LabeledDataset) -> float:
        """Share of ``test`` whose highest logit is its label."""
        hits = self.logits(test.inputs).argmax(1) == test.labels.cpu()
        return float(hits.double().mean())

    def state(self) -> dict[str, Tensor]:
        """The tensors that a release of this classifier publishes."""
        raise NotImplementedError

    def architecture(self) -> Mapping[str, Any]:
        """JSON values that rebuild it with ``state``: its "kind" (see ``released``) and the rest.

        Empty: it cannot be released.
        """
        return {}


class Trainer(ABC):
    """Dataset in, classifier out. Subclasses are frozen option dataclasses."""

    method_name: str
    most_records: ClassVar[int | None] = None
    """Records that it can be trained on at most; None: any number."""

    @property
    def title(self) -> str:
        """A short name for reports."""
        return self.method_name

    @property
    def guarantee(self) -> Guarantee | None:
        """The differential-privacy guarantee of its classifiers, for the data they are fitted to.

        None where it has none.
        """
        return None

    def resolve(self, form_shape: tuple[int, ...]) -> "Trainer":
        """A copy fit for records of this shape; OptionError where it cannot serve them."""
        return self

    def resolve_for(self, private: LabeledDataset) -> "Trainer":
        """As ``resolve``, for private records: a guarantee then states the unit that is protected.

        Only the public form of ``private`` is read: the shape of a record, and whether there are
        groups.
        """
        return self.resolve(private.shape)

    def abridged(self) -> tuple["Trainer", float]:
        """A short version for timing, and the factor by which the full one takes longer."""
        return self, 1.0

    def for_many_records(self) -> "Trainer":
        """The trainer with a recipe for thousands of records instead of a small synthetic set."""
        return self

    @abstractmethod
    def fit(self, data: TrainingSet, *, seed: int, device: str = "cpu") -> Classifier:
        """Train one classifier. The same seed and device give the same result.

        A trainer with a guarantee sets ``claimed`` on it: no other guarantee can be released.
        """

    def fit_many(
        self, sets: Sequence[TrainingSet], seeds: Sequence[int], *, device: str = "cpu"
    ) -> Iterator[Classifier]:
        """One classifier per dataset; equal to ``fit`` one by one within stated tolerance."""
        for data, seed in zip(sets, seeds, strict=True):
            yield self.fit(data, seed=seed, device=device)

    def fit_subsets(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Iterator[Classifier]:
        """One classifier per row of ``membership``, of its records alone; as ``fit_many`` of them.

        For trainers that can share what they compute of the same records.
        """
        # One subset at a time: the private data may be large.
        for row, seed in zip(membership, seeds, strict=True):
            yield from self.fit_many([private.select(row)], [seed], device=device)


def targets(data: TrainingSet) -> Float[Tensor, "n classes"]:
    """Target probabilities per record: one-hot labels, or a synthetic set's own soft labels."""
    if isinstance(data, SyntheticDataset) and data.soft_labels is not None:
        return data.soft_labels
    return torch.nn.functional.one_hot(data.labels, len(data.classes)).float()
