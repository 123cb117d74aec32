"""A private classifier in one linear solve: ridge regression on public features.

The private data are read through three noisy sums, each released once: of the features with a 1
beside them (their mean and number), of the products of the centred features of unit norm, and of
those features by class. The solution is post-processing.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.nn.public_features import PublicFeatures
from limbeck.privacy.budget import Budget
from limbeck.privacy.queries import Query
from limbeck.privacy.records import Bound

# All chosen on training records of Fashion-MNIST held out for it, without accounting for that;
# constants of the software for any other data.
SHARES = (0.03, 0.60, 0.37)
"""Of the budget for mean and number, products, and sums by class."""
RIDGE = 0.2
"""Ridge as a share of 2 s sqrt(d), about the largest eigenvalue of the products' noise: d features,
s the deviation of the noise on the diagonal."""
_LEAST_RIDGE = 1e-3
"""Ridge as a share of the mean eigenvalue of the products, whatever the noise."""
FEW, MANY = 500, 800
"""Features where noise is strong, and where it is weak."""
_WEAK = 3.0  # epsilon above which noise counts as weak
_LONGEST = 2.0
"""Norm that features are cut to for their mean; those of public records have norms near 1."""


@dataclass(frozen=True, eq=False)
class RidgeTeacher:
    """Scores = (unit vector from mean to features) @ weights; larger: more likely the class.

    mean (d,), weights (d, classes). Scores are near 1 - 1/classes for the class that is meant and
    near -1/classes elsewhere.
    """

    features: PublicFeatures
    mean: Float[Tensor, " d"]
    weights: Float[Tensor, "d classes"]

    def scores(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        """Scores of each record, of that record alone; differentiable."""
        found: Tensor = _unit(self.features(inputs) - self.mean) @ self.weights
        return found

    @torch.no_grad()
    def soft_labels(
        self, inputs: Float[Tensor, "n ..."], temperature: float = 0.05
    ) -> Float[Tensor, "n classes"]:
        """Softmax of scores over the temperature."""
        blocks = [self.scores(b.to(self.mean.device)) for b in inputs.split(250)]
        return (torch.cat(blocks) / temperature).softmax(1).to(inputs.device)


def queries(share: float = 1.0) -> tuple[Query, Query, Query]:
    """The three sums that ``fit`` asks for."""
    mean, products, by_class = (share * part for part in SHARES)
    return (
        Query("mean and number", mean),
        Query("products of features", products, products=True),
        Query("features by class", by_class),
    )


def fit(
    budget: Budget, features: PublicFeatures, share: float = 1.0, *, device: str = "cpu"
) -> RidgeTeacher:
    """The teacher that ``share`` of the budget buys, in three releases."""
    first, second, third = queries(share)
    counted = budget.release(
        first.name,
        _beside_one,
        Bound.of(2**0.5),
        first.share,
        after=features,
        fixed=True,
        device=device,
    ).values
    mean = (_LONGEST * counted[:-1] / counted[-1].clamp(min=1)).float().to(device)

    def towards(rows: Tensor, _: Tensor) -> Tensor:
        return _unit(rows - mean)

    products = budget.products(
        second.name, towards, 1.0, second.share, after=features, device=device
    )
    by_class = budget.release(
        third.name,
        towards,
        Bound.of(1.0),
        third.share,
        by_class=True,
        after=features,
        device=device,
    )
    values, vectors = torch.linalg.eigh(products.values)
    # Noise makes negative eigenvalues, which no sum of products has.
    values = values.clamp(min=0)
    size = features.size
    ridge = 2 * RIDGE * products.noise * size**0.5 + _LEAST_RIDGE * float(values.mean()) + 1e-12
    centred = (by_class.values - by_class.values.mean(0)).mT
    weights = vectors @ ((vectors.mT @ centred) / (values + ridge)[:, None])
    return RidgeTeacher(features, mean, weights.float().to(device))


def features_for(epsilon: float | None, asked: int | None) -> int:
    """``asked``, or what serves this epsilon: more features carry more noise."""
    return asked or (FEW if epsilon is not None and epsilon <= _WEAK else MANY)


def _beside_one(rows: Float[Tensor, "n d"], _: Tensor) -> Float[Tensor, "n d1"]:
    """Features cut to the longest norm, in units of it, and a 1 that counts the record."""
    cut = rows / rows.norm(dim=1, keepdim=True).clamp(min=_LONGEST)
    return torch.cat([cut, torch.ones_like(rows[:, :1])], 1)


def _unit(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    unit: Tensor = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return unit
