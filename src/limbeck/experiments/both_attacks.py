"""One set of answers, judged twice: by the shadow-model attack, and by LiRA over repeated runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from limbeck.audit.attacks.base import Observed
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.attacks.shokri import shokri
from limbeck.audit.inference import roc
from limbeck.audit.signals import margins
from limbeck.experiments import rates
from limbeck.types import Estimate

FPR = 0.01
"""Nominal false-positive rate at which members found are counted."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What several networks answered about the same records.

    logits: float (runs, records, classes). labels: integers (records,). inside: bool (runs,
    records), whom each network was trained on, by independent fair coins.
    """

    logits: np.ndarray
    labels: np.ndarray
    inside: np.ndarray

    @property
    def softmax(self) -> Float[np.ndarray, "runs records classes"]:
        """The answers as probabilities."""
        return torch.from_numpy(self.logits).double().softmax(-1).numpy()

    def lira(self) -> roc.Trials:
        """LiRA's scores of every record in every run, the other runs its references."""
        labels = torch.from_numpy(self.labels)
        seen = [margins(torch.from_numpy(own), labels)[0] for own in self.logits]
        signals = torch.stack(seen).float().numpy()[:, None]
        return roc.Trials(LiRA().score(Observed(signals, self.inside)), self.inside)


def called_members(
    shadows: Answers,
    targets: Mapping[str, Answers],
    *,
    rows_per_class: int | None,
    seed: int,
) -> dict[str, Bool[np.ndarray, "runs records"]]:
    """Whom the shadow-model attack calls members of each target's runs; see ``shokri``.

    One attack model a class, fitted to the shadow networks' answers, judges all targets.
    """
    shapes = {name: one.logits.shape for name, one in targets.items()}
    softmax = {name: one.softmax for name, one in targets.items()}
    decisions = shokri(
        shadows.softmax,
        shadows.labels,
        shadows.inside,
        np.concatenate([each.reshape(-1, each.shape[2]) for each in softmax.values()]),
        np.concatenate([np.tile(one.labels, len(one.logits)) for one in targets.values()]),
        rows_per_class=rows_per_class,
        seed=seed,
    )
    ends = np.cumsum([runs * records for runs, records, _ in shapes.values()])
    parts = np.split(decisions, ends[:-1])
    return {
        name: part.reshape(shape[:2]) > 0
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


@dataclass(frozen=True, eq=False)
class Judged:
    """What both attacks made of one target.

    called: members by the support vector machines. found: members by LiRA, each run's threshold
    set by the other runs. accuracy: the attack's. accuracies: the network's, by run.
    """

    called: np.ndarray
    found: np.ndarray
    accuracy: Estimate
    auc: Estimate
    tpr: Estimate
    accuracies: Float[np.ndarray, " runs"]

    @classmethod
    def of(
        cls,
        called: Bool[np.ndarray, "runs records"],
        answers: Answers,
        accuracies: Float[np.ndarray, " runs"],
    ) -> "Judged":
        """The figures of one target."""
        inside, trials = answers.inside, answers.lira()
        point = roc.operating(trials, (FPR,))[0]
        return cls(
            called,
            rates.above(trials.scores, inside, FPR),
            rates.share(called == inside, np.ones_like(inside)),
            roc.auc(trials)[0],
            point.tpr.plain(),
            accuracies,
        )
