"""A generator that is told how its images should move, and sees the records in no other way."""

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck import coins
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.average import Average
from limbeck.nn.fit import Adam, cosine
from limbeck.nn.generator import Generator
from limbeck.synthesize.base import Progress
from limbeck.synthesize.generate.drawing import WARMUP, Drawing
from limbeck.synthesize.initialise.base import labels


class Guided:
    """``steps`` of Adam along gradients at generated images, ``batch`` of each class at a time.

    The learning rate rises, and falls to zero as a cosine. The release is drawn by a running mean
    of the weights. seed: of the codes that images are made of in training. momentum: of Adam.
    """

    def __init__(
        self,
        generator: Generator,
        drawing: Drawing,
        *,
        steps: int,
        batch: int,
        learning_rate: float,
        seed: int,
        device: str = "cpu",
        momentum: float = 0.9,
    ) -> None:
        self._generator, self._drawing = generator, drawing
        self._steps, self._learning_rate, self._device = steps, learning_rate, device
        self._labels = labels(generator.classes, batch).to(device)
        self._codes = coins.generator(seed, "codes")
        self._optimiser = Adam(generator.parameters(), momentum=momentum)
        self._average = Average(generator)

    def images(self) -> Float[Tensor, "classes b ..."]:
        """A new batch of each class; differentiable with respect to the generator's weights."""
        drawn = torch.randn(len(self._labels), self._generator.code, generator=self._codes)
        flat = self._generator(drawn.to(self._device), self._labels)
        made: Tensor = flat.unflatten(0, (self._generator.classes, -1))
        return made

    def follow(
        self,
        images: Float[Tensor, "classes b ..."],
        gradient: Float[Tensor, "classes b ..."],
        step: int,
        progress: Progress | None,
    ) -> None:
        """Step ``step``, from 0: down ``gradient``, that of a loss with respect to ``images``."""
        rate = self._learning_rate * cosine(step, self._steps, WARMUP)
        found = torch.autograd.grad(images, self._optimiser.parameters, grad_outputs=gradient)
        self._optimiser.step(found, rate)
        self._average.follow(self._generator)
        self._drawing.report(progress, self._average.network, step, self._steps)

    def drawn(self) -> SyntheticDataset:
        """The release."""
        return self._drawing(self._average.network)
