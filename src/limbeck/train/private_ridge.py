"""A private classifier without training: ridge regression solved on three noisy sums."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.nn.public_features import PublicFeatures, public_features
from limbeck.privacy.budget import Budget
from limbeck.privacy.claim import Claim
from limbeck.privacy.digits import up
from limbeck.privacy.queries import Query
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.ridge_teacher import RidgeTeacher, features_for, fit, queries
from limbeck.train.base import Classifier, Trainer, TrainingSet


class PrivateRidgeClassifier(Classifier):
    """A ridge teacher as a classifier; its scores are regressed labels, not log-odds."""

    def __init__(self, teacher: RidgeTeacher) -> None:
        self.teacher = teacher

    @torch.no_grad()
    def logits(self, inputs: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        device = self.teacher.mean.device
        return torch.cat([self.teacher.scores(b.to(device)).cpu() for b in inputs.split(250)])

    def state(self) -> dict[str, Tensor]:
        """``offset`` and ``basis`` of the public features, ``mean`` and ``weights``."""
        public = self.teacher.features
        tensors = {"offset": public.offset, "basis": public.basis}
        tensors |= {"mean": self.teacher.mean, "weights": self.teacher.weights}
        return {name: value.cpu() for name, value in tensors.items()}

    def architecture(self) -> dict[str, Any]:
        return {"kind": "private-ridge"}

    @classmethod
    def restored(
        cls,
        architecture: Mapping[str, Any],  # noqa: ARG003 - part of the interface
        shape: tuple[int, ...],
        classes: int,
        tensors: Mapping[str, Tensor],
    ) -> "PrivateRidgeClassifier":
        """The classifier of this ``architecture`` and ``state``; ValueError where they differ."""
        offset, basis, weights = tensors["offset"], tensors["basis"], tensors["weights"]
        if weights.shape != (basis.shape[1], classes):
            raise ValueError(f"basis {tuple(basis.shape)}, weights {tuple(weights.shape)}")
        features = PublicFeatures(shape, offset, basis)
        return cls(RidgeTeacher(features, tensors["mean"], weights))


@register(
    "private-ridge",
    kind="trainer",
    summary="ridge regression on wavelet features, solved on sums that were released with noise",
    paper="limbeck; wavelets as in Tramer & Boneh 2021, arXiv 2011.11660",
    access="sums",
    guarantee="(epsilon, delta) and mu-GDP of the classifier",
    cost="60,000 images of 28x28: a CPU-minute or two",
)
@options
class PrivateRidge(Claim, Trainer):
    """A linear classifier on public features, from three noisy sums of bounded statistics.

    With phi(x) the order-2 wavelet scattering of x (random units where x is no image) in a basis
    taken from procedural images, and z the unit vector along phi(x) - m:

        m = (sum of phi(x) + noise) / (n + noise)            3% of the budget
        A = sum of z z' + noise, b = sum of z y' + noise     60% and 37%
        W = (A + r I)^-1 (b less its mean over classes)      scores of x: z' W

    Sums are exact, noise is drawn once, and solving is post-processing (``docs/guarantees.md``).
    The ridge r is a fixed multiple of the noise's known size.

    epsilon, delta, adjacency, unit: of the guarantee; epsilon None: no noise and no guarantee.
    features: how many; None: 500, or 800 where epsilon is above 3.

    ``fit`` draws noise from the system's entropy; the seed determines nothing. ``fit_many`` serves
    shadow runs, whose noise follows from their seeds, and whose classifiers must not be released.
    """

    features: Annotated[int, Field(ge=1)] | None = None

    @property
    def queries(self) -> tuple[Query, ...]:
        return queries()

    @property
    def title(self) -> str:
        return f"{self.method_name}, epsilon {up(self.epsilon or math.inf)}"

    def resolve_for(self, private: LabeledDataset) -> "PrivateRidge":
        return replace(self, unit=self.unit_of(private))

    def fit(self, data: TrainingSet, *, seed: int, device: str = "cpu") -> PrivateRidgeClassifier:
        return self._fit(data, None, device)

    def fit_many(
        self, sets: Sequence[TrainingSet], seeds: Sequence[int], *, device: str = "cpu"
    ) -> Iterator[PrivateRidgeClassifier]:
        """One classifier per dataset, with noise that follows from its seed."""
        for data, seed in zip(sets, seeds, strict=True):
            yield self._fit(data, coins.derive(seed, "privacy noise"), device)

    def fit_subsets(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Iterator[PrivateRidgeClassifier]:
        """As ``fit_many``; the features of every record are computed once."""
        for budget in self.shadows(private, membership, seeds):
            yield self._solved(budget, device)

    def _fit(
        self, data: TrainingSet, insecure_seed: int | None, device: str
    ) -> PrivateRidgeClassifier:
        if isinstance(data, LabeledDataset):
            return self._solved(self.budget(data, insecure_seed=insecure_seed), device)
        records = LabeledDataset(data.inputs, data.labels, data.classes, name=data.name)
        made = self._solved(self.budget(records, insecure_seed=insecure_seed), device)
        made.claimed = None  # of a synthetic set, and not of the data behind it
        return made

    def _solved(self, budget: Budget, device: str) -> PrivateRidgeClassifier:
        public = public_features(budget.shape, features_for(self.epsilon, self.features), device)
        classifier = PrivateRidgeClassifier(fit(budget, public, device=device))
        classifier.claimed = budget.guarantee  # none of a budget whose noise can be repeated
        return classifier
