"""DP-Sinkhorn: a generator that follows noisy gradients of an optimal-transport divergence."""

import math
from dataclasses import replace
from functools import partial
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor

from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
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
    "dp-sinkhorn",
    kind="synthesizer",
    summary="A generator follows noisy, clipped gradients of a Sinkhorn divergence to the records",
    paper="Cao, Bie, Vahdat, Fidler & Kreis 2021, arXiv 2111.01177",
    access="records",
    guarantee="(epsilon, delta)",
    cost="1,400 images of 8x8: 20 CPU-seconds",
)
@options
class DPSinkhorn(PrivateSynthesizer):
    """Minimise, over a generator, the distance of its images from random batches of records.

        S(X, Y) = sum_c 2 W(X_c, Y_c) - W(X_c, X~_c)

    with W the entropic cost of moving one set's mass onto the other's, |x - y|^2 / 2 for a unit,
    X_c generated images of class c and Y_c a Poisson batch's records of it. X~_c is X_c with the
    last ``fresh`` of its images drawn anew: 0 frees the divergence of its bias and 1 its gradient
    of it, in between is the semi-debiased divergence of Cao et al. 2021, section 3. (There, labels
    are part of the images; here mass moves within a class only, as if they weighed infinitely.)

    The gradient with respect to X depends on all of a batch's records together. That of each class
    is cut to ``clip`` as a whole; so a record moves its class's from one place in a ball to
    another, by 2 ``clip`` at most, and noise is added in multiples of that. ``steps`` are declared
    beforehand, at sampling rate ``rate``, and take the whole budget.

    ipc: images of each class that are drawn. batch: images of each class in a step.
    blur: scale, per root of a record's values, below which places count as one (``geomloss``).
    learning_rate: of Adam, falling to zero as a cosine.
    width, code: of the generator (see ``nn.generator``), of whose weights a running mean is used.
    """

    ipc: Annotated[int, Field(ge=1)] = 100
    rate: Annotated[float, Field(gt=0, le=1)] = 0.015
    steps: Annotated[int, Field(ge=1)] = 600
    batch: Annotated[int, Field(ge=1)] = 10
    clip: Annotated[float, Field(gt=0)] = 0.5
    blur: Annotated[float, Field(gt=0)] = 0.05
    fresh: Annotated[float, Field(ge=0, le=1)] = 0.4
    learning_rate: Annotated[float, Field(gt=0)] = 0.005
    width: Annotated[int, Field(ge=1)] = 8
    code: Annotated[int, Field(ge=1)] = 4

    gaussian = False  # sampled steps have no single mu

    @property
    def sampling(self) -> tuple[float, int]:
        return self.rate, self.steps

    def abridged(self, times: int = 1) -> tuple["DPSinkhorn", float]:
        steps = min(self.steps, 10 * times)
        return replace(self, steps=steps), self.steps / steps

    def publish(
        self, budget: Budget, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        classes = len(form.classes)
        generator = Generator(form.shape, classes, code=self.code, width=self.width, seed=seed)
        guided = Guided(
            generator.to(device),
            Drawing(self, form, self.ipc, seed, device),
            steps=self.steps,
            batch=self.batch,
            learning_rate=self.learning_rate,
            seed=seed,
            device=device,
        )
        transport = Transport(math.prod(form.shape), self.blur)
        sampler = budget.steps(
            "gradients of a Sinkhorn divergence",
            [torch.Size([classes * self.batch, *form.shape])],
            rate=self.rate,
            count=self.steps,
            norm=2 * self.clip,
            device=device,
        )
        kept = self.batch - round(self.fresh * self.batch)
        for step in range(self.steps):
            made = guided.images().flatten(2)
            with torch.no_grad():
                other = torch.cat([made[:, :kept], guided.images().flatten(2)[:, kept:]], 1)
            found = sampler.jointly(partial(transport.gradient, made.detach(), other), classes)
            guided.follow(made, found, step, progress)
        return guided.drawn()


class Transport:
    """Entropic transport costs by ``geomloss`` between sets of records in [0, 1]^size.

    The largest distance, from which geomloss anneals, is given: measured on the records, it would
    be a private number, and one that joins the classes. OptionError where geomloss is missing.
    """

    def __init__(self, size: int, blur: float) -> None:
        try:
            from geomloss import SamplesLoss
        except ImportError:
            raise OptionError(
                "dp-sinkhorn needs geomloss; install it with pip install 'limbeck[generate]'"
            ) from None
        root = math.sqrt(size)
        self._cost = SamplesLoss(
            "sinkhorn",
            p=2,
            blur=blur * root,
            diameter=root,
            scaling=0.5,
            debias=False,
            backend="tensorized",
        )

    def cost(
        self,
        one: Float[Tensor, "classes n d"],
        other: Float[Tensor, "classes m d"],
        there: Bool[Tensor, "classes m"],
    ) -> Float[Tensor, " classes"]:
        """W of each class, between equal masses on all of ``one`` and on those ``there``."""
        mass = one.new_full(one.shape[:2], 1 / one.shape[1])
        shared = there.to(one) / there.sum(1, keepdim=True).clamp(min=1)
        found: Tensor = self._cost(mass, one, shared, other)
        return found

    def gradient(
        self,
        images: Float[Tensor, "classes n d"],
        others: Float[Tensor, "classes n d"],
        records: Float[Tensor, "classes m ..."],
        sizes: Int64[Tensor, " classes"],
    ) -> Float[Tensor, "classes n d"]:
        """That of S with respect to the images, times their number in a class.

        others: X~, which is held; W is symmetric, so that holding one side halves the gradient.
        Of a class without records, a number without meaning.
        """
        at = images.detach().requires_grad_()
        there = torch.arange(records.shape[1], device=records.device) < sizes[:, None]
        everyone = torch.ones(others.shape[:2], dtype=torch.bool, device=others.device)
        divergence = self.cost(at, records.flatten(2), there) - self.cost(at, others, everyone)
        return torch.autograd.grad(2 * divergence.sum(), at)[0] * images.shape[1]
