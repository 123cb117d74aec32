"""Distribution matching (DM): synthetic images whose class means match under random embeddings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal

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
from limbeck.registry import register
from limbeck.synthesize import statistics
from limbeck.synthesize.base import Form, Progress, Reading, SumSynthesizer
from limbeck.synthesize.condense import initialise
from limbeck.synthesize.condense.pixels import PixelDescent, Schedule

_REFERENCE_WIDTH = 128  # the published learning rates are stated for embeddings of this width


@register(
    "dm",
    kind="synthesizer",
    summary="Distribution matching: class means agree under many random embeddings",
    paper="Zhao & Bilen 2023, arXiv 2110.04181",
    access="sums",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: under a CPU-minute (sums form)",
)
@options
class DistributionMatching(SumSynthesizer):
    """Minimise, over synthetic images S, the distance between class means of embeddings.

        L(S) = (128 / width) * sum_c | mean_{x in T_c} psi(A(x)) - mean_{s in S_c} psi(A(s)) |^2

    with psi a randomly initialised network and A a siamese augmentation (Zhao & Bilen 2023, eq. 4).
    Images move by SGD with momentum and are clamped to [0, 1].

    form "sums" (default): psi and A come from a fixed pool of ``pairs`` drawn from
    ``public_coins``. Every record is embedded ``pairs_per_record`` times in all, whatever the
    number of steps or of shadow runs, and only class sums of embeddings are used afterwards.
    form "minibatch": the published loop. A fresh network and augmentation every step, from the
    run's own seed, and ``batch`` private images of each class. ``reference()`` gives its options.

    ipc: images per class. init: "real" (random members, visible in the result) or "noise".
    network, width: the embedder. None: a ConvNet as deep as the images allow, up to 3, and the
    form's own width (32, or 128 for "minibatch"); "mlp" for records that are no images.
    learning_rate: in units of pixels with the standard deviation of images, as published. None: 2
    from real images, 10 from noise, which has further to go.
    blur: standard deviation, in pixels, of a Gaussian that smooths the gradient; 0 leaves it.
    schedule: learning rate over the steps, "constant" or "cosine" to zero.
    pairs_per_record: None lets ``resolve`` choose about 64 records per class and pair.

    Reads: sums of embeddings and class counts; with init "real" also ``ipc`` records per class.
    Gives no formal guarantee: the sums carry no noise.
    """

    ipc: Annotated[int, Field(ge=1)] = 10
    init: initialise.Init = "real"
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

    @classmethod
    def reference(
        cls, *, ipc: int = 10, init: initialise.Init = "real", steps: int = 20_000
    ) -> "DistributionMatching":
        """The published loop and its options: 20,000 steps of 256 images per class, width 128."""
        return cls(
            ipc=ipc,
            init=init,
            form="minibatch",
            steps=steps,
            learning_rate=1.0 if ipc < 100 else 10.0,
            schedule="constant",
            blur=0.0,
            network="convnet3",
        )

    @property
    def holds_real_records(self) -> bool:
        return initialise.ACCESS[self.init] == "records"

    @property
    def needs_per_class(self) -> int:
        return self.ipc if self.init == "real" else 0

    def resolve(self, private: LabeledDataset) -> "DistributionMatching":
        self.require_records(private)
        network = self.network or _deepest(private)
        networks.make(network, private.shape, 2, width=1, seed=0)  # refuses what it cannot serve
        width = _REFERENCE_WIDTH if self.form == "minibatch" else 32
        known = replace(
            self,
            network=network,
            width=self.width or (width if network.startswith("convnet") else None),
            learning_rate=self.learning_rate or (2.0 if self.init == "real" else 10.0),
        )
        if self.form == "minibatch":
            return known
        if self.pairs_per_record is None:
            per_record = statistics.enough_pairs(len(private), len(private.classes), self.pairs)
            return replace(known, pairs_per_record=per_record)
        if self.pairs_per_record > self.pairs:
            raise OptionError(
                f"dm: pairs_per_record is {self.pairs_per_record}, but there are only "
                f"{self.pairs} pairs; lower it or raise pairs"
            )
        return known

    def abridged(self) -> tuple["DistributionMatching", float]:
        steps = min(self.steps, 3)
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
        """Class sums and counts under every pair, and the initial images where they are private.

        None for the minibatch form: it reads private data at every step.
        """
        if self.form == "minibatch":
            return None
        this = self.resolve(private)
        sums, counts = statistics.class_sums(
            private,
            membership,
            this._pool(Form.of(private)),
            this.pairs_per_record or 1,
            device=device,
            progress=progress,
        )
        reading = {"sums": sums, "counts": counts}
        if self.init == "real":
            rows = zip(membership, seeds, strict=True)
            reading["initial"] = torch.stack(
                [initialise.real(private, row, self.ipc, seed) for row, seed in rows]
            )
        return reading

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
            drawn = [initialise.noise(form.shape, classes, self.ipc, seed) for seed in seeds]
            initial = torch.stack(drawn)
        counts = reading["counts"].to(device)
        means = reading["sums"].to(device) / counts.clamp(min=1)[..., None]
        seen = counts > 0  # a class that no record of this pair belongs to pulls nowhere
        descent = self._descent(initial.flatten(0, 1).to(device))
        for step in range(self.steps):
            k = step % len(pairs)
            network, transform = pairs[k]
            images = descent.images.requires_grad_()
            embedded = network.embed(transform(images))
            centres = embedded.unflatten(0, (runs, classes, self.ipc)).mean(2)
            loss = self._loss(centres, means[:, k], seen[:, k])
            descent.step(torch.autograd.grad(loss, images)[0])
            if progress is not None:
                state = descent.images[: classes * self.ipc]
                progress((step + 1) / self.steps, self._made(state, form))
        finished = descent.images.detach().unflatten(0, (runs, classes * self.ipc))
        return [self._made(images, form) for images in finished]

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
            return super(DistributionMatching, this).synthesize(
                private, seed=seed, device=device, progress=progress
            )
        return this._loop(private, seed, device, progress)

    def _loop(
        self, private: LabeledDataset, seed: int, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        """The published loop: at each step a fresh network sees minibatches of both sides."""
        form, classes = Form.of(private), len(private.classes)
        if self.init == "real":
            everyone = torch.ones(len(private), dtype=torch.bool)
            initial = initialise.real(private, everyone, self.ipc, seed)
        else:
            initial = initialise.noise(private.shape, classes, self.ipc, seed)
        members = [(private.labels == c).nonzero()[:, 0] for c in range(classes)]
        seen = torch.tensor([[len(own) > 0 for own in members]], device=device)
        descent = self._descent(initial.to(device))
        coin = coins.generator(seed, "dm", "minibatch")
        for step in range(self.steps):
            network = networks.make(
                self._embedder,
                private.shape,
                classes,
                width=self.width,
                seed=coins.derive(seed, "dm", "network", step),
            ).to(device)
            network.requires_grad_(False)
            images = descent.images.requires_grad_()
            transforms = [self._transform(coin, form) for _ in range(classes)]
            targets = []
            for own, transform in zip(members, transforms, strict=True):
                batch = own[torch.randperm(len(own), generator=coin)[: self.batch]]
                with torch.no_grad():
                    real = network.embed(transform(private.inputs[batch].to(device)))
                # A class without a record has the mean zero here and pulls nowhere.
                targets.append(real.sum(0) / max(1, len(batch)))
            moved = [t(own) for t, own in zip(transforms, images.split(self.ipc), strict=True)]
            centres = network.embed(torch.cat(moved)).unflatten(0, (1, classes, self.ipc)).mean(2)
            loss = self._loss(centres, torch.stack(targets)[None], seen)
            descent.step(torch.autograd.grad(loss, images)[0])
            if progress is not None:
                progress((step + 1) / self.steps, self._made(descent.images, form))
        return self._made(descent.images, form)

    def _loss(
        self,
        centres: Float[Tensor, "runs classes d"],
        means: Float[Tensor, "runs classes d"],
        seen: Bool[Tensor, "runs classes"],
    ) -> Float[Tensor, ""]:
        # A narrow embedder has fewer terms in the distance: scaled to the published width, one
        # learning rate fits all. Other networks (mlp, linear) keep the plain distance.
        scale = 1.0
        if self.width is not None and self._embedder.startswith("convnet"):
            scale = _REFERENCE_WIDTH / self.width
        distances: Tensor = (centres - means).square().sum(2)
        return scale * (distances * seen).sum()

    def _transform(self, coin: torch.Generator, form: Form) -> augment.Transform:
        if not self.augmented:
            return augment.identity()
        return augment.draw(coin, form.shape, mirror=form.mirror)

    def _descent(self, initial: Float[Tensor, "n ..."]) -> PixelDescent:
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

    def _made(self, images: Float[Tensor, "n ..."], form: Form) -> SyntheticDataset:
        labels = initialise.labels(len(form.classes), self.ipc)
        return self.release(images.detach().cpu(), labels, form)


def _deepest(data: LabeledDataset) -> str:
    """The ConvNet whose last maps are at least 2x2 before pooling; three blocks suffice."""
    if not data.is_images:
        return "mlp"
    return f"convnet{min(3, max(1, min(data.shape[1:]).bit_length() - 2))}"
