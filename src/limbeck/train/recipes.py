"""Named ways to train a network, as the literature does and cheaper."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """How to train: ``steps`` of the optimiser, or ``epochs`` over the data where that is None.

    width: channels of a ConvNet; AlexNet, VGG-11 and ResNet-18 are narrowed by the same share of
    the literature's width, other networks never. schedule: "cosine" falls to zero, "halves" divides
    the learning rate by ten at half of the steps. augment: DSA, one transform a batch.
    optimiser: SGD with momentum and weight decay, or Adam with neither.
    """

    width: int
    steps: int | None
    epochs: int | None
    learning_rate: float
    schedule: Literal["cosine", "halves", "constant"]
    batch: int
    augment: bool
    optimiser: Literal["sgd", "adam"] = "sgd"


RECIPES = {
    # What the condensation papers report (Zhao & Bilen 2023, arXiv 2110.04181, section 4.1).
    "reference": Recipe(128, None, 300, 0.01, "halves", 256, True),
    # Two cheaper trainings that rank small synthetic sets as the reference does.
    "confirm": Recipe(64, 300, None, 0.01, "halves", 100, True),
    "search": Recipe(32, 150, None, 0.06, "cosine", 100, True),
    # Thousands of real records: 26 epochs of 5,000 or two of 60,000 (Fashion-MNIST: 90% then).
    "full": Recipe(32, 1000, None, 0.05, "cosine", 128, False),
    # What Gujarathi & Gandhi 2022 train on MNIST and on what is condensed of it.
    "adam": Recipe(32, None, 100, 0.001, "constant", 128, False, "adam"),
}
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
