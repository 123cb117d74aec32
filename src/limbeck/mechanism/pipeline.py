"""A synthesizer followed by a trainer: the mechanism most audits are about."""

from collections.abc import Iterator, Sequence

from jaxtyping import Bool
from pydantic import model_validator
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.mechanism.base import Mechanism, Release
from limbeck.privacy.composition import Part
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Reading, Synthesizer
from limbeck.synthesize.form import Form
from limbeck.train.base import Trainer
from limbeck.types import Guarantee


@register(
    "pipeline",
    kind="mechanism",
    summary="A synthesizer, then a classifier trained on what it made",
    paper="Dong, Zhao & Lyu 2022, arXiv 2206.00240",
    access="records",
    guarantee="none",
    cost="the sum of its parts",
)
@options
class Pipeline(Mechanism):
    """Private data through ``synthesizer`` and then ``trainer``; either may be None, not both.

    Without a synthesizer the trainer sees the private data itself (the undefended network);
    without a trainer the release is the synthetic dataset alone.
    """

    synthesizer: Synthesizer | None = None
    trainer: Trainer | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> "Pipeline":
        if self.synthesizer is None and self.trainer is None:
            raise ValueError("a pipeline needs a synthesizer, a trainer, or both")
        return self

    def resolve(self, private: LabeledDataset) -> "Pipeline":
        synthesizer, trainer = self.synthesizer, self.trainer
        if synthesizer is not None:
            synthesizer.require_classes(private)
            # Its product has no groups: what the trainer protects of it is a record.
            made = None if trainer is None else trainer.resolve(private.shape)
            return Pipeline(synthesizer.resolve(private), made)
        return Pipeline(None, None if trainer is None else trainer.resolve_for(private))

    @property
    def ipc(self) -> int | None:
        """Synthetic records per class, where the synthesizer makes a fixed number."""
        return getattr(self.synthesizer, "ipc", None)

    @property
    def title(self) -> str:
        source = "full data" if self.synthesizer is None else self.synthesizer.title
        return source if self.trainer is None else f"{source}, then {self.trainer.title}"

    @property
    def holds_real_records(self) -> bool:
        return self.synthesizer is not None and self.synthesizer.holds_real_records

    @property
    def guarantee(self) -> Guarantee | None:
        """The synthesizer's, which training on its product does not change; else the trainer's."""
        if self.synthesizer is not None:
            return self.synthesizer.guarantee
        return None if self.trainer is None else self.trainer.guarantee

    @property
    def owed(self) -> tuple[Part, ...]:
        return () if self.synthesizer is None else self.synthesizer.owed

    def run(self, private: LabeledDataset, *, seed: int, device: str = "cpu") -> Release:
        synthetic = None
        if self.synthesizer is not None:
            synthetic = self.synthesizer.synthesize(private, seed=seed, device=device)
        if self.trainer is None:
            return Release(synthetic)
        data = private if synthetic is None else synthetic
        return Release(synthetic, self.trainer.fit(data, seed=seed, device=device))

    def read(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Reading | None:
        if self.synthesizer is None:
            return None
        return self.synthesizer.read(private, membership, seeds, device=device)

    def run_many(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        reading: Reading | None = None,
    ) -> Iterator[Release]:
        if self.synthesizer is None:
            assert self.trainer is not None, "one of the two is there"
            for classifier in self.trainer.fit_subsets(private, membership, seeds, device=device):
                yield Release(None, classifier)
            return
        if reading is not None:
            made = self.synthesizer.craft(reading, Form.of(private), seeds, device=device)
        else:
            several = self.synthesizer.synthesize_many(private, membership, seeds, device=device)
            made = list(several)
        if self.trainer is None:
            yield from map(Release, made)
            return
        yield from map(Release, made, self.trainer.fit_many(made, seeds, device=device))
