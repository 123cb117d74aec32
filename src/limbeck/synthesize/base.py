"""What every synthesizer offers, and the form whose private data is read once.

A plain synthesizer implements ``synthesize``. One that sees the private data only through sums
of per-record statistics splits in two: ``read`` touches the private data once for any number of
subsets, ``craft`` turns what was read into images.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError
from limbeck.privacy.composition import Part
from limbeck.recipe import recipe
from limbeck.synthesize.form import Form
from limbeck.types import Guarantee

Progress = Callable[[float, SyntheticDataset | None], None]
"""Called with the finished share in [0, 1] and, where there is one, the state so far."""

Reading = dict[str, Tensor]
"""What a SumSynthesizer read of the private data: tensors whose first axis is the runs."""


class Synthesizer(ABC):
    """Private dataset in, synthetic dataset out. Subclasses are frozen option dataclasses.

    A subclass implements ``synthesize``, or, when it can read the private data once for many
    subsets, derives from SumSynthesizer.
    """

    method_name: str
    serves_empty_classes: ClassVar[bool] = False
    """Whether it makes records of a class of which it is given none, and may not say so."""

    @property
    def title(self) -> str:
        """A short name for reports: the method with its size and start, where it has them."""
        ipc, init = getattr(self, "ipc", None), getattr(self, "init", None)
        parts = [self.method_name]
        parts += [f"{ipc} per class"] if ipc is not None else []
        parts += [f"from {init}"] if init is not None else []
        return " ".join(parts)

    @property
    def holds_real_records(self) -> bool:
        """Whether the release contains, or starts as, unperturbed private records."""
        return False

    @property
    def guarantee(self) -> Guarantee | None:
        """The differential-privacy guarantee of what it releases; None where it has none."""
        return None

    @property
    def owed(self) -> tuple[Part, ...]:
        """Private releases that it starts from: their cost adds to that of what it releases."""
        return ()

    @property
    def needs_per_class(self) -> int:
        """Private records that the method takes out of each class, and cannot do without."""
        return 0

    def require_classes(self, private: LabeledDataset) -> None:
        """DatasetError when a class has no record and the method has nothing to make it from.

        For the data as a whole: a random subset of them may lack a class.
        """
        if not self.serves_empty_classes:
            private.require_every_class()

    def require_records(
        self, private: LabeledDataset, remedy: str = "lower ipc or add records"
    ) -> None:
        """DatasetError, ending in ``remedy``, when a class has fewer than ``needs_per_class``."""
        fewest, label = private.counts().min(0)
        if int(fewest) < self.needs_per_class:
            raise DatasetError(
                f"{private.name}: class {private.classes[int(label)]!r} has {int(fewest)} records, "
                f"{self.method_name} needs {self.needs_per_class} of each class; {remedy}"
            )

    def resolve(self, private: LabeledDataset) -> "Synthesizer":
        """A copy with options left to limbeck filled in from the public form and size of the data.

        Also the place to refuse data that the method cannot serve (OptionError, DatasetError).
        Audits and cards hold the resolved recipe, so that every run uses the same options.
        """
        return self

    def abridged(self, times: int = 1) -> tuple["Synthesizer", float]:
        """A short version for timing, and the factor by which the full one takes longer.

        times: how many times as long as the shortest, where it can be lengthened at all.
        """
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

    def read(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> Reading | None:
        """All that the runs' sets may depend on, read once; None: the runs share nothing."""
        return None

    def craft(
        self,
        reading: Reading,
        form: Form,
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> list[SyntheticDataset]:
        """One synthetic dataset per run of what ``read`` returned; no private data is needed."""
        raise TypeError(f"{self.method_name} shares no reading of the private data")

    def synthesize_many(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Iterator[SyntheticDataset]:
        """One synthetic dataset per row of ``membership``, each from its row's records alone.

        Options left to limbeck are those that ``resolve`` chooses for all of ``private``.
        """
        this = self.resolve(private)
        reading = this.read(private, membership, seeds, device=device)
        if reading is not None:
            yield from this.craft(reading, Form.of(private), seeds, device=device)
            return
        for row, seed in zip(membership, seeds, strict=True):
            yield this.synthesize(private.select(row), seed=seed, device=device)

    def release(
        self,
        inputs: Tensor,
        labels: Tensor,
        form: Form,
        *,
        soft_labels: Tensor | None = None,
        formation: int = 1,
        slots_per_class: int | None = None,
    ) -> SyntheticDataset:
        """A synthetic dataset whose card says that this method, with these options, made it.

        formation, slots_per_class: with multi-formation, one slot of ``slots_per_class`` holds
        ``formation**2`` of the images.
        """
        return SyntheticDataset(
            inputs,
            labels,
            form.classes,
            soft_labels=soft_labels,
            mirror=form.mirror,
            name=f"{form.name}-{self.method_name}",
            card={
                "recipe": recipe(self),
                "guarantee": None,
                "ledger": [],
                "holds_real_records": self.holds_real_records,
                "formation": formation,
                "slots_per_class": slots_per_class,
            },
        )


class SumSynthesizer(Synthesizer):
    """A synthesizer that reads private data once: sums of per-record statistics, and its init.

    A subclass implements ``read`` and ``craft``; one run is the batch of one.
    """

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        everyone = torch.ones(1, len(private), dtype=torch.bool)
        first, second = part(progress, 0, 2), part(progress, 1, 2)
        reading = self.read(
            private,
            everyone,
            [seed],
            device=device,
            progress=None if first is None else lambda share: first(share, None),
        )
        if reading is None:
            raise TypeError(f"{self.method_name}: this form does not read through sums")
        return self.craft(reading, Form.of(private), [seed], device=device, progress=second)[0]


def part(progress: Progress | None, which: int, parts: int) -> Progress | None:
    """Who hears of part number ``which`` (from 0) of a work in so many equal ``parts``."""
    if progress is None:
        return None
    return lambda share, state: progress((which + share) / parts, state)
