"""Statistic matching: images whose statistics, under random embeddings, are those of the data.

The distribution-matching family shares everything but the statistics and their distance: a pool
of random embeddings or a fresh one at every step, one reading of the private data or minibatches.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn import augment, networks
from limbeck.recipe import options
from limbeck.synthesize import statistics
from limbeck.synthesize.base import Progress, Reading, SumSynthesizer
from limbeck.synthesize.condense.base import Condenser
from limbeck.synthesize.condense.pixels import PixelDescent, Schedule
from limbeck.synthesize.form import Form
from limbeck.synthesize.statistics import Sums

_REFERENCE_WIDTH = 128  # the published learning rates are stated for embeddings of this width


@options
class StatisticMatching(Condenser, SumSynthesizer):
    """Minimise a distance between statistics of the private and the synthetic images.

    A subclass gives ``distance``, and the features whose sums it compares where these are not
    the embeddings themselves (``first``) or where it needs their products (``second``).

    form "sums": embeddings and augmentations come from a fixed pool of ``pairs`` drawn from
    ``public_coins``. Every record is embedded ``pairs_per_record`` times in all, whatever the
    number of steps or of shadow runs, and only sums are used afterwards.
    form "minibatch": a fresh network and augmentation every step, from the run's own seed, and
    ``batch`` private images of each class.
    """

    form: Literal["sums", "minibatch"] = "sums"
    steps: Annotated[int, Field(ge=1)] = 100
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    schedule: Schedule = "cosine"
    blur: Annotated[float, Field(ge=0)] = 1.0
    network: str | None = None
    width: Annotated[int, Field(ge=1)] | None = None
    augmented: bool = True
    pairs: Annotated[int, Field(ge=1)] = 50
    pairs_per_record: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=1)] = 256
    public_coins: int = 0

    # Learning rates that ``resolve`` fills in for ten images per class: from private images, and
    # from others, which have further to go. Widths by form.
    rates: ClassVar[tuple[float, float]]
    widths: ClassVar[dict[str, int]] = {"sums": 32, "minibatch": _REFERENCE_WIDTH}
    one_transform: ClassVar[bool] = False
    """Whether all classes of a minibatch get one transform: statistics across classes need it."""

    @abstractmethod
    def distance(
        self, features: Float[Tensor, "runs classes m d"], target: Sums, k: int
    ) -> Float[Tensor, ""]:
        """Distance, summed over runs, of the synthetic features from the private sums.

        features: of the ``m`` synthetic images of each class, before ``first`` and ``second``.
        k: the key of the network that embeds, which ``first`` and ``second`` are given too.
        """

    def first(self, embedded: Float[Tensor, "n d"], k: int) -> Float[Tensor, "n p"]:
        """Features whose sums by class are compared; of each record's embedding alone."""
        return embedded

    second: ClassVar[Callable[..., Tensor] | None] = None
    """As ``first``: features whose products are summed over all classes; None: not needed."""

    def resolve(self, private: LabeledDataset) -> "StatisticMatching":
        self.check(private)
        network, width = networks.choose(
            self.network, self.width, private.shape, narrow=self.widths[self.form]
        )
        rate = self.learning_rate or self._rate()
        known = replace(self, network=network, width=width, learning_rate=rate)
        if self.form == "minibatch":
            return known
        if self.pairs_per_record is None:
            per_record = statistics.enough_pairs(len(private), len(private.classes), self.pairs)
            return replace(known, pairs_per_record=per_record)
        if self.pairs_per_record > self.pairs:
            raise OptionError(
                f"{self.method_name}: pairs_per_record is {self.pairs_per_record}, but there are "
                f"only {self.pairs} pairs; lower it or raise pairs"
            )
        return known

    def abridged(self, times: int = 1) -> tuple["StatisticMatching", float]:
        steps = min(self.steps, 3 * times)
        return replace(self, steps=steps), self.steps / steps

    def read(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> Reading | None:
        """Sums under every pair, and the initial images where they are private.

        None for the minibatch form: it reads private data at every step.
        """
        if self.form == "minibatch":
            return None
        this = self.resolve(private)
        reading = statistics.sums(
            private,
            membership,
            this._pool(Form.of(private)),
            this.pairs_per_record or 1,
            first=this.first,
            second=this.second,
            device=device,
            progress=progress,
        )
        initial = this.initial_of_runs(private, membership, seeds)
        return reading if initial is None else {**reading, "initial": initial}

    def craft(
        self,
        reading: Reading,
        form: Form,
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> list[SyntheticDataset]:
        """Optimise the images of each run against its sums.

        A GPU takes all runs at once: they share networks and augmentations, so that their images
        are one batch. On a CPU one run at a time stays in the cache and is faster.
        """
        together = 1 if device == "cpu" else len(seeds)
        pool = self._pool(form)
        pairs = [pool.pair(k, device) for k in range(min(self.pairs, self.steps))]
        found: list[SyntheticDataset] = []
        for start in range(0, len(seeds), together):
            rows = slice(start, start + together)
            part = {name: values[rows] for name, values in reading.items()}
            found += self._craft_together(part, form, seeds[rows], pairs, device, progress)
        return found

    def _craft_together(
        self,
        reading: Reading,
        form: Form,
        seeds: Sequence[int],
        pairs: Sequence[statistics.Pair],
        device: str,
        progress: Progress | None,
    ) -> list[SyntheticDataset]:
        runs, classes = len(seeds), len(form.classes)
        if "initial" in reading:
            initial = reading["initial"]
        else:
            initial = torch.stack([self.data_free(form, seed) for seed in seeds])
        descent = self._descent(initial.flatten(0, 1).to(device))
        for step in range(self.steps):
            k = step % len(pairs)
            network, transform = pairs[k]
            slots = descent.images.requires_grad_()
            embedded = network.embed(transform(self.decode(slots)))
            several = embedded.unflatten(0, (runs, classes, self.per_class))
            loss = self._scale * self.distance(several, _of_pair(reading, k, device), k)
            descent.step(torch.autograd.grad(loss, slots)[0])
            if progress is not None:
                first = descent.images[: classes * self.ipc]
                progress((step + 1) / self.steps, self.made(first, form))
        finished = descent.images.unflatten(0, (runs, classes * self.ipc))
        return [self.made(slots, form) for slots in finished]

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        this = self.resolve(private)
        if self.form == "sums":
            return SumSynthesizer.synthesize(
                this, private, seed=seed, device=device, progress=progress
            )
        return this._loop(private, seed, device, progress)

    def _loop(
        self, private: LabeledDataset, seed: int, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        """At each step a fresh network sees minibatches of both sides (the published loop)."""
        form, classes = Form.of(private), len(private.classes)
        members = [(private.labels == c).nonzero()[:, 0] for c in range(classes)]
        descent = self._descent(self.initial(private, seed).to(device))
        coin = coins.generator(seed, "minibatch")
        for step in range(self.steps):
            k = coins.derive(seed, "network", step)
            network = networks.make(
                self._embedder, private.shape, classes, width=self.width, seed=k
            ).to(device)
            network.requires_grad_(False)
            if self.one_transform:
                transforms = [self._transform(coin, form)] * classes
            else:
                transforms = [self._transform(coin, form) for _ in range(classes)]
            batches = [
                own[torch.randperm(len(own), generator=coin)[: self.batch]] for own in members
            ]
            target = self._sums_of(private, batches, network, transforms, k, device)
            slots = descent.images.requires_grad_()
            images = self.decode(slots).split(self.per_class)
            moved = torch.cat([t(own) for t, own in zip(transforms, images, strict=True)])
            several = network.embed(moved).unflatten(0, (1, classes, self.per_class))
            loss = self._scale * self.distance(several, target, k)
            descent.step(torch.autograd.grad(loss, slots)[0])
            if progress is not None:
                progress((step + 1) / self.steps, self.made(descent.images, form))
        return self.made(descent.images, form)

    @torch.no_grad()
    def _sums_of(
        self,
        private: LabeledDataset,
        batches: Sequence[Tensor],
        network: networks.Network,
        transforms: Sequence[augment.Transform],
        k: int,
        device: str,
    ) -> Sums:
        """The sums of one minibatch, as ``statistics.sums`` gives those of all records."""
        embedded = [
            network.embed(transform(private.inputs[batch].to(device)))
            for batch, transform in zip(batches, transforms, strict=True)
        ]
        second = None if self.second is None else self.second(torch.cat(embedded), k)
        return Sums(
            torch.stack([self.first(own, k).sum(0) for own in embedded])[None],
            torch.tensor([[float(len(own)) for own in embedded]], device=device),
            None if second is None else (second.mT @ second)[None],
        )

    def _rate(self) -> float:
        # Of a mean over m images each feels a share of 1/m: longer steps move them alike.
        private, other = self.rates
        return (private if self.start.access == "records" else other) * self.per_class / 10

    @property
    def _scale(self) -> float:
        # A narrow embedder has fewer terms in the distance: scaled to the published width, one
        # learning rate fits all. Other networks (mlp, linear) keep the plain distance.
        if self.width is not None and self._embedder.startswith("convnet"):
            return _REFERENCE_WIDTH / self.width
        return 1.0

    def _transform(self, coin: torch.Generator, form: Form) -> augment.Transform:
        if not self.augmented:
            return augment.identity()
        return augment.draw(coin, form.shape, mirror=form.mirror)

    def _descent(self, initial: Float[Tensor, "slots ..."]) -> PixelDescent:
        assert self.learning_rate is not None, "resolve() comes first"
        return PixelDescent(
            initial,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            steps=self.steps,
            schedule=self.schedule,
            blur=self.blur,
        )

    @property
    def _embedder(self) -> str:
        assert self.network is not None, "resolve() comes first"
        return self.network

    def pool(self, private: LabeledDataset) -> tuple[statistics.Pool, int]:
        """The public pool of form "sums", and how many of its pairs each record enters.

        Both follow from public coins and the size of the data: an attacker is taken to know them.
        """
        this = self.resolve(private)
        return this._pool(Form.of(private)), this.pairs_per_record or 1

    def _pool(self, form: Form) -> statistics.Pool:
        return statistics.Pool(
            network=self._embedder,
            width=self.width,
            size=self.pairs,
            augmented=self.augmented,
            public_coins=self.public_coins,
            shape=form.shape,
            classes=len(form.classes),
            mirror=form.mirror,
        )


def _of_pair(reading: Reading, k: int, device: str) -> Sums:
    second = reading["second"][:, k].to(device) if "second" in reading else None
    return Sums(reading["first"][:, k].to(device), reading["counts"][:, k].to(device), second)
