"""Levels of DP-SGD: presets that are formally private, and ones whose noise promises nothing."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """How to train: a formally private level states epsilon, the others a noise multiplier.

    epochs: expected passes over the data, in steps of ``rate`` each.
    """

    epsilon: float | None
    multiplier: float | None
    rate: float
    epochs: float
    learning_rate: float
    views: int


LEVELS: Mapping[str, Level] = {
    # Chosen on public data: the digits and 10,000 images of Fashion-MNIST.
    "epsilon-1": Level(1.0, None, 0.25, 15.0, 2.0, 1),
    "epsilon-3": Level(3.0, None, 0.25, 20.0, 3.0, 1),
    "epsilon-10": Level(10.0, None, 0.25, 30.0, 4.0, 1),
    # Noise and passes of Aerni et al. 2024 (arXiv 2404.17399) on CIFAR-10, where attacks find more
    # from level to level.
    "medium": Level(None, 0.2, 0.04, 200.0, 2.0, 4),
    "high": Level(None, 0.00625, 0.01, 16.0, 2.0, 4),
    "very-high": Level(None, 0.003125, 0.01, 25.0, 2.0, 4),
    "no-noise": Level(None, 0.0, 0.25, 30.0, 4.0, 1),
}
