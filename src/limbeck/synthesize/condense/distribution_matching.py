"""Distribution matching (DM): synthetic images whose class means match under random embeddings."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.condense.matching import StatisticMatching
from limbeck.synthesize.statistics import Sums


@register(
    "dm",
    kind="synthesizer",
    summary="Distribution matching: class means agree under many random embeddings",
    paper="Zhao & Bilen 2023, arXiv 2110.04181",
    access="sums",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: under a CPU-minute (sums form)",
    private_form="private-matching means=1 moments=0",
)
@options
class DistributionMatching(StatisticMatching):
    """Minimise, over synthetic images S, the distance between class means of embeddings.

        L(S) = (128 / width) * sum_c | mean_{x in T_c} psi(A(x)) - mean_{s in S_c} psi(A(s)) |^2

    with psi a randomly initialised network and A a siamese augmentation (Zhao & Bilen 2023, eq. 4).
    Images move by SGD with momentum and are clamped to [0, 1].

    form "sums" (default): psi and A come from a fixed pool of ``pairs`` drawn from
    ``public_coins``. Every record is embedded ``pairs_per_record`` times in all, whatever the
    number of steps or of shadow runs, and only class sums of embeddings are used afterwards.
    form "minibatch": the published loop. A fresh network and augmentation every step, from the
    run's own seed, and ``batch`` private images of each class. ``reference()`` gives its options.

    ipc: images per class. init: what they start from, as ``limbeck methods`` lists it: "real"
    (random members, visible in the result), "noise", "kaleidoscope:3" ...
    formation: tiles on a side of each slot; 2 trains four small images for each one released.
    network, width: the embedder. None: a ConvNet as deep as the images allow, up to 3, and the
    form's own width (32, or 128 for "minibatch"); "mlp" for records that are no images.
    learning_rate: in units of pixels with the standard deviation of images, as published. None: 2
    from private images, 10 from others, which have further to go, times a tenth of the images per
    class, each of which feels so much less of a mean.
    blur: standard deviation, in pixels, of a Gaussian that smooths the gradient; 0 leaves it.
    schedule: learning rate over the steps, "constant" or "cosine" to zero.
    pairs_per_record: None lets ``resolve`` choose about 64 records per class and pair.

    Reads: sums of embeddings and class counts, and what the initialisation reads.
    Gives no formal guarantee: the sums carry no noise.
    """

    rates: ClassVar[tuple[float, float]] = (2.0, 10.0)

    @classmethod
    def reference(
        cls, *, ipc: int = 10, init: str = "real", steps: int = 20_000
    ) -> "DistributionMatching":
        """The published loop and its options: 20,000 steps of 256 images per class, width 128."""
        return cls(
            ipc=ipc,
            init=init,
            form="minibatch",
            steps=steps,
            learning_rate=1.0 if ipc < 100 else 10.0,
            schedule="constant",
            blur=0.0,
            network="convnet3",
        )

    def distance(
        self, features: Float[Tensor, "runs classes m d"], target: Sums, k: int
    ) -> Float[Tensor, ""]:
        """Equation 4: a class that no record was summed of pulls nowhere."""
        return mean_distance(features, target)


def mean_distance(features: Float[Tensor, "runs classes m d"], target: Sums) -> Float[Tensor, ""]:
    """Squared distances of class means, summed over classes with a record and over runs."""
    distances: Tensor = (features.mean(2) - target.means).square().sum(2)
    return (distances * target.seen).sum()
