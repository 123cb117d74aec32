"""Characteristic-function matching: distributions of embeddings agree, not their means alone."""

import math
from functools import lru_cache
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from limbeck import coins
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.condense.matching import StatisticMatching
from limbeck.synthesize.statistics import Sums

_WEIGHT = 300  # of the loss in the authors' code: learning rates are then those of the family
_SMALLEST = 1e-8  # under every root: differences below its root, 1e-4, count as squares


@register(
    "ncfm",
    kind="synthesizer",
    summary="Characteristic functions of embeddings agree by class, at random frequencies",
    paper="Wang et al. 2025, arXiv 2502.20653",
    access="sums",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: about a CPU-minute (sums form)",
    private_form="private-matching means=0 moments=0 waves=1",
)
@options
class CharacteristicFunctionMatching(StatisticMatching):
    """Minimise the distance between characteristic functions of embeddings, class by class.

    With f the embedding of an image under a network and a siamese augmentation, divided by its
    norm, and phi(t) = mean exp(i t.f) over the private (T) or synthetic (S) images of a class:

        C(t) = alpha (|phi_T| - |phi_S|)^2 + (1 - alpha) 2 |phi_T| |phi_S| (1 - cos(a_T - a_S))
        L(S) = 300 * sum_c mean_t sqrt C(t)

    where a is the phase of phi (Wang et al. 2025: the amplitude term is said to serve diversity,
    the phase term realism). At alpha 1/2, C is half of |phi_T - phi_S|^2.

    Two things differ from the paper. Frequencies t are Gaussian, as in the authors' code where its
    sampling network is off, and not chosen by a network trained to tell the two sides apart. And
    embeddings are those of untrained networks, not of networks trained on the private data.

    alpha: weight of the amplitude term, between 0 and 1.
    frequencies: how many are drawn for each embedding network, from ``public_coins``.
    spread: their standard deviation; the larger, the finer the differences that count.
    form, steps, learning_rate, momentum, schedule, blur, network, width, pairs, pairs_per_record,
    batch, public_coins: as for "dm".
    ipc, init, formation: images per class, their start, tiles on a side of each slot.

    Reads: sums of cos t.f and sin t.f by class, which are bounded by one for every record; class
    counts; and what the initialisation reads. Gives no formal guarantee: the sums carry no noise.
    """

    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    frequencies: Annotated[int, Field(ge=1)] = 512
    spread: Annotated[float, Field(gt=0)] = 1.0

    # From noise, gradients are a quarter of those of distribution matching.
    rates: ClassVar[tuple[float, float]] = (2.0, 20.0)

    def distance(
        self, features: Float[Tensor, "runs classes m d"], target: Sums, k: int
    ) -> Float[Tensor, ""]:
        """The loss, summed over runs: a class that no record was summed of pulls nowhere."""
        runs, classes, m, _ = features.shape
        several = self.first(features.flatten(0, 2), k).unflatten(0, (runs, classes, m))
        apart = discrepancy(target.means, several.mean(2), self.alpha)
        # Embeddings of norm one: unlike in the family, the loss does not grow with the width.
        loss: Tensor = _WEIGHT / self._scale * (apart * target.seen).sum()
        return loss

    def first(self, embedded: Float[Tensor, "n d"], k: int) -> Float[Tensor, "n q"]:
        """Every record's own terms of phi at the frequencies of pair ``k``."""
        drawn = _frequencies(self.public_coins, k, self.frequencies, embedded.shape[1])
        return waves(F.normalize(embedded), self.spread * drawn.to(embedded))


def waves(
    features: Float[Tensor, "n d"], frequencies: Float[Tensor, "p d"]
) -> Float[Tensor, "n q"]:
    """The cosines, then the sines, of t.f at each of the p frequencies: q is 2 p.

    Their mean over records is the characteristic function, real parts first.
    """
    angles = features @ frequencies.mT
    return torch.cat([angles.cos(), angles.sin()], 1)


def discrepancy(
    one: Float[Tensor, "*batch q"], other: Float[Tensor, "*batch q"], alpha: float
) -> Float[Tensor, "*batch"]:
    """Mean over frequencies of sqrt C between two characteristic functions, as ``waves`` has them.

    Zero, with a gradient of zero, where both are equal; finite gradients also at amplitude zero.
    """
    difference = _amplitude_squared(one - other)
    amplitude = (_modulus(one) - _modulus(other)).square()
    # |u - v|^2 = (|u| - |v|)^2 + 2 |u| |v| (1 - cos): the phase term without a phase.
    phase = (difference - amplitude).clamp_min(0)
    # The smoothed root, less its value at zero.
    smoothed = (alpha * amplitude + (1 - alpha) * phase + _SMALLEST).sqrt() - math.sqrt(_SMALLEST)
    return smoothed.mean(-1)


def _modulus(values: Tensor) -> Tensor:
    return (_amplitude_squared(values) + _SMALLEST).sqrt()


def _amplitude_squared(values: Tensor) -> Tensor:
    real, imaginary = values.chunk(2, -1)
    return real.square() + imaginary.square()


@lru_cache(maxsize=4)  # while sums are read, many blocks in a row ask for the same ones
def _frequencies(public_coins: int, k: int, count: int, size: int) -> Tensor:
    generator = coins.generator(public_coins, "frequencies", k)
    return torch.randn(count, size, generator=generator)
