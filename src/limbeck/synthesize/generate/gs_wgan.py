"""GS-WGAN: a generator that learns from sanitised gradients of critics on shards of the records."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.critics import Critics, slopes, wasserstein_loss
from limbeck.nn.fit import Adam
from limbeck.nn.generator import Generator
from limbeck.privacy.budget import Budget
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress
from limbeck.synthesize.form import Form
from limbeck.synthesize.generate.drawing import Drawing
from limbeck.synthesize.generate.guided import Guided
from limbeck.synthesize.private import PrivateSynthesizer


@register(
    "gs-wgan",
    kind="synthesizer",
    summary="A generator learns from noisy, clipped gradients of critics on shards of the records",
    paper="Chen, Orekondy & Fritz 2020, arXiv 2006.08265",
    access="records",
    guarantee="(epsilon, delta), also mu-GDP",
    cost="1,400 images of 8x8: 15 CPU-seconds",
)
@options
class GSWGAN(PrivateSynthesizer):
    """Train a generator on what Wasserstein critics say of its images, by noisy gradients alone.

        g~_i = sum_k cut(grad_x D_k(x_i)) / sqrt(b) + noise,   cut to length ``clip``

    for image x_i of the b generated of its class. Each critic D_k has one shard of one class's
    records to itself and never leaves it; the generator sees g~ only (Chen et al. 2020, section 4:
    since critics with gradient penalty have slopes near 1, cutting to 1 costs little).

    The published loop asks one random critic a step and counts on nobody knowing which. Its
    guarantee would need critics that do not tell: there, they are trained only when asked. Here all
    critics are trained and asked in every step. A record moves one critic's answer, the sum has as
    many times the signal, and steps compose as plain Gaussian releases (docs/private-methods.md).
    Shards are of one class, so that a record moves the gradients of its class alone.

    ipc: images of each class that are drawn.
    shards: of each class; more of them drown the noise, as long as a shard has a few records.
    steps: noisy gradients, of ``batch`` images of each class. clip: of one image's gradient.
    warmup, critic_steps: of all critics, on ``critic_batch`` records each: before the first step,
        and before every step. They are free: what they learn is not released.
    penalty, critic_rate, critic_width: of the critics. learning_rate: of the generator's Adam.
    width, code: of the generator (see ``nn.generator``), of whose weights a running mean is used.
    """

    ipc: Annotated[int, Field(ge=1)] = 100
    shards: Annotated[int, Field(ge=1)] = 50
    steps: Annotated[int, Field(ge=1)] = 150
    batch: Annotated[int, Field(ge=1)] = 10
    clip: Annotated[float, Field(gt=0)] = 1.0
    warmup: Annotated[int, Field(ge=0)] = 50
    critic_steps: Annotated[int, Field(ge=1)] = 3
    critic_batch: Annotated[int, Field(ge=1)] = 8
    penalty: Annotated[float, Field(gt=0)] = 10.0
    critic_rate: Annotated[float, Field(gt=0)] = 0.01
    critic_width: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 0.003
    width: Annotated[int, Field(ge=1)] = 8
    code: Annotated[int, Field(ge=1)] = 4

    def abridged(self, times: int = 1) -> tuple["GSWGAN", float]:
        steps = min(self.steps, 5 * times)
        # A step takes little more than what critics learn in it.
        whole = self.steps + self.warmup / self.critic_steps
        return replace(self, steps=steps, warmup=0), whole / steps

    def publish(
        self, budget: Budget, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        generator = Generator(
            form.shape, len(form.classes), code=self.code, width=self.width, seed=seed
        )
        guided = Guided(
            generator.to(device),
            Drawing(self, form, self.ipc, seed, device),
            steps=self.steps,
            batch=self.batch,
            learning_rate=self.learning_rate,
            seed=seed,
            device=device,
            momentum=0.5,
        )
        private = budget.shards(
            "gradients of critics",
            shards=self.shards,
            norm=self.clip,
            count=self.steps,
            share=1.0,
            device=device,
        )
        critics = ShardCritics(self, form, seed, device)
        for step in range(self.steps):
            images = guided.images()
            with torch.no_grad():
                turns = self.critic_steps + (self.warmup if step == 0 else 0)
                fakes = [guided.images() for _ in range(turns)]
            answers = private.step(partial(critics.answer, fakes, images.detach()))
            # What critics take for more real lies up their slopes.
            guided.follow(images, -answers.reshape(images.shape), step, progress)
        return guided.drawn()


class ShardCritics:
    """One critic a shard, class by class: private, for it is made of records.

    Its answers depend on its own shard's records, the images that it was shown, and public coins.
    """

    def __init__(self, method: GSWGAN, form: Form, seed: int, device: str) -> None:
        self._method, self._shards = method, method.shards
        count, size = len(form.classes) * method.shards, math.prod(form.shape)
        drawn = coins.derive(seed, "critics")
        self._critics = Critics(count, size, width=method.critic_width, seed=drawn).to(device)
        self._optimiser = Adam(self._critics.parameters(), momentum=0.5)
        self._coins = coins.generator(seed, "batches")

    def answer(
        self,
        fakes: Sequence[Float[Tensor, "classes b ..."]],
        images: Float[Tensor, "classes b ..."],
        records: Float[Tensor, "shards m ..."],
        sizes: Int64[Tensor, " shards"],
    ) -> Float[Tensor, "shards b d"]:
        """Each critic's gradients at its class's images, each cut, of norm ``clip`` in all.

        Before that every critic takes a step on each of ``fakes``.
        """
        for fake in fakes:
            self._learn(fake, records, sizes)
        found = slopes(self._critics, images.repeat_interleave(self._shards, 0)).flatten(2)
        lengths = torch.linalg.vector_norm(found, dim=2, keepdim=True)
        short = (self._method.clip / lengths.clamp(min=1e-12)).clamp(max=1)
        answers: Tensor = found * short / math.sqrt(images.shape[1])
        return answers

    def _learn(
        self,
        fake: Float[Tensor, "classes b ..."],
        records: Float[Tensor, "shards m ..."],
        sizes: Int64[Tensor, " shards"],
    ) -> None:
        """One step of every critic: random records of its shard against generated ones."""
        method, device = self._method, records.device
        each = (len(records), method.critic_batch)
        rows = torch.arange(len(records), device=device)[:, None]
        # Uniform numbers times a shard's size: no shard's draw depends on another's.
        places = torch.rand(each, generator=self._coins).to(device) * sizes[:, None]
        real = records[rows, places.long()]
        which = torch.randint(fake.shape[1], each, generator=self._coins).to(device)
        shown = fake[rows // self._shards, which]
        shares = torch.rand(each, generator=self._coins).to(device)
        loss = wasserstein_loss(self._critics, real, shown, shares, method.penalty)
        self._optimiser.minimise(loss, method.critic_rate)
