"""DP-KIP: kernel inducing points moved by clipped and noised gradients of single records."""

import math
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.fit import Adam
from limbeck.nn.ridge import ridge_loss
from limbeck.privacy.budget import Budget
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress
from limbeck.synthesize.condense.kip import TangentKernel
from limbeck.synthesize.condense.private import SampledCondenser
from limbeck.synthesize.form import Form

_AT_ONCE = 1 << 21  # numbers of the images that single records see, held at once: 8 MiB


@register(
    "dp-kip",
    kind="synthesizer",
    summary="Kernel ridge regression on the synthetic images predicts the private ones, by DP-Adam",
    paper="Vinaroz & Park 2024, arXiv 2301.13389",
    access="records",
    guarantee="(epsilon, delta)",
    cost="1,400 images of 8x8: 20 CPU-seconds",
)
@options
class DPKIP(SampledCondenser):
    """Minimise the error of kernel ridge regression, solved on the images S, on private records.

        l(x, y; S) = 1/2 | y - k(x, S) (K_SS + lambda I)^-1 Y_S |^2
        lambda = ridge * trace(K_SS) / |S|

    with the tangent kernel of an infinitely wide fully connected network and one-hot labels less
    1/C, as in "kip". Each step sums, over a Poisson batch, the clipped gradients of l with respect
    to S, record by record, adds noise, and moves S by Adam (Vinaroz & Park 2024, algorithm 1).
    Adam does not ask how long a gradient is, so that no count of records is needed. ``steps`` are
    declared beforehand and take the whole budget. What comes out is made for the trainer
    "kernel-ridge"; networks learn less from it.

    ipc, init, formation: as of other condensers; a start that reads records is refused.
    rate: of sampling. clip: small, so that records count alike. depth, ridge: of the regression.
    learning_rate: of Adam, falling to zero as a cosine; pixels stay in [0, 1].
    """

    rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 100
    clip: Annotated[float, Field(gt=0)] = 1e-3
    learning_rate: Annotated[float, Field(gt=0)] = 0.03
    ridge: Annotated[float, Field(ge=1e-8)] = 1e-3
    depth: Annotated[int, Field(ge=1, le=4)] = 2

    @property
    def sampling(self) -> tuple[float, int]:
        return self.rate, self.steps

    def abridged(self, times: int = 1) -> tuple["DPKIP", float]:
        steps = min(self.steps, 3 * times)
        return replace(self, steps=steps), self.steps / steps

    def publish(
        self, budget: Budget, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        slots = self.data_free(form, seed).to(device).requires_grad_()
        sampler = self.steps_of(budget, "image gradient sums", [slots.shape], self.steps, device)
        one_hot = torch.eye(len(form.classes), device=device) - 1 / len(form.classes)
        targets = one_hot[self.labels(form).to(device)]
        regressor = TangentKernel("fully-connected", self.depth, 1)

        def rows(inputs: Tensor, labels: Tensor) -> list[Tensor]:
            # Each record sees images of its own: the gradient of the sum is then one a record.
            seen = slots.detach().expand(len(inputs), *slots.shape).contiguous().requires_grad_()
            images = self.decode(seen.flatten(0, 1)).unflatten(0, (len(inputs), -1))
            kernel, across = regressor.blocks(images, inputs[:, None])
            wanted = one_hot[labels][:, None]
            several = targets.expand(len(inputs), *targets.shape)
            loss = ridge_loss(kernel, across, several, wanted, self.ridge).sum()
            return [torch.autograd.grad(loss, seen)[0]]

        values = slots.numel() + 4 * (self.per_class * len(form.classes)) ** 2
        chunk = max(1, min(64, _AT_ONCE // values))
        optimiser = Adam([slots])
        for step in range(self.steps):
            decay = 0.5 * (1 + math.cos(math.pi * step / self.steps))
            optimiser.step(sampler.step(rows, chunk=chunk), self.learning_rate * decay)
            with torch.no_grad():
                slots.clamp_(0, 1)
            if progress is not None:
                progress((step + 1) / self.steps, self.made(slots.detach().clone(), form))
        return self.made(slots, form)
