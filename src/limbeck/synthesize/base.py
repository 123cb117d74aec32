"""What every synthesizer offers, and the form whose private data is read once.

A plain synthesizer implements ``synthesize``. One that sees the private data only through sums
of per-record statistics derives from SumSynthesizer and splits in two: ``read`` touches the
private data once for any number of subsets, ``craft`` turns what was read into images.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset

Progress = Callable[[float, SyntheticDataset | None], None]
"""Called with the finished share in [0, 1] and, where there is one, the state so far."""

Reading = dict[str, Tensor]
"""What a SumSynthesizer read of the private data: tensors whose first axis is the runs."""


@dataclass(frozen=True)
class Form:
    """The public form of a dataset: what a release may depend on without reading a record."""

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    mirror: bool
    name: str

    @classmethod
    def of(cls, data: LabeledDataset) -> "Form":
        """The form of ``data``."""
        return cls(data.shape, data.classes, data.mirror, data.name)


class Synthesizer(ABC):
    """Private dataset in, synthetic dataset out. Subclasses are frozen option dataclasses."""

    method_name: str

    @property
    def holds_real_records(self) -> bool:
        """Whether the release contains, or starts as, unperturbed private records."""
        return False

    def resolve(self, private: LabeledDataset) -> "Synthesizer":
        """A copy with options left to limbeck filled in from the public form and size of the data.

        Also the place to refuse data that the method cannot serve (OptionError, DatasetError).
        Audits and cards hold the resolved recipe, so that every run uses the same options.
        """
        return self

    def abridged(self) -> tuple["Synthesizer", float]:
        """A short version for timing, and the factor by which the full one takes longer."""
        return self, 1.0

    @abstractmethod
    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        """Condense, select or generate. The same seed and device give the same result."""

    def synthesize_many(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Iterator[SyntheticDataset]:
        """One synthetic dataset per row of ``membership``, each from its row's records alone."""
        for row, seed in zip(membership, seeds, strict=True):
            yield self.synthesize(private.select(row), seed=seed, device=device)


class SumSynthesizer(Synthesizer):
    """A synthesizer that reads private data once: sums of per-record statistics, and its init."""

    @abstractmethod
    def read(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> Reading:
        """Everything that each run's synthetic set may depend on; first axis of each tensor: runs."""

    @abstractmethod
    def craft(
        self,
        reading: Reading,
        form: Form,
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> list[SyntheticDataset]:
        """One synthetic dataset per run of ``reading``; private data is no longer needed."""

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        everyone = torch.ones(1, len(private), dtype=torch.bool)
        reading = self.read(private, everyone, [seed], device=device)
        return self.craft(reading, Form.of(private), [seed], device=device, progress=progress)[0]

    def synthesize_many(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Iterator[SyntheticDataset]:
        reading = self.read(private, membership, seeds, device=device)
        yield from self.craft(reading, Form.of(private), seeds, device=device)
