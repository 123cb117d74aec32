"""The thing that is audited: private data in, release out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.privacy.composition import Part
from limbeck.synthesize.base import Reading
from limbeck.train.base import Classifier
from limbeck.types import Guarantee


@dataclass(frozen=True)
class Release:
    """What a mechanism publishes: a synthetic dataset, a classifier, or both."""

    synthetic: SyntheticDataset | None = None
    classifier: Classifier | None = None


class Mechanism(ABC):
    """Private dataset in, release out. Subclasses are frozen option dataclasses."""

    method_name: str

    @property
    def title(self) -> str:
        """A short name for reports."""
        return self.method_name

    @property
    def holds_real_records(self) -> bool | None:
        """Whether the release contains, or starts as, private records as they are; or None."""
        return False

    @property
    def releases_images(self) -> bool:
        """Whether what attacks on images read is released, or was kept for them alone."""
        return True

    @property
    def guarantee(self) -> Guarantee | None:
        """The differential-privacy guarantee of a release; None where the method has none."""
        return None

    @property
    def owed(self) -> tuple[Part, ...]:
        """Private releases that it starts from: their cost adds to that of a release."""
        return ()

    def resolve(self, private: LabeledDataset) -> "Mechanism":
        """A copy whose options are all filled in for data of this form and size."""
        return self

    @abstractmethod
    def run(self, private: LabeledDataset, *, seed: int, device: str = "cpu") -> Release:
        """The whole mechanism once."""

    def read(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Reading | None:
        """All that the runs' releases may depend on, read once; None: the runs share nothing."""
        return None

    def run_many(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        reading: Reading | None = None,
    ) -> Iterator[Release]:
        """One release per row of ``membership``, each from its row's records alone."""
        for row, seed in zip(membership, seeds, strict=True):
            yield self.run(private.select(row), seed=seed, device=device)
