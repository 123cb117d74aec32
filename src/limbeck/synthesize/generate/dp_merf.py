"""DP-MERF: a generator fitted to one noisy release of each class's mean random features."""

import math
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.fit import Adam
from limbeck.nn.generator import Generator
from limbeck.privacy.budget import Budget
from limbeck.privacy.noisy_sum import NoisySum
from limbeck.privacy.queries import Query
from limbeck.privacy.records import Bound
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress
from limbeck.synthesize.form import Form
from limbeck.synthesize.generate.drawing import Drawing
from limbeck.synthesize.initialise.base import labels
from limbeck.synthesize.private import Answers, PrivateSynthesizer

_EVENT = "mean embeddings"
_COUNT = 0.3  # length of the constant in a record's statistic, whose whole length is 1


@register(
    "dp-merf",
    kind="synthesizer",
    summary="A generator fitted to one noisy release of the classes' mean random Fourier features",
    paper="Harder, Adamczewski & Park 2021, arXiv 2002.11603",
    access="sums",
    guarantee="(epsilon, delta), also mu-GDP",
    cost="1,400 images of 8x8: 10 CPU-seconds; 60,000 of 28x28: a minute",
)
@options
class DPMERF(PrivateSynthesizer):
    """Minimise, over a generator, the distance between noisy and generated mean embeddings.

        L = sum_c | m_c - mean_z phi(G(z, c)) |^2

    with phi random Fourier features of a Gaussian kernel, cosines and sines of ``features`` / 2
    frequencies, of length 1 (Harder et al. 2021, section 3).

    A record's one statistic, of length 1, is phi(x) with a constant beside it, in the row of its
    class; the sum over all records is released once. The constant's sums are noisy class counts,
    by which the others are divided: no private count is. All else is post-processing: training the
    generator, and drawing as many images as are wanted. Nothing is said of how common classes are.

    ipc: images of each class that are drawn. features: numbers in phi; noise grows with their root.
    bandwidth: of the kernel, per root of a record's values: a public constant, not a median
        distance of the data.
    steps, batch, learning_rate: of training, ``batch`` images of each class a step, by Adam. At a
        rate of 0.005 images of 28x28 turn black for good in the first steps; small ones do not.
    width, code: of the generator (see ``nn.generator``).
    public_coins: of the frequencies, which all runs share.
    """

    ipc: Annotated[int, Field(ge=1)] = 100
    features: Annotated[int, Field(ge=2, multiple_of=2)] = 1000
    bandwidth: Annotated[float, Field(gt=0)] = 0.35
    steps: Annotated[int, Field(ge=1)] = 1000
    batch: Annotated[int, Field(ge=1)] = 20
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    width: Annotated[int, Field(ge=1)] = 16
    code: Annotated[int, Field(ge=1)] = 8
    public_coins: int = 0

    def abridged(self, times: int = 1) -> tuple["DPMERF", float]:
        steps = min(self.steps, 10 * times)
        return replace(self, steps=steps), self.steps / steps

    @property
    def asks_once(self) -> bool:
        return True

    @property
    def queries(self) -> tuple[Query, ...]:
        return (Query(_EVENT, 1.0),)

    def ask(self, budget: Budget, form: Form, *, device: str) -> Answers:
        phi = self._features(form, device)

        def statistic(inputs: Tensor, _: Tensor) -> Tensor:
            constant = inputs.new_full((len(inputs), 1), _COUNT)
            return torch.cat([math.sqrt(1 - _COUNT**2) * phi(inputs), constant], 1)

        return {
            "means": budget.release(
                _EVENT, statistic, Bound.of(1.0), 1.0, by_class=True, fixed=True, device=device
            )
        }

    def make(
        self, answers: Answers, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        wanted = _means(answers["means"]).to(device)
        return self._train(self._features(form, device), wanted, form, seed, device, progress)

    def _features(self, form: Form, device: str) -> "RandomFeatures":
        return RandomFeatures(form, self.features, self.bandwidth, self.public_coins, device)

    def _train(
        self,
        phi: "RandomFeatures",
        wanted: Float[Tensor, "classes d"],
        form: Form,
        seed: int,
        device: str,
        progress: Progress | None,
    ) -> SyntheticDataset:
        classes = len(form.classes)
        generator = Generator(form.shape, classes, code=self.code, width=self.width, seed=seed)
        generator.to(device)
        optimiser = Adam(generator.parameters())
        coin = coins.generator(seed, "codes")
        each = labels(classes, self.batch).to(device)
        drawing = Drawing(self, form, self.ipc, seed, device)
        for step in range(self.steps):
            codes = torch.randn(len(each), self.code, generator=coin).to(device)
            found = phi(generator(codes, each)).unflatten(0, (classes, -1)).mean(1)
            loss = (found - wanted).square().sum()
            decay = 0.5 * (1 + math.cos(math.pi * step / self.steps))
            optimiser.minimise(loss, self.learning_rate * decay)
            drawing.report(progress, generator, step, self.steps)
        return drawing(generator)


class RandomFeatures:
    """Random Fourier features of a Gaussian kernel (Rahimi & Recht 2007): rows of length 1."""

    def __init__(self, form: Form, features: int, bandwidth: float, seed: int, device: str) -> None:
        size = math.prod(form.shape)
        drawn = torch.randn(size, features // 2, generator=coins.generator(seed, "frequencies"))
        self._frequencies = (drawn / (bandwidth * math.sqrt(size))).to(device)

    def __call__(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        """The features of each record; differentiable."""
        turned = inputs.flatten(1) @ self._frequencies
        waves = torch.cat([turned.cos(), turned.sin()], 1)
        return waves / math.sqrt(self._frequencies.shape[1])


def _means(released: NoisySum) -> Float[Tensor, "classes d"]:
    """Mean embeddings by class: noisy sums over noisy counts, and no longer than a mean can be.

    A count below its noise is taken for its noise.
    """
    sums, counts = released.values[:, :-1], released.values[:, -1:] / _COUNT
    counts = counts.clamp(min=max(1.0, released.noise / _COUNT))
    means = sums / (math.sqrt(1 - _COUNT**2) * counts)
    lengths: Tensor = torch.linalg.vector_norm(means, dim=1, keepdim=True)
    return (means / lengths.clamp(min=1)).float()
