"""A class-conditional GAN: generator and discriminator trained against each other, no guarantee."""

from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.fit import Adam, cosine
from limbeck.nn.generator import Generator
from limbeck.nn.networks import Network, make
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress, Synthesizer
from limbeck.synthesize.form import Form
from limbeck.synthesize.generate.drawing import WARMUP, Drawing


@register(
    "cgan",
    kind="synthesizer",
    summary="A class-conditional GAN trained on the private records: the undefended generator",
    paper="Mirza & Osindero 2014, arXiv 1411.1784",
    access="records",
    guarantee="none",
    cost="1,400 images of 8x8: 20 CPU-seconds",
)
@options
class CGAN(Synthesizer):
    """Train a generator G(z, y) against a discriminator D(x, y) that tells its images from real.

        D: minimise softplus(-D(x, y)) + softplus(D(G(z, y'), y')) + penalty/2 |grad_x D(x, y)|^2
        G: minimise softplus(-D(G(z, y'), y'))

    in turn, a step each (Mirza & Osindero 2014, with the non-saturating loss of Goodfellow et al.
    2014 and the gradient penalty R1, on real records, of Mescheder et al. 2018, arXiv 1801.04406).
    D is a classifier's network whose logit of class y is D(x, y). Real batches are random records;
    labels y' of generated ones are uniform, and so are those of the release.

    ipc: images of each class that are drawn. steps, batch: of training.
    learning_rate: of Adam (first moment decaying by 0.5), falling to zero as a cosine. At twice the
        default, generators of digits went black and stayed so (measured).
    width, code: of the generator (see ``nn.generator``).
    network, network_width: of the discriminator, any classifier's; networks with norms of single
        images see gradients explode on the flat images that a generator starts with.
    """

    ipc: Annotated[int, Field(ge=1)] = 100
    steps: Annotated[int, Field(ge=1)] = 1500
    batch: Annotated[int, Field(ge=1)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    penalty: Annotated[float, Field(ge=0)] = 1.0
    width: Annotated[int, Field(ge=1)] = 16
    code: Annotated[int, Field(ge=1)] = 16
    network: str = "mlp"
    network_width: Annotated[int, Field(ge=1)] = 128

    def resolve(self, private: LabeledDataset) -> "CGAN":
        """Refuses a discriminator that cannot serve the records."""
        make(self.network, private.shape, 2, width=1, seed=0)
        return self

    def abridged(self, times: int = 1) -> tuple["CGAN", float]:
        steps = min(self.steps, 10 * times)
        return replace(self, steps=steps), self.steps / steps

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        form = Form.of(private)
        classes = len(form.classes)
        generator = Generator(form.shape, classes, code=self.code, width=self.width, seed=seed)
        discriminator = make(
            self.network,
            form.shape,
            classes,
            width=self.network_width,
            seed=coins.derive(seed, "discriminator"),
        )
        generator.to(device)
        discriminator.to(device)
        drawing = Drawing(self, form, self.ipc, seed, device)
        of_generator = Adam(generator.parameters(), momentum=0.5)
        of_discriminator = Adam(discriminator.parameters(), momentum=0.5)
        batches, codes = coins.generator(seed, "batches"), coins.generator(seed, "codes")

        def fake() -> tuple[Tensor, Tensor]:
            wanted = torch.randint(classes, (self.batch,), generator=codes).to(device)
            drawn = torch.randn(self.batch, self.code, generator=codes).to(device)
            return generator(drawn, wanted), wanted

        for step in range(self.steps):
            rate = self.learning_rate * cosine(step, self.steps, WARMUP)
            at = torch.randint(len(private), (self.batch,), generator=batches)
            real, known = private.inputs[at].to(device), private.labels[at].to(device)
            with torch.no_grad():
                images, wanted = fake()
            loss = F.softplus(judged(discriminator, images, wanted)).mean()
            loss = loss + self._real_loss(discriminator, real, known)
            of_discriminator.minimise(loss, rate)
            images, wanted = fake()
            of_generator.minimise(F.softplus(-judged(discriminator, images, wanted)).mean(), rate)
            drawing.report(progress, generator, step, self.steps)
        return drawing(generator)

    def _real_loss(
        self, discriminator: Network, real: Float[Tensor, "n ..."], known: Int64[Tensor, " n"]
    ) -> Float[Tensor, ""]:
        if self.penalty == 0:
            return F.softplus(-judged(discriminator, real, known)).mean()
        real = real.requires_grad_()
        found = judged(discriminator, real, known)
        slope = torch.autograd.grad(found.sum(), real, create_graph=True)[0]
        steep: Tensor = slope.square().flatten(1).sum(1).mean()
        return F.softplus(-found).mean() + self.penalty / 2 * steep


def judged(
    discriminator: Network, images: Float[Tensor, "n ..."], labels: Int64[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """D(x, y): how real each image looks as one of its class."""
    found: Tensor = discriminator(images).gather(1, labels[:, None])[:, 0]
    return found
