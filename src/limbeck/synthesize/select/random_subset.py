"""A random subset: the baseline that every condensed set of the same size must beat."""

from typing import Annotated

import torch
from pydantic import Field

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress, Synthesizer
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.real import pick


@register(
    "random-subset",
    kind="synthesizer",
    summary="Random private records, published as they are: the same-size baseline",
    paper="the control asked for by Carlini, Feldman & Nasr 2022, arXiv 2209.14987",
    access="records",
    guarantee="none",
    cost="milliseconds",
)
@options
class RandomSubset(Synthesizer):
    """``ipc`` records of each class, drawn without replacement and released unchanged."""

    ipc: Annotated[int, Field(ge=1)] = 10

    @property
    def holds_real_records(self) -> bool:
        return True

    @property
    def needs_per_class(self) -> int:
        return self.ipc

    def resolve(self, private: LabeledDataset) -> "RandomSubset":
        self.require_records(private)
        return self

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        everyone = torch.ones(len(private), dtype=torch.bool)
        chosen = private.select(pick(private, everyone, self.ipc, seed))
        return self.release(chosen.inputs, chosen.labels, Form.of(private))
