"""What the attacks make of one mechanism of a bench, as several papers' claims need it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from limbeck.audit import plan
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.inference import roc
from limbeck.experiments import rates
from limbeck.experiments.bench import Bench
from limbeck.experiments.study import SPENT, Values
from limbeck.types import Estimate

FPR = 0.1
"""False-positive rate that a laptop's runs resolve, at which canaries found are compared."""
NEAR_CHANCE = 0.15
"""TPR at ``FPR`` that counts as near guessing: up to five points above it."""


@dataclass(frozen=True, eq=False)
class Attacked:
    """One mechanism's figures.

    hits: bool (runs, canaries), found by LiRA, each run's threshold set by the others. inside: who
    was a member. canaries: AUC of LiRA on them. ordinary: on ordinary records, None without any.
    loss: advantage (TPR - FPR) of the loss threshold on ordinary records.
    accuracies: of the runs without canaries. seconds: processor time of every run.
    """

    hits: Bool[np.ndarray, "runs canaries"]
    inside: Bool[np.ndarray, "runs canaries"]
    canaries: Estimate
    low_fpr: Estimate
    ordinary: Estimate | None
    loss: Estimate | None
    accuracies: Float[np.ndarray, " utility"]
    seconds: Float[np.ndarray, " rows"]

    @classmethod
    def of(cls, bench: Bench, values: Values) -> "Attacked":
        """Attack what a mechanism's runs left."""
        trials = bench.trials(values, LiRA())
        ordinary = loss = None
        if len(bench.made.ordinary):
            ordinary = roc.auc(bench.trials(values, LiRA(), "ordinary"))[0]
            averages = bench.trials(values, LossThreshold(), "ordinary")
            loss = roc.advantage(roc.balanced_accuracy(averages))
        return cls(
            rates.above(trials.scores, bench.inside, FPR),
            bench.inside,
            roc.auc(trials)[0],
            roc.operating(trials, (0.01,))[0].tpr.plain(),
            ordinary,
            loss,
            bench.utility(values),
            values[SPENT],
        )

    @property
    def found(self) -> Estimate:
        """Share of the members among the canaries that are found."""
        return rates.share(self.hits, self.inside)

    @property
    def accuracy(self) -> Estimate:
        """Mean accuracy of the runs without canaries."""
        return Estimate.of_mean(self.accuracies.tolist())

    def more_found_than(self, other: "Attacked") -> Estimate:
        """How many more of the same canaries are found than in another mechanism."""
        return rates.difference(self.hits, self.inside, other.hits, other.inside)

    def more_accurate_than(self, other: "Attacked") -> Estimate:
        """Difference of accuracy over the same runs."""
        return rates.paired(self.accuracies, other.accuracies)


def hits(
    bench: Bench, values: Values, group: plan.Group = "canary"
) -> Bool[np.ndarray, "runs canaries"]:
    """Canaries found by LiRA in each run, its threshold set by the other runs at ``FPR``."""
    return rates.above(bench.scores(values, LiRA(), group), bench.inside, FPR)
