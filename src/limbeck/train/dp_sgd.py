"""DP-SGD: a network trained on noisy sums of clipped gradients, with a formal guarantee."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Literal

import torch
from pydantic import Field

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.nn.networks import deepest, make
from limbeck.privacy import noise
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.budget import protected
from limbeck.privacy.digits import up
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.sampled import GRID, Sampler, Steps, multiplier_for
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.train.base import Trainer, TrainingSet, targets
from limbeck.train.levels import LEVELS
from limbeck.train.network_classifier import StandardClassifier
from limbeck.train.noisy_sgd import noisy_sgd, shared_views
from limbeck.types import Adjacency, Event, Guarantee, Unit

_COUNT_SHARE = 0.01  # of the budget, in mu^2, for the number of records
_WIDTH = 16


@register(
    "dp-sgd",
    kind="trainer",
    summary="a small network trained by SGD on clipped gradients with noise",
    paper="arXiv 1607.00133 (Abadi 2016) and 2204.13650 (De 2022)",
    guarantee="(epsilon, delta) of the classifier",
    cost="1,400 images of 8x8: 5 CPU-seconds",
)
@options
class DPSGD(Trainer):
    """SGD whose every step reads private data through one noisy sum (see ``privacy.sampled``).

    Each step takes every record with chance ``rate``. The gradients of a record's ``views`` (the
    record, and siamese augmentations that all records of a step share) are averaged, cut to norm
    ``clip``, and summed; noise is added once; the sum over the expected number of records is the
    gradient of a plain step. The classifier is the moving average of the weights. No layer of the
    networks looks at two records (group or instance norm), and inputs are only ever scaled by
    their data type or a public range.

    level: presets of all that follows. "epsilon-1", "epsilon-3" and "epsilon-10" are formally
        private. "medium", "high" and "very-high" add so little noise that their epsilon, printed
        all the same, promises nothing: only attacks speak for them. "no-noise" has no guarantee.
    epsilon: another than the level's. multiplier: noise in multiples of ``clip``, instead.
    delta, adjacency, unit: of the guarantee. Replace-one is accounted for as two changes. Of a
        group one random record takes part where the group is drawn; None: groups where there are.
    network, width: as of the trainer "standard".
    rate, epochs, learning_rate, views, clip, average: of the loop; ``average`` is the share of the
        moving average that is kept in a step.
    expected: records in an average step, if that is public. None: rate times a noisy count of
        the records, which takes 1% of the budget (in mu^2).

    Opacus' hooks compute per-record gradients. Its clipping, sampler and noise are not used: they
    work in floating point and draw from PyTorch's generator, which on a CPU has 32 bits of seed.
    Here clipped rows are summed as integers and get discrete noise (see ``privacy``).

    Initial weights and augmentation follow from the seed; which records a step takes, and its
    noise, do so only in ``fit_many``, which shadow runs and evaluations use and whose classifiers
    must not be released. Raises OptionError where Opacus is missing.
    """

    level: Literal[
        "epsilon-1", "epsilon-3", "epsilon-10", "medium", "high", "very-high", "no-noise"
    ] = "epsilon-10"
    epsilon: Annotated[float, Field(gt=0)] | None = None
    multiplier: Annotated[float, Field(ge=0)] | None = None
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    adjacency: Adjacency = "add-remove"
    unit: Unit | None = None
    network: str | None = None
    width: Annotated[int, Field(ge=1)] | None = None
    rate: Annotated[float, Field(gt=0, le=1)] | None = None
    epochs: Annotated[float, Field(gt=0)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    views: Annotated[int, Field(ge=1)] | None = None
    clip: Annotated[float, Field(gt=0)] = 1.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.95
    expected: Annotated[float, Field(gt=0)] | None = None

    @property
    def title(self) -> str:
        claimed = None if self.multiplier is None else self.guarantee
        return "dp-sgd" if claimed is None else f"dp-sgd at epsilon {up(claimed.epsilon, 3)}"

    @property
    def guarantee(self) -> Guarantee | None:
        events = self.events
        if not events:
            return None
        epsilon = epsilon_declared(events, self.delta, self.adjacency, grid=GRID)
        return Guarantee(epsilon, self.delta, self.adjacency, self.unit or "record", events)

    @property
    def events(self) -> tuple[Event, ...]:
        """The ledger, known before anything runs; none where no noise is added."""
        steps = self._steps
        if steps.multiplier == 0:
            return ()
        counting = () if self._counting is None else (self._counting,)
        return (*counting, steps.event("gradient sums"))

    @property
    def _counting(self) -> Event | None:
        """The noisy count of units, where their number is not public."""
        if self.expected is not None:
            return None
        asked = self.epsilon or LEVELS[self.level].epsilon or 1.0
        wanted = 1 / (_COUNT_SHARE**0.5 * mu_of(asked, self.delta))
        scale = noise.discrete_scale(wanted)
        return Event(f"number of {self.unit or 'record'}s", "discrete Gaussian", 1.0, scale)

    @property
    def _steps(self) -> Steps:
        level = LEVELS[self.level]
        rate = self.rate or level.rate
        count = max(1, round((self.epochs or level.epochs) / rate))
        multiplier = level.multiplier if self.multiplier is None else self.multiplier
        epsilon = self.epsilon or level.epsilon
        if self.multiplier is None and epsilon is not None:
            multiplier = multiplier_for(
                epsilon,
                self.delta,
                self.adjacency,
                rate=rate,
                count=count,
                besides=() if self._counting is None else (self._counting,),
            )
        assert multiplier is not None, "a level states epsilon or a multiplier"
        return Steps(rate, count, multiplier, self.clip)

    def resolve(self, form_shape: tuple[int, ...]) -> "DPSGD":
        if find_spec("opacus") is None:
            raise OptionError("dp-sgd needs opacus; install it with pip install 'limbeck[private]'")
        network = self.network or _network(form_shape)
        make(network, form_shape, 2, width=1, seed=0)  # refuses what it cannot serve
        level = LEVELS[self.level]
        found = replace(
            self,
            network=network,
            width=self.width or (64 if network == "mlp" else _WIDTH),
            multiplier=self._steps.multiplier,
            rate=self.rate or level.rate,
            epochs=self.epochs or level.epochs,
            learning_rate=self.learning_rate or level.learning_rate,
            views=self.views or (level.views if len(form_shape) == 3 else 1),
        )
        claimed = found.guarantee
        if claimed is not None and claimed.epsilon == math.inf:
            raise OptionError(
                f"dp-sgd: so little noise has no finite epsilon under {self.adjacency} adjacency; "
                "use add-remove, or ask for an epsilon"
            )
        if self.epsilon is not None and (claimed is None or claimed.epsilon > self.epsilon):
            has = "no guarantee" if claimed is None else f"epsilon {up(claimed.epsilon)}"
            raise OptionError(
                f"dp-sgd: a noise multiplier of {found.multiplier:g} gives {has}, not the epsilon "
                f"{self.epsilon:g} asked for; leave one of the two out"
            )
        return found

    def resolve_for(self, private: LabeledDataset) -> "DPSGD":
        return replace(self, unit=protected(private, self.unit)).resolve(private.shape)

    def abridged(self) -> tuple["DPSGD", float]:
        steps = self._steps
        few = min(3, steps.count)
        short = replace(self, multiplier=steps.multiplier, epsilon=None, epochs=few * steps.rate)
        return short, steps.count / few

    def fit(self, data: TrainingSet, *, seed: int, device: str = "cpu") -> StandardClassifier:
        """Train one classifier to be released: its coins and noise are drawn and kept nowhere."""
        return self._fit(data, seed, device, None)

    def fit_many(
        self, sets: Sequence[TrainingSet], seeds: Sequence[int], *, device: str = "cpu"
    ) -> Iterator[StandardClassifier]:
        """Classifiers of shadow runs and evaluations: all their coins follow from their seeds."""
        for data, seed in zip(sets, seeds, strict=True):
            yield self._fit(data, seed, device, coins.derive(seed, "privacy noise"))

    def _fit(
        self, data: TrainingSet, seed: int, device: str, insecure_seed: int | None
    ) -> StandardClassifier:
        labelled = data if isinstance(data, LabeledDataset) else None
        this = self.resolve(data.shape) if labelled is None else self.resolve_for(labelled)
        assert this.network and this.learning_rate and this.views, "resolved"
        classes = len(data.classes)
        network = make(this.network, data.shape, classes, width=this.width, seed=seed).to(device)
        sampler = Sampler(
            data.inputs,
            targets(data),
            this._steps,
            [p.shape for p in network.parameters()],
            groups=labelled.groups if labelled is not None and this.unit == "group" else None,
            counting=this._counting,
            device=device,
            insecure_seed=insecure_seed,
        )
        expected = this.expected
        if expected is None:
            assert sampler.counted is not None, "counted where it is not public"
            expected = max(1.0, sampler.counted * sampler.steps.rate)
        coin = coins.generator(seed, "augment")
        means = noisy_sgd(
            network,
            sampler,
            partial(shared_views, coin, data.shape, mirror=data.mirror, count=this.views),
            views=this.views,
            expected=expected,
            learning_rate=this.learning_rate,
            average=this.average,
        )
        made = make(this.network, data.shape, classes, width=this.width, seed=seed).to(device)
        with torch.no_grad():
            for p, mean in zip(made.parameters(), means, strict=True):
                p.copy_(mean)
        classifier = StandardClassifier(made)
        if insecure_seed is None and labelled is not None:
            classifier.claimed = this.guarantee
        return classifier


def _network(shape: tuple[int, ...]) -> str:
    """One convolution where it serves: noise grows with the parameters, and more layers lose."""
    return "convnet1" if deepest(shape).startswith("convnet") else "mlp"
