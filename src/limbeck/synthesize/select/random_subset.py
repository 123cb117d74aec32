"""A random subset: the baseline that every condensed set of the same size must beat."""

import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.real import pick
from limbeck.synthesize.select.coreset import Coreset


@register(
    "random-subset",
    kind="synthesizer",
    summary="Random private records, published as they are: the same-size baseline",
    paper="control of Carlini, Feldman & Nasr 2022, arXiv 2209.14987",
    access="records",
    guarantee="none",
    cost="milliseconds",
)
@options
class RandomSubset(Coreset):
    """``ipc`` records of each class, drawn without replacement and released unchanged."""

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
