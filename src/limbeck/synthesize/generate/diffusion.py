"""Class-conditional diffusion: DDPM training, DDIM sampling, from noise or from private images."""

import math
from dataclasses import replace
from importlib.util import find_spec
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn.average import Average
from limbeck.nn.fit import Adam, cosine
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress, Synthesizer
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import labels
from limbeck.synthesize.initialise.real import pick

_AT_ONCE = 500  # images that are sampled together
_LAST = 10  # the running mean of weights goes over about one in so many of the steps


@register(
    "diffusion",
    kind="synthesizer",
    summary="A class-conditional diffusion model trained on the private records",
    paper="Ho, Jain & Abbeel 2020, arXiv 2006.11239",
    access="records",
    guarantee="none",
    cost="1,400 images of 8x8: 34 to 44 CPU-seconds",
)
@options
class Diffusion(Synthesizer):
    """Train a U-Net to find the noise in noised records, and sample by taking it away.

        L = | e - U(sqrt(a_t) x + sqrt(1 - a_t) e, t, y) |^2,   e ~ N(0, I), t uniform in 1..1000

    with x scaled to [-1, 1] and a_t the product of 1 - beta up to t, beta from 1e-4 to 0.02 (Ho et
    al. 2020, equation 14). Sampling goes through ``jumps`` of the 1000 times without noise of its
    own (DDIM: Song et al. 2021, arXiv 2010.02502, equation 12, eta = 0). Labels are uniform:
    ``ipc`` of each class.

    start: "label": from noise, told the label alone. "image": from private images of the label,
        noised up to the time ``strength`` of 1000 and sampled from there: 1 is nearly noise, small
        numbers give the private images back.
    steps, batch: of training. learning_rate: of Adam, falling to zero as a cosine.
    width: of the U-Net (see ``nn.denoiser``), of whose weights a running mean samples.
    jumps: of sampling from noise; from private images, ``strength`` of them.

    U-Net, noising and sampling are those of ``diffusers``. Serves images; tables are refused.
    """

    ipc: Annotated[int, Field(ge=1)] = 100
    start: Literal["label", "image"] = "label"
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    steps: Annotated[int, Field(ge=1)] = 400
    batch: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.002
    width: Annotated[int, Field(ge=1)] = 16
    jumps: Annotated[int, Field(ge=1, le=1000)] = 20

    @property
    def holds_real_records(self) -> bool:
        """Starting from private images, the noise on them is none that a proof rests on."""
        return self.start == "image"

    @property
    def needs_per_class(self) -> int:
        return self.ipc if self.start == "image" else 0

    def resolve(self, private: LabeledDataset) -> "Diffusion":
        """Refuses tables, classes with fewer records than the starts need, and a missing extra."""
        if not private.is_images:
            raise OptionError(
                f"diffusion: records of {private.name} have shape {private.shape}; it needs images "
                "of shape (channels, height, width): for tables use cgan"
            )
        self.require_records(private)
        if find_spec("diffusers") is None:
            raise OptionError(
                "diffusion needs diffusers; install it with pip install 'limbeck[generate]'"
            )
        return self

    def abridged(self, times: int = 1) -> tuple["Diffusion", float]:
        # Sampling costs as much as many steps of training: it is shortened alike, to whole jumps.
        steps = min(self.steps, max(10, math.ceil(self.steps / self.jumps)) * times)
        jumps = max(1, round(self.jumps * steps / self.steps))
        return replace(self, steps=steps, jumps=jumps), self.steps / steps

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        self.resolve(private)
        # Not at the top: without the extra the method is still listed, and this takes seconds.
        from limbeck.nn.denoiser import Denoiser
        from limbeck.synthesize.generate.denoising import TIMES, backwards, denoised, forwards

        form = Form.of(private)
        noise = Denoiser(form.shape, len(form.classes), width=self.width, seed=seed).to(device)
        process = forwards()
        optimiser = Adam(noise.parameters())
        average = Average(noise, max(0.0, 1 - _LAST / self.steps))
        drawn = coins.generator(seed, "training")
        for step in range(self.steps):
            at = torch.randint(len(private), (self.batch,), generator=drawn)
            times = torch.randint(TIMES, (self.batch,), generator=drawn).to(device)
            images, known = private.inputs[at].to(device), private.labels[at].to(device)
            added = torch.randn(images.shape, generator=drawn).to(device)
            noisy = process.add_noise(2 * images - 1, added, times)
            loss = F.mse_loss(noise(noisy, times, known), added)
            optimiser.minimise(loss, self.learning_rate * cosine(step, self.steps))
            average.follow(noise)
            if progress is not None:
                # Sampling takes long: no state is shown on the way.
                progress((step + 1) / self.steps, None)

        wanted = labels(len(form.classes), self.ipc)
        images = torch.randn(len(wanted), *form.shape, generator=coins.generator(seed, "images"))
        back = backwards(self.jumps, 1.0 if self.start == "label" else self.strength)
        if self.start == "image":
            everyone = torch.ones(len(private), dtype=torch.bool)
            chosen = private.inputs[pick(private, everyone, self.ipc, seed)]
            images = back.add_noise(2 * chosen - 1, images, back.timesteps[:1])
        blocks = zip(images.split(_AT_ONCE), wanted.split(_AT_ONCE), strict=True)
        made = [
            denoised(average.network, back, x.to(device), y.to(device)).cpu() for x, y in blocks
        ]
        return self.release(((torch.cat(made) + 1) / 2).clamp(0, 1), wanted, form)
