"""Statistic matching with a guarantee: images optimised against sums that were noised once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn import networks
from limbeck.privacy.budget import Budget
from limbeck.privacy.noisy_sum import NoisySum
from limbeck.privacy.queries import Query
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress, part
from limbeck.synthesize.condense import formation, noisy_statistics
from limbeck.synthesize.condense.experts import Course
from limbeck.synthesize.condense.noisy_target import Target
from limbeck.synthesize.condense.pixels import PixelDescent
from limbeck.synthesize.condense.pooled_embedding import PooledEmbedding, pooled, trained
from limbeck.synthesize.condense.private import PrivateCondenser
from limbeck.synthesize.form import Form
from limbeck.synthesize.private import Answers
from limbeck.synthesize.statistics import Pool

_WIDTH = 32
_EPOCHS, _TRAINING_RATE, _TRAINING_BATCH = 30, 0.05, 64  # of networks, on a round's images


@register(
    "private-matching",
    kind="synthesizer",
    summary="Class means, moments and characteristic functions of embeddings, noised once, agree",
    paper="limbeck; arXiv 2110.04181, 2206.00719 and 2502.20653",
    access="sums",
    guarantee="(epsilon, delta) and mu-GDP",
    cost="1,400 images of 8x8: 15 CPU-seconds",
)
@options
class PrivateMatching(PrivateCondenser):
    """Minimise, over synthetic images S, the distance of their statistics from noisy private ones.

    A record's z is the unit vector along its embeddings under ``pairs`` random networks and
    augmentations, side by side in ``features`` directions that come from procedural images. Sums
    over the private records T, each released once with noise:

        "means"     sum of z by class               |mean_c z_T - mean_c z_S|^2, as in "dm"
        "moments"   sum of z z', with the former    the error on T of ridge regression on S,
                                                    as in "dm-ridge"
        "waves"     cos and sin of t.z by class     distance of characteristic functions, as in
                                                    "ncfm", frequencies t Gaussian

    beside noisy class counts. The loss adds up those that have a weight; all steps on pixels are
    post-processing. Sums by class are drawn towards their mean as their noise asks for, and
    eigenvalues that only noise can make are taken out (``noisy_target``).

    With ``rounds`` = 2 half of the budget is kept back. Networks trained on the images of the first
    round embed the records for the second, chosen after its answers: a budget of mu-GDP allows it.
    Images then match both rounds.

    means, moments, waves: weights of the budget's split; 0 leaves one out, moments need means.
    ipc, init, formation: as of other condensers; a start that reads records is refused.
    frequencies, spread: how many there are, and their standard deviation.
    steps, learning_rate, momentum, blur: of the steps on pixels, in each round; the rate is that of
        ten images per class, as in "dm".
    network, width, augmented, pairs, public_coins: of the pool of embeddings, as for "dm".
    ridge: of the regression on S, as for "dm-ridge".
    """

    means: Annotated[float, Field(ge=0)] = 0.4
    moments: Annotated[float, Field(ge=0)] = 0.6
    waves: Annotated[float, Field(ge=0)] = 0.0
    rounds: Annotated[int, Field(ge=1, le=2)] = 1
    features: Annotated[int, Field(ge=1)] = 200
    frequencies: Annotated[int, Field(ge=1)] = 64
    spread: Annotated[float, Field(gt=0)] = 2.0
    steps: Annotated[int, Field(ge=1)] = 300
    learning_rate: Annotated[float, Field(gt=0)] = 1000.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    blur: Annotated[float, Field(ge=0)] = 1.0
    ridge: Annotated[float, Field(gt=0)] = 0.03
    network: str | None = None
    width: Annotated[int, Field(ge=1)] | None = None
    augmented: bool = True
    pairs: Annotated[int, Field(ge=1)] = 8
    public_coins: int = 0

    @model_validator(mode="after")
    def _something_to_match(self) -> "PrivateMatching":
        if self.means + self.waves == 0 or (self.moments > 0 and self.means == 0):
            raise ValueError("means or waves need a weight above 0, and moments need means")
        return self

    @property
    def asks_once(self) -> bool:
        return self.rounds == 1

    @property
    def queries(self) -> tuple[Query, ...]:
        """Counts, then what has a weight, round by round."""
        rounds = (self._asked(turn).values() for turn in range(self.rounds))
        return (noisy_statistics.COUNTS, *(query for asked in rounds for query in asked))

    def fit_to(self, form: Form) -> "PrivateMatching":
        self.check_form(form)
        network, width = networks.choose(self.network, self.width, form.shape, narrow=_WIDTH)
        return replace(self, network=network, width=width)

    def abridged(self, times: int = 1) -> tuple["PrivateMatching", float]:
        steps = min(self.steps, 3 * times)
        return replace(self, steps=steps), self.steps / steps

    def ask(self, budget: Budget, form: Form, *, device: str) -> Answers:
        """Counts, and the first round's sums under random networks."""
        counts = noisy_statistics.count(budget, device=device)
        return {"counts": counts, **self._answers(budget, self._random(form, device), 0, device)}

    def make(
        self, answers: Answers, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        """The images of the first round."""
        target = self._target(self._random(form, device), answers["counts"], answers, 0, device)
        slots = self.data_free(form, seed).to(device)
        return self.made(self._moved(slots, [target], form, progress), form)

    def publish(
        self, budget: Budget, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        answers = self.ask(budget, form, device=device)
        first = part(progress, 0, self.rounds)
        made = self.make(answers, form, seed, device=device, progress=first)
        if self.rounds == 1:
            return made
        random, trained = self._random(form, device), self._trained(made, form, seed, device)
        again = self._answers(budget, trained, 1, device)
        targets = [
            self._target(embedding, answers["counts"], several, turn, device)
            for turn, (embedding, several) in enumerate([(random, answers), (trained, again)])
        ]
        slots = formation.encode(made.inputs.to(device), self.formation)
        return self.made(self._moved(slots, targets, form, part(progress, 1, 2)), form)

    def _asked(self, turn: int) -> dict[str, Query]:
        weights = {"means": self.means, "moments": self.moments, "waves": self.waves}
        return noisy_statistics.queries(weights, self.rounds, turn)

    def _answers(
        self, budget: Budget, embedding: PooledEmbedding, turn: int, device: str
    ) -> Answers:
        asked, drawn = self._asked(turn), self._frequencies(embedding, turn)
        # Random networks are the same in every run; trained ones follow from earlier answers.
        return noisy_statistics.ask(budget, embedding, asked, drawn, fixed=turn == 0, device=device)

    def _target(
        self,
        embedding: PooledEmbedding,
        counted: NoisySum,
        answers: Mapping[str, NoisySum],
        turn: int,
        device: str,
    ) -> Target:
        # A count below its noise is taken for its noise.
        counts = counted.values[:, 0].clamp(min=max(1.0, counted.noise))
        frequencies = self._frequencies(embedding, turn)
        return Target.of(embedding, counts, answers, frequencies, ridge=self.ridge, device=device)

    def _moved(
        self,
        slots: Float[Tensor, "slots ..."],
        targets: Sequence[Target],
        form: Form,
        progress: Progress | None,
    ) -> Float[Tensor, "slots ..."]:
        """The slots after all steps towards the targets."""
        descent = PixelDescent(
            slots,
            # Of a mean over m images each feels a share of 1/m: longer steps move them alike.
            learning_rate=self.learning_rate * self.per_class / 10,
            momentum=self.momentum,
            steps=self.steps,
            schedule="cosine",
            blur=self.blur,
        )
        for step in range(self.steps):
            moving = descent.images.requires_grad_()
            images = self.decode(moving)
            loss = torch.stack([target.distance(images) for target in targets]).sum()
            descent.step(torch.autograd.grad(loss, moving)[0])
            if progress is not None:
                progress((step + 1) / self.steps, self.made(descent.images, form))
        return descent.images

    def _trained(
        self, made: SyntheticDataset, form: Form, seed: int, device: str
    ) -> PooledEmbedding:
        images = LabeledDataset(made.inputs, made.labels, form.classes, mirror=form.mirror)
        course = Course(
            self._embedder, self.width, _EPOCHS, _TRAINING_RATE, _TRAINING_BATCH, self.augmented
        )
        return trained(self._pool(form), images, course, self.features, seed, device)

    def _random(self, form: Form, device: str) -> PooledEmbedding:
        return pooled(self._pool(form), self.features, device)

    def _frequencies(self, embedding: PooledEmbedding, turn: int) -> Float[Tensor, "p d"]:
        generator = coins.generator(self.public_coins, "frequencies", turn)
        return self.spread * torch.randn(self.frequencies, embedding.size, generator=generator)

    @property
    def _embedder(self) -> str:
        assert self.network is not None, "fitted to the form first"
        return self.network

    def _pool(self, form: Form) -> Pool:
        return Pool(
            network=self._embedder,
            width=self.width,
            size=self.pairs,
            augmented=self.augmented,
            public_coins=self.public_coins,
            shape=form.shape,
            classes=len(form.classes),
            mirror=form.mirror,
        )
