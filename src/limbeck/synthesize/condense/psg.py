"""PSG: private set generation, gradient matching against noisy gradients of private records."""

from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.class_gradients import class_gradients, cosine_distance
from limbeck.nn.fit import MomentumSGD
from limbeck.nn.networks import Network, choose, make
from limbeck.privacy.budget import Budget
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress
from limbeck.synthesize.condense.pixels import PixelDescent
from limbeck.synthesize.condense.private import SampledCondenser
from limbeck.synthesize.form import Form

_WIDTH = 16


@register(
    "psg",
    kind="synthesizer",
    summary="Gradient matching against clipped and noised gradients of random private batches",
    paper="Chen, Kerkouche & Fritz 2022, arXiv 2211.04446",
    access="records",
    guarantee="(epsilon, delta)",
    cost="1,400 images of 8x8: 10 CPU-seconds",
)
@options
class PSG(SampledCondenser):
    """Minimise, over synthetic images S, the distance between their gradient and a noisy one.

        L(S) = sum_layers sum_rows 1 - cos(g(S), g~(T)),
        g~(T) = sum over a Poisson batch of clip(g(x, y)) + noise

    with g the gradient of the cross-entropy with respect to a layer's weights, at a network that is
    trained on S between two steps and drawn anew after ``outer`` of them (Chen et al. 2022,
    algorithm 1). The distance is DC's, and does not ask how long a gradient is: no count of records
    is needed. Biases and norms have no part in it, and so none in what is clipped.

    Every step reads the private data through one noisy sum, of which ``networks`` times ``outer``
    are declared beforehand, at sampling rate ``rate``; they take the whole budget.

    ipc, init, formation: as of other condensers; a start that reads records is refused.
    rate: of sampling. clip: the norm that a record's gradient, all layers together, is cut to.
    inner: epochs on S between two steps, at ``network_rate``.
    learning_rate, momentum, blur: of the steps on pixels.
    network, width: None: the shallow networks that little noise suffices for.
    """

    networks: Annotated[int, Field(ge=1)] = 10
    outer: Annotated[int, Field(ge=1)] = 10
    inner: Annotated[int, Field(ge=0)] = 5
    network_rate: Annotated[float, Field(gt=0)] = 0.1
    learning_rate: Annotated[float, Field(gt=0)] = 20.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    blur: Annotated[float, Field(ge=0)] = 1.0
    network: str | None = None
    width: Annotated[int, Field(ge=1)] | None = None

    def fit_to(self, form: Form) -> "PSG":
        self.check_form(form)
        network, width = choose(self.network, self.width, form.shape, narrow=_WIDTH)
        return replace(self, network=network, width=width)

    @property
    def sampling(self) -> tuple[float, int]:
        return self.rate, self.networks * self.outer

    def abridged(self, times: int = 1) -> tuple["PSG", float]:
        outer = min(self.outer, 2 * times)
        return replace(self, networks=1, outer=outer), self.networks * self.outer / outer

    def publish(
        self, budget: Budget, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        steps = self.networks * self.outer
        sampler = self.steps_of(budget, "gradient sums", self._shapes(form, seed), steps, device)
        descent = PixelDescent(
            self.data_free(form, seed).to(device),
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            steps=steps,
            schedule="cosine",
            blur=self.blur,
        )
        orders = coins.generator(seed, "orders")
        for step in range(steps):
            k, turn = divmod(step, self.outer)
            if turn == 0:
                network = self._fresh(form, seed, k).to(device)
            else:
                self._train(network, self.decode(descent.images), form, orders)

            def rows(inputs: Tensor, labels: Tensor, at: Network = network) -> list[Tensor]:
                ones = inputs.new_ones(len(inputs), 1)
                return class_gradients(at, inputs[:, None], labels, ones)

            wanted = [sums[None] for sums in sampler.step(rows)]
            slots = descent.images.requires_grad_()
            found = self._synthetic(network, self.decode(slots), form)
            loss = cosine_distance(found, wanted)
            descent.step(torch.autograd.grad(loss, slots)[0])
            if progress is not None:
                progress((step + 1) / steps, self.made(descent.images, form))
        return self.made(descent.images, form)

    def _synthetic(
        self, network: Network, images: Float[Tensor, "images ..."], form: Form
    ) -> list[Float[Tensor, "one _ _"]]:
        """The gradient of the mean cross-entropy of all images, differentiable in them."""
        by_class = images.unflatten(0, (len(form.classes), self.per_class))
        labels = torch.arange(len(by_class), device=images.device)
        shares = images.new_full(by_class.shape[:2], 1 / len(images))
        found = class_gradients(network, by_class, labels, shares, differentiable=True)
        return [layer.sum(0, keepdim=True) for layer in found]

    def _train(
        self,
        network: Network,
        images: Float[Tensor, "images ..."],
        form: Form,
        order: torch.Generator,
    ) -> None:
        labels = self.labels(form).to(images.device)
        optimiser = MomentumSGD(network.parameters())
        images = images.detach()
        for _ in range(self.inner):
            for chosen in torch.randperm(len(labels), generator=order).split(256):
                at = chosen.to(images.device)
                loss = F.cross_entropy(network(images[at]), labels[at])
                optimiser.minimise(loss, self.network_rate)

    def _shapes(self, form: Form, seed: int) -> list[torch.Size]:
        """Of the gradients that are matched, in the order in which the network's layers run."""
        blank = torch.zeros(1, 1, *form.shape)
        nothing = torch.zeros(1, dtype=torch.int64)
        found = class_gradients(self._fresh(form, seed, 0), blank, nothing, torch.ones(1, 1))
        return [layer.shape[1:] for layer in found]

    def _fresh(self, form: Form, seed: int, k: int) -> Network:
        assert self.network is not None, "fitted to the form first"
        drawn = coins.derive(seed, "network", k)
        return make(self.network, form.shape, len(form.classes), width=self.width, seed=drawn)
