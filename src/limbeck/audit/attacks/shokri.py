"""The shadow-model attack: classifiers of softmax vectors, one per class.

It reads whole softmax vectors, which an audit stores only where it is asked for this attack.
"""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from limbeck.audit.attacks.base import MembershipAttack, Observed, Signal, folds_of
from limbeck.coins import numpy_generator
from limbeck.errors import OptionError
from limbeck.recipe import options
from limbeck.registry import register

_FOLDS = 5
_C = (0.1, 1.0, 10.0)
_GAMMA = (0.001, 0.01, 0.1)


def shokri(
    softmax: np.ndarray,
    labels: np.ndarray,
    membership: np.ndarray,
    target: np.ndarray,
    target_labels: np.ndarray,
    *,
    model: Literal["svm", "logistic"] = "svm",
    rows_per_class: int | None = None,
    seed: int = 0,
) -> Float[np.ndarray, " n"]:
    """Decision values of the attack on one target model; above 0 means member.

    [Shokri 2017, arXiv:1610.05820], with the attack model of Gujarathi and Gandhi 2022: for each
    class a support vector machine with RBF kernel on the softmax vectors of all shadow models,
    C in {0.1, 1, 10} and gamma in {0.001, 0.01, 0.1} by 5-fold cross-validated accuracy.

    softmax: float (runs, records, classes), the answers of the shadow models.
    labels: integers (records,). membership: bool (runs, records), which record was in which
        shadow model's training set.
    target: float (n, classes), the answers of the target model that are to be judged.
    target_labels: integers (n,).
    model: "logistic" is the same with logistic regression and its C alone.
    rows_per_class: a random sample of so many shadow answers per class and side (members,
        non-members), drawn with ``seed``; None takes all, and a machine's time grows with their
        square at least.

    OptionError where shapes disagree, or a class to be judged has fewer than five shadow answers
    of members or of non-members.
    """
    _check(softmax, labels, membership, target, target_labels)
    decisions = np.empty(len(target))
    for label in np.unique(target_labels):
        own = labels == label
        answers, inside = softmax[:, own].reshape(-1, softmax.shape[2]), membership[:, own].ravel()
        rows = _sample(inside, rows_per_class, seed, int(label))
        fewest = min(np.count_nonzero(inside), np.count_nonzero(~inside))
        if fewest < _FOLDS:
            raise OptionError(
                f"softmax of shape {softmax.shape} has {fewest} member or non-member answers of "
                f"class {label}, but {_FOLDS}-fold cross-validation needs {_FOLDS} of each: train "
                "more shadow models"
            )
        search = GridSearchCV(*_attack_model(model), cv=_FOLDS)
        search.fit(answers[rows], inside[rows])
        judged = target_labels == label
        decisions[judged] = search.decision_function(target[judged])
    return decisions


@dataclass(frozen=True)
class Decided:
    """What calling some records members was worth; rates are fractions, of ``trials`` records.

    Precision and recall mean nothing alone: whoever calls everyone a member has a recall of 1, at
    the accuracy of chance. precision is NaN where nobody was called a member.
    """

    precision: float
    recall: float
    accuracy: float
    trials: int


def decided(decisions: Float[np.ndarray, " n"], members: Bool[np.ndarray, " n"]) -> Decided:
    """Precision, recall and accuracy of "member where the decision value is above 0"."""
    called = decisions > 0
    right = np.count_nonzero(called & members)
    return Decided(
        precision=right / np.count_nonzero(called) if called.any() else math.nan,
        recall=right / np.count_nonzero(members) if members.any() else math.nan,
        accuracy=float((called == members).mean()),
        trials=len(members),
    )


def _attack_model(model: str) -> tuple[SVC | LogisticRegression, dict[str, tuple[float, ...]]]:
    if model == "svm":
        return SVC(kernel="rbf"), {"C": _C, "gamma": _GAMMA}
    return LogisticRegression(max_iter=1_000), {"C": _C}


def _sample(
    inside: Bool[np.ndarray, " rows"], size: int | None, seed: int, label: int
) -> Int[np.ndarray, " k"]:
    """Indices of at most ``size`` members and as many non-members, in their order."""
    draws = numpy_generator(seed, "shokri", label)
    sides = [np.flatnonzero(side) for side in (inside, ~inside)]
    if size is not None:
        sides = [draws.permutation(side)[:size] for side in sides]
    return np.sort(np.concatenate(sides))


def _check(
    softmax: np.ndarray,
    labels: np.ndarray,
    membership: np.ndarray,
    target: np.ndarray,
    target_labels: np.ndarray,
) -> None:
    runs, records, classes = softmax.shape
    wanted = {
        "labels": (labels, (records,)),
        "membership": (membership, (runs, records)),
        "target": (target, (len(target_labels), classes)),
    }
    for name, (value, shape) in wanted.items():
        if value.shape != shape:
            raise OptionError(
                f"{name} has shape {value.shape}; softmax of shape {softmax.shape} and "
                f"{len(target_labels)} target labels need {shape}"
            )


@register(
    "shokri",
    kind="attack",
    summary="a classifier for each class of the answers of shadow models to members and others",
    paper="Shokri et al. 2017, arXiv 1610.05820",
    cost="minutes of support vector machines; the logistic twin takes seconds",
)
@options
class Shokri(MembershipAttack):
    """The shadow attack with every run as the target of those in the other folds; see ``shokri``.

    One support vector machine per class is the attack model of Gujarathi and Gandhi 2022.

    model: "svm" as published, "logistic" its twin. rows_per_class: shadow answers of a class that
        a machine learns from, of members and of non-members each, at most. folds: of the runs.

    A class with fewer than five answers on a side in the other folds scores 0: nothing is known.
    """

    model: Literal["svm", "logistic"] = "svm"
    rows_per_class: Annotated[int, Field(ge=_FOLDS)] = 200
    folds: Annotated[int, Field(ge=2)] = 4
    reads: ClassVar[tuple[Signal, ...]] = ("softmax",)

    @property
    def title(self) -> str:
        return self.method_name if self.model == "svm" else f"{self.method_name}-{self.model}"

    @property
    def finds_direction(self) -> bool:
        return True

    def applies(self, observed: Observed) -> bool:
        return observed.labels is not None and observed.softmax is not None

    def score(self, observed: Observed) -> Float[np.ndarray, "runs records"]:
        answers, labels, inside = observed.softmax, observed.labels, observed.membership
        if answers is None or labels is None:
            raise OptionError(
                f"signals of shape {observed.signals.shape} come without the whole answers or the "
                f"labels that {self.title} reads: give softmax (runs, records, classes) and labels"
            )
        scores = np.zeros(inside.shape)
        for train, judged in folds_of(observed.references, self.folds):
            for label in np.unique(labels):
                own = labels == label
                known = inside[train][:, own]
                members = int(np.count_nonzero(known))
                if min(members, known.size - members) < _FOLDS:
                    continue
                asked = answers[judged][:, own]
                found = shokri(
                    answers[train][:, own],
                    labels[own],
                    known,
                    asked.reshape(-1, asked.shape[2]),
                    np.full(asked.shape[0] * asked.shape[1], label),
                    model=self.model,
                    rows_per_class=self.rows_per_class,
                )
                scores[np.ix_(judged, own)] = found.reshape(asked.shape[:2])
        return scores
