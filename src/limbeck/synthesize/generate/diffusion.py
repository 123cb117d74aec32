"""Class-conditional diffusion: DDPM training, DDIM sampling, from noise or from private images."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn.average import Average
from limbeck.nn.fit import Adam, cosine
from limbeck.nn.unet import UNet
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress, Synthesizer
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import labels
from limbeck.synthesize.initialise.real import pick

TIMES = 1000  # of the forward process, T in the papers
_AT_ONCE = 500  # images that are sampled together
_LAST = 10  # the running mean of weights goes over about one in so many of the steps


@register(
    "diffusion",
    kind="synthesizer",
    summary="A class-conditional diffusion model trained on the private records",
    paper="Ho, Jain & Abbeel 2020, arXiv 2006.11239",
    access="records",
    guarantee="none",
    cost="1,400 images of 8x8: 35 CPU-seconds",
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
    width: of the U-Net (see ``nn.unet``), of whose weights a running mean samples.

    Serves images; tables are refused.
    """

    ipc: Annotated[int, Field(ge=1)] = 100
    start: Literal["label", "image"] = "label"
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    steps: Annotated[int, Field(ge=1)] = 600
    batch: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.002
    width: Annotated[int, Field(ge=1)] = 16
    jumps: Annotated[int, Field(ge=1, le=TIMES)] = 20

    @property
    def holds_real_records(self) -> bool:
        """Starting from private images, the noise on them is none that a proof rests on."""
        return self.start == "image"

    @property
    def needs_per_class(self) -> int:
        return self.ipc if self.start == "image" else 0

    def resolve(self, private: LabeledDataset) -> "Diffusion":
        """Refuses tables, and classes with fewer records than the starts need."""
        if not private.is_images:
            raise OptionError(
                f"diffusion: records of {private.name} have shape {private.shape}; it needs images "
                "of shape (channels, height, width): for tables use cgan"
            )
        self.require_records(private)
        return self

    def abridged(self) -> tuple["Diffusion", float]:
        steps = min(self.steps, 10)
        return replace(self, steps=steps), self.steps / steps

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        self.resolve(private)
        form = Form.of(private)
        noise = UNet(form.shape, len(form.classes), width=self.width, seed=seed).to(device)
        kept = signal(device)
        decay = max(0.0, 1 - _LAST / self.steps)
        optimiser, average = Adam(noise.parameters()), Average(noise, decay)
        drawn = coins.generator(seed, "training")
        for step in range(self.steps):
            at = torch.randint(len(private), (self.batch,), generator=drawn)
            times = torch.randint(1, TIMES + 1, (self.batch,), generator=drawn).to(device)
            images, known = private.inputs[at].to(device), private.labels[at].to(device)
            added = torch.randn(images.shape, generator=drawn).to(device)
            noisy = noised(2 * images - 1, added, kept[times])
            loss = F.mse_loss(noise(noisy, times / TIMES, known), added)
            rate = self.learning_rate * cosine(step, self.steps)
            optimiser.minimise(loss, rate)
            average.follow(noise)
            if progress is not None:
                # Sampling takes long: no state is shown on the way.
                progress((step + 1) / self.steps, None)
        return self._sampled(average.network, private, form, seed, device)

    def _sampled(
        self, noise: UNet, private: LabeledDataset, form: Form, seed: int, device: str
    ) -> SyntheticDataset:
        wanted = labels(len(form.classes), self.ipc)
        added = torch.randn(len(wanted), *form.shape, generator=coins.generator(seed, "images"))
        times = ladder(self.jumps, 1.0)
        if self.start == "image":
            times = ladder(self.jumps, self.strength)
            everyone = torch.ones(len(private), dtype=torch.bool)
            chosen = private.inputs[pick(private, everyone, self.ipc, seed)]
            added = noised(2 * chosen - 1, added, signal("cpu")[times[:1]])
        blocks = zip(added.split(_AT_ONCE), wanted.split(_AT_ONCE), strict=True)
        made = [denoised(noise, x.to(device), y.to(device), times).cpu() for x, y in blocks]
        images = ((torch.cat(made) + 1) / 2).clamp(0, 1)
        return self.release(images, wanted, form)


def signal(device: str) -> Float[Tensor, " times"]:
    """a_t for t from 0 to 1000: the share of a noised record's variance that is the record's."""
    betas = torch.linspace(1e-4, 0.02, TIMES, dtype=torch.float64)
    shares = torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)])
    return shares.float().to(device)


def noised(
    images: Float[Tensor, "n c h w"], added: Float[Tensor, "n c h w"], kept: Float[Tensor, " k"]
) -> Float[Tensor, "n c h w"]:
    """sqrt(a) x + sqrt(1 - a) e; one share a for all images, or one each."""
    share = kept.view(-1, 1, 1, 1)
    found: Tensor = share.sqrt() * images + (1 - share).sqrt() * added
    return found


def ladder(jumps: int, strength: float) -> Int64[Tensor, " steps"]:
    """Times from ``strength`` of 1000 down to 0, as many jumps as that share of ``jumps``."""
    count = max(1, round(jumps * strength))
    return torch.linspace(max(1.0, TIMES * strength), 0, count + 1).round().long()


@torch.no_grad()
def denoised(
    noise: UNet,
    images: Float[Tensor, "n c h w"],
    known: Int64[Tensor, " n"],
    times: Int64[Tensor, " steps"],
) -> Float[Tensor, "n c h w"]:
    """Images of the first time taken to the last, without noise of its own (DDIM, eta = 0)."""
    kept = signal(str(images.device))
    for now, then in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        found = noise(images, torch.full_like(known, now) / TIMES, known)
        clean = ((images - (1 - kept[now]).sqrt() * found) / kept[now].sqrt()).clamp(-1, 1)
        # What is left of the noise once the record was cut to its range.
        found = (images - kept[now].sqrt() * clean) / (1 - kept[now]).sqrt()
        images = kept[then].sqrt() * clean + (1 - kept[then]).sqrt() * found
    return images
