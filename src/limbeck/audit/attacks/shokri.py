"""The shadow-model attack: classifiers of softmax vectors, one per class.

It reads whole softmax vectors, which an audit does not store, and judges a target model that is
not one of the shadow models. It is here to reproduce published figures, not part of the audit.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from limbeck.coins import numpy_generator
from limbeck.errors import OptionError

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
