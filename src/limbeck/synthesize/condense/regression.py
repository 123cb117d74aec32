"""Condensers that regress: ridge regression on the synthetic images must predict the private ones.

The family shares everything but the kernel of the regression, which each method's own
``Regressor`` computes: private minibatches, the loss, the steps on images and labels.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError
from limbeck.nn.fit import Adam
from limbeck.nn.ridge import ridge_loss
from limbeck.recipe import options
from limbeck.synthesize.base import Progress
from limbeck.synthesize.condense.base import Condenser
from limbeck.synthesize.form import Form

Blocks = tuple[Tensor, Tensor]
"""Kernels of the synthetic images: with themselves, (runs, s, s), in float64 where the device has
it, and of private records with them, (runs, t, s)."""


class Regressor(ABC):
    """The kernel of a group of runs, with whatever state it keeps from step to step."""

    @abstractmethod
    def blocks(
        self, synthetic: Float[Tensor, "runs s ..."], private: Float[Tensor, "runs t ..."]
    ) -> Blocks:
        """The kernels that this step regresses with; differentiable in ``synthetic``."""

    def learn(
        self, synthetic: Float[Tensor, "runs s ..."], targets: Float[Tensor, "runs s c"]
    ) -> None:
        """Called after every step with the images and targets that it led to."""
        return


@options
class RegressionCondenser(Condenser):
    """Minimise the error, on private records T, of ridge regression solved on the images S.

        L(S) = 1 / (2 |T|) * | Y_T - K_TS (K_SS + lambda I)^-1 Y_S |^2
        lambda = ridge * trace(K_SS) / |S|

    Y: one-hot labels less 1/C. A subclass gives the kernel K: ``regressor``.
    """

    steps: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] = 0.03
    ridge: Annotated[float, Field(ge=1e-8)] = 1e-4
    learn_labels: bool = False

    @abstractmethod
    def regressor(self, form: Form, seeds: Sequence[int], device: str) -> Regressor:
        """The kernel of a group of runs, one seed each; ``seeds`` are at most ``together``."""

    def together(self, form: Form) -> int:
        """How many runs are optimised as one batch."""
        return 1

    def abridged(self, times: int = 1) -> tuple["RegressionCondenser", float]:
        if self.steps is None:
            return self, 1.0
        steps = min(self.steps, 3 * times)
        return replace(self, steps=steps), self.steps / steps

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        everyone = torch.ones(1, len(private), dtype=torch.bool)
        return self._resolved(private)._optimise(private, everyone, [seed], device, progress)[0]

    def synthesize_many(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Iterator[SyntheticDataset]:
        this = self._resolved(private)
        for rows in torch.arange(len(seeds)).split(this.together(Form.of(private))):
            own = [seeds[row] for row in rows.tolist()]
            yield from this._optimise(private, membership[rows], own, device, None)

    def _resolved(self, private: LabeledDataset) -> "RegressionCondenser":
        this = self.resolve(private)
        assert isinstance(this, RegressionCondenser)
        return this

    def _optimise(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        device: str,
        progress: Progress | None,
    ) -> list[SyntheticDataset]:
        assert self.steps is not None and self.batch is not None, "resolve() comes first"
        form, classes = Form.of(private), len(private.classes)
        inputs, all_labels = private.inputs.to(device), private.labels.to(device)
        one_hot = torch.eye(classes, device=device) - 1 / classes
        rows = list(zip(membership, seeds, strict=True))
        slots = torch.stack([self.initial(private, seed, member=row) for row, seed in rows])
        slots = slots.to(device).requires_grad_()
        targets = one_hot[self.labels(form).to(device)].repeat(len(seeds), 1, 1)
        moving = [slots]
        if self.learn_labels:
            moving.append(targets.requires_grad_())
        optimiser = Adam(moving)
        regressor = self.regressor(form, seeds, device)
        batches = [_batches(private, row, self.batch, seed) for row, seed in rows]
        # Written over at every step: on a CPU, new memory costs more than copying the records.
        chosen = inputs.new_empty(len(seeds) * self.batch, *form.shape)
        for step in range(self.steps):
            batch = torch.stack([next(own) for own in batches]).to(device)
            torch.index_select(inputs, 0, batch.flatten(), out=chosen)
            records = chosen.unflatten(0, batch.shape)
            kernel, across = regressor.blocks(self._images(slots), records)
            wanted = one_hot[all_labels[batch]]
            loss = ridge_loss(kernel, across, targets, wanted, self.ridge).sum()
            optimiser.minimise(loss, self._rate(step))
            with torch.no_grad():
                slots.clamp_(0, 1)
                targets -= targets.mean(-1, keepdim=True)  # Adam takes steps out of the zero sum
            regressor.learn(self._images(slots.detach()), targets.detach())
            if progress is not None:
                progress((step + 1) / self.steps, self._made(slots[0], targets[0], form))
        return [self._made(*one, form) for one in zip(slots, targets, strict=True)]

    def _images(self, slots: Float[Tensor, "runs slots ..."]) -> Float[Tensor, "runs images ..."]:
        images: Tensor = self.decode(slots.flatten(0, 1)).unflatten(0, (len(slots), -1))
        return images

    def _rate(self, step: int) -> float:
        assert self.steps is not None
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))

    def _made(
        self, slots: Float[Tensor, "slots ..."], targets: Float[Tensor, "images c"], form: Form
    ) -> SyntheticDataset:
        soft = targets + 1 / len(form.classes) if self.learn_labels else None
        return self.made(slots.detach().clone(), form, soft_labels=soft)


def _batches(
    private: LabeledDataset, member: Bool[Tensor, " records"], size: int, seed: int
) -> Iterator[Int64[Tensor, " size"]]:
    """Indices of members without end: each random order is used up before the next is drawn.

    Batches have ``size`` entries even where there are fewer members: runs of different sizes are
    then one batch.
    """
    members = member.nonzero()[:, 0]
    if len(members) == 0:
        raise DatasetError(f"{private.name}: a run without any record has nothing to condense")
    generator = coins.generator(seed, "minibatch")
    waiting = members[:0]
    while True:
        while len(waiting) < size:
            order = torch.randperm(len(members), generator=generator)
            waiting = torch.cat([waiting, members[order]])
        yield waiting[:size]
        waiting = waiting[size:]
