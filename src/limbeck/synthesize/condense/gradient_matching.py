"""Gradient matching: synthetic images that pull a network's weights where the private ones do."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn import augment
from limbeck.nn.class_gradients import class_gradients, cosine_distance
from limbeck.nn.fit import MomentumSGD
from limbeck.nn.networks import Network, choose, make
from limbeck.recipe import options
from limbeck.synthesize.base import Progress
from limbeck.synthesize.condense.base import Condenser
from limbeck.synthesize.condense.pixels import PixelDescent, Schedule
from limbeck.synthesize.form import Form

_WIDTH = 32
_REFERENCE_WIDTH = 128  # the published learning rate is stated for networks of this width
_TRAIN_BATCH = 256


@options
class GradientMatching(Condenser):
    """The loop that DC and DSA share; they differ in their defaults alone.

    Each of ``networks`` fresh networks sees ``outer`` steps of the images; after each but the last
    it is trained for ``inner`` epochs on the images.
    """

    augmented: bool = True
    networks: Annotated[int, Field(ge=1)] = 6
    outer: Annotated[int, Field(ge=1)] = 20
    inner: Annotated[int, Field(ge=0)] = 3
    network_rate: Annotated[float, Field(gt=0)] = 0.1
    batch: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    schedule: Schedule = "cosine"
    blur: Annotated[float, Field(ge=0)] = 1.0
    network: str | None = None
    width: Annotated[int, Field(ge=1)] | None = None

    # Learning rates that ``resolve`` fills in: from real images, and from others, which have
    # further to go.
    rates: ClassVar[tuple[float, float]] = (1.0, 4.0)

    @classmethod
    def reference(cls, *, ipc: int = 10) -> "GradientMatching":
        """The published loop: 1,000 networks of width 128, and 256 images of each class a step.

        ipc: 1, 10 or 50 have published loops; others get ``ipc`` steps of the images on each
        network and, in all, about the same 500 epochs of training.
        """
        return cls(
            ipc=ipc,
            networks=1000,
            outer=ipc,
            inner=1 if ipc == 1 else max(1, 500 // ipc),
            network_rate=0.01,
            batch=256,
            learning_rate=0.1,
            schedule="constant",
            blur=0.0,
            network="convnet3",
            width=_REFERENCE_WIDTH,
        )

    def resolve(self, private: LabeledDataset) -> "GradientMatching":
        self.check(private)
        network, width = choose(self.network, self.width, private.shape, narrow=_WIDTH)
        rate = self.learning_rate or self.rates[0 if self.start.access == "records" else 1]
        return replace(self, network=network, width=width, learning_rate=rate)

    def abridged(self, times: int = 1) -> tuple["GradientMatching", float]:
        # A network that stays as drawn has one costly step; the others of its steps are cheap.
        outer = min(self.outer, 3 * times) if self.inner else self.outer
        return replace(self, networks=1, outer=outer), self.networks * self.outer / outer

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        return self.resolve(private)._loop(private, seed, device, progress)

    def _loop(
        self, private: LabeledDataset, seed: int, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        assert self.learning_rate is not None, "resolve() comes first"
        form = Form.of(private)
        members = [(private.labels == c).nonzero()[:, 0] for c in range(len(form.classes))]
        steps = self.networks * self.outer
        descent = PixelDescent(
            self.initial(private, seed).to(device),
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            steps=steps,
            schedule=self.schedule,
            blur=self.blur,
        )
        coin = coins.generator(seed, "gradient matching")
        for step in range(steps):
            k, turn = divmod(step, self.outer)
            if turn == 0:
                network = self._fresh(form, coins.derive(seed, "network", k)).to(device)
            elif self.inner:
                self._train(network, self.decode(descent.images), form, coin)
            if turn == 0 or self.inner:
                # A network that does not move has the same gradients at all of its steps.
                transforms = [self._transform(coin, form) for _ in members]
                batches = [
                    own[torch.randperm(len(own), generator=coin)[: self.batch]] for own in members
                ]
                wanted = self._private_gradients(network, private, batches, transforms, device)
            slots = descent.images.requires_grad_()
            found = self._synthetic_gradients(network, self.decode(slots), transforms)
            loss = self._scale * cosine_distance(found, wanted)
            descent.step(torch.autograd.grad(loss, slots)[0])
            if progress is not None:
                progress((step + 1) / steps, self.made(descent.images, form))
        return self.made(descent.images, form)

    def _private_gradients(
        self,
        network: Network,
        private: LabeledDataset,
        batches: Sequence[Tensor],
        transforms: Sequence[augment.Transform],
        device: str,
    ) -> list[Tensor]:
        """Gradients of each class's batch; zero for a class that has no record."""
        # Maps of a block of classes stay in a CPU's cache; a GPU wants few and large blocks.
        longest = max(len(batch) for batch in batches)
        several = max(1, (128 if device == "cpu" else 4096) // longest)
        images = torch.zeros(len(batches), longest, *private.shape, device=device)
        shares = torch.zeros(len(batches), longest, device=device)
        for label, (batch, transform) in enumerate(zip(batches, transforms, strict=True)):
            if len(batch):
                images[label, : len(batch)] = transform(private.inputs[batch].to(device))
                shares[label, : len(batch)] = 1 / len(batch)
        labels = torch.arange(len(batches), device=device)
        blocks = zip(*(part.split(several) for part in (images, labels, shares)), strict=True)
        parts = [class_gradients(network, *block) for block in blocks]
        return [torch.cat(layer) for layer in zip(*parts, strict=True)]

    def _synthetic_gradients(
        self,
        network: Network,
        images: Float[Tensor, "images ..."],
        transforms: Sequence[augment.Transform],
    ) -> list[Tensor]:
        classes = zip(transforms, images.split(self.per_class), strict=True)
        moved = torch.stack([transform(own) for transform, own in classes])
        labels = torch.arange(len(moved), device=images.device)
        shares = moved.new_full(moved.shape[:2], 1 / self.per_class)
        return class_gradients(network, moved, labels, shares, differentiable=True)

    def _train(
        self,
        network: Network,
        images: Float[Tensor, "images ..."],
        form: Form,
        coin: torch.Generator,
    ) -> None:
        """``inner`` epochs on the synthetic images, each augmented on its own."""
        labels = self.labels(form).to(images.device)
        optimiser = MomentumSGD(network.parameters())
        for _ in range(self.inner):
            for chosen in torch.randperm(len(labels), generator=coin).split(_TRAIN_BATCH):
                chosen = chosen.to(images.device)
                moved = self._transform(coin, form, count=len(chosen))(images[chosen])
                loss = F.cross_entropy(network(moved), labels[chosen])
                optimiser.minimise(loss, self.network_rate)

    def _transform(self, coin: torch.Generator, form: Form, *, count: int = 1) -> augment.Transform:
        if not self.augmented:
            return augment.identity()
        return augment.draw(coin, form.shape, mirror=form.mirror, count=count)

    def _fresh(self, form: Form, seed: int) -> Network:
        assert self.network is not None, "resolve() comes first"
        return make(self.network, form.shape, len(form.classes), width=self.width, seed=seed)

    @property
    def _scale(self) -> float:
        # A narrow network has fewer rows in the distance: scaled to the published width, one
        # learning rate fits all. Other networks keep the plain distance.
        convolves = self.network is not None and self.network.startswith("convnet")
        return _REFERENCE_WIDTH / self.width if convolves and self.width else 1.0
