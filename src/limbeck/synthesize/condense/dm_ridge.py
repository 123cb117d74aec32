"""Distribution matching and ridge regression together: DM + ridge."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.condense.distribution_matching import mean_distance
from limbeck.synthesize.condense.matching import StatisticMatching
from limbeck.synthesize.statistics import Sums


@register(
    "dm-ridge",
    kind="synthesizer",
    summary="Class means agree, and ridge regression on the synthetic images predicts the private",
    paper="limbeck; arXiv 2110.04181 with the loss of 2206.00719",
    access="sums",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: one to two CPU-minutes (sums form)",
    private_form="private-matching means=0.4 moments=0.6",
)
@options
class DistributionRidge(StatisticMatching):
    """Minimise the distance of class means and the error of ridge regression, added up.

    With f and e the embeddings of the private and the synthetic images under one network and one
    siamese augmentation, mu = mean f, a = f - mu, b = e - mu, and Y the one-hot labels less 1/C:

        W = b' (b b' + ridge * mean(diag b b') I)^-1 Y_S
        L(S) = 0.75 * (128/width * sum_c |mean_c f - mean_c e|^2 + 100 * mean |a W - Y_T|^2)

    The means are those of distribution matching (Zhao & Bilen 2023, eq. 4), the regression that
    of FRePo (Zhou et al. 2022, arXiv 2206.00719) on untrained networks. The private side of the
    regression error is quadratic in f, so that sums of f f', of f by class, and counts are all
    that it needs: it is computed through them in both forms.

    form, steps, momentum, schedule, blur, network, width, pairs, pairs_per_record, batch,
    public_coins: as for "dm".
    ipc, init, formation: images per class, their start, tiles on a side of each slot. From
    "noise", the default, the private data is read through sums alone; "k-means" starts from
    averages of records and ends more accurate.
    learning_rate: None: 4 from private images, 20 from others, which have further to go, times a
    tenth of the images per class, each of which feels so much less of a mean.
    ridge: regularisation as a share of the mean squared norm of the synthetic embeddings.
    features: the products f f' are taken of this many random projections of the embedding, for
    they grow with its square; None: of the embedding itself.

    Reads: sums of embeddings and of their products, class counts, and what the initialisation
    reads. Gives no formal guarantee: the sums carry no noise.
    """

    init: str = "noise"
    steps: Annotated[int, Field(ge=1)] = 400
    pairs: Annotated[int, Field(ge=1)] = 100
    ridge: Annotated[float, Field(gt=0)] = 0.03
    features: Annotated[int, Field(ge=1)] | None = 128
    batch: Annotated[int, Field(ge=1)] = 64

    rates: ClassVar[tuple[float, float]] = (4.0, 20.0)
    widths: ClassVar[dict[str, int]] = {"sums": 32, "minibatch": 64}
    one_transform: ClassVar[bool] = True

    def distance(
        self, features: Float[Tensor, "runs classes m d"], target: Sums, k: int
    ) -> Float[Tensor, ""]:
        """Three quarters of the two losses' sum, over runs."""
        assert target.second is not None
        projected = self._project(features, k)
        first = self._project(target.first, k)
        error = regression_error(projected, first, target.counts, target.second, self.ridge)
        # The regression error is a mean already: it does not grow with the embedder's width.
        loss: Tensor = mean_distance(features, target) + 100 * error.sum() / self._scale
        combined: Tensor = 0.75 * loss
        return combined

    def second(self, embedded: Float[Tensor, "n d"], k: int) -> Float[Tensor, "n p"]:
        """What the regression sees of embeddings."""
        return self._project(embedded, k)

    def _project(self, embedded: Float[Tensor, "... d"], k: int) -> Float[Tensor, "... p"]:
        size = embedded.shape[-1]
        if self.features is None or self.features >= size:
            return embedded
        generator = coins.generator(self.public_coins, "projection", k)
        drawn = torch.randn(size, self.features, generator=generator) / self.features**0.5
        projected: Tensor = embedded @ drawn.to(embedded)
        return projected


def regression_error(
    synthetic: Float[Tensor, "runs classes m p"],
    first: Float[Tensor, "runs classes p"],
    counts: Float[Tensor, "runs classes"],
    second: Float[Tensor, "runs p p"],
    ridge: float,
) -> Float[Tensor, " runs"]:
    """Mean squared error, on private records known by their sums, of ridge fitted on the synthetic.

    synthetic: features of the ``m`` images of each class. first, counts: sums of the private
    features by class and how many there are; second: the sum of their products over all classes.
    The targets are one-hot less 1/classes; the mean is over private records and classes.
    """
    classes, m = synthetic.shape[1:3]
    n = counts.sum(1)
    mu = first.sum(1) / n[:, None]
    hot = torch.eye(classes, device=first.device, dtype=first.dtype) - 1 / classes
    b = synthetic.flatten(1, 2) - mu[:, None]
    gram = b @ b.mT
    diagonal = gram.diagonal(dim1=1, dim2=2)
    gram = gram + torch.diag_embed(ridge * diagonal.mean(1, keepdim=True).expand_as(diagonal))
    # The dual form: as many equations as synthetic images, fewer than features.
    dual = torch.linalg.solve(gram, hot.repeat_interleave(m, 0).expand(len(b), -1, -1))
    weights = b.mT @ dual
    spread = second - n[:, None, None] * mu[:, :, None] * mu[:, None]
    cross = (first - counts[..., None] * mu[:, None]).mT @ hot
    squares = (weights * (spread @ weights)).sum((1, 2)) - 2 * (weights * cross).sum((1, 2))
    constant = (counts @ hot.square()).sum(1)
    error: Tensor = (squares + constant) / (n * classes)
    return error
