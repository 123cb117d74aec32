"""Independent trials with and without a target: what they show, and the bound that they carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from limbeck.audit.inference.fixed_threshold import independent_bound
from limbeck.audit.inference.intervals import clopper_pearson
from limbeck.types import Estimate

_FOLDS = 4
_SHRINKAGE = 0.2
"""Share of the identity in the covariance of signals in standard units: trials are few."""
_THRESHOLDS = 64  # tried for each score


@dataclass(frozen=True)
class Strong:
    """What the strong adversary could tell, judged on trials that nothing was fitted to.

    targets: indices of the attacked records. auc: one per target. mean_auc: with its interval.
    tpr, fpr: at the threshold that half of the trials chose, exact intervals, over all targets.
    epsilon: lower bound from those two rates; ``trials`` counts both sides.
    reads: what the chosen score reads, "lda" for the combination of all.
    """

    targets: tuple[int, ...]
    auc: tuple[float, ...]
    mean_auc: Estimate
    tpr: Estimate
    fpr: Estimate
    epsilon: Estimate
    reads: str
    delta: float

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        told = "record" if len(self.targets) == 1 else f"{len(self.targets)} records"
        bound = f"{self.epsilon.value:.2g}, at {self.epsilon.level:.0%} confidence"
        return (
            f"An adversary who knows all the rest told the {told} in from out with AUC "
            f"{self.mean_auc}, and at the threshold that he chose with TPR {self.tpr} at FPR "
            f"{self.fpr}: epsilon is at least {bound} and delta {self.delta:g}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        values = {
            name: value.to_json() if isinstance(value, Estimate) else value
            for name, value in vars(self).items()
        }
        return {**values, "targets": list(self.targets), "auc": list(self.auc)}


def sides(trials: int) -> tuple[Bool[np.ndarray, " trials"], Bool[np.ndarray, " trials"]]:
    """Which of so many trials are with the target, and which are judged: half of each half."""
    at = np.arange(trials)
    return at % 2 == 0, at % 4 >= 2


def judge_trials(
    signals: Float[np.ndarray, "targets trials signals"],
    names: Sequence[str],
    targets: Sequence[int],
    *,
    delta: float,
    level: float = 0.95,
) -> Strong:
    """What signals of independent trials, laid out as ``sides`` says, tell of their targets.

    Half A fits a linear discriminant to each target's signals, chooses between it and each signal
    alone for all targets together, and the threshold; half B is judged.

    Each target's rates satisfy the inequalities of differential privacy, and so do their means:
    the bound pools the targets, Clopper-Pearson being conservative for trials whose chances
    differ [Hoeffding 1956, doi:10.1214/aoms/1177728178].

    names: of the signals, higher where the target is likelier in. level: of the bound.
    """
    inside, judged = sides(signals.shape[1])
    scores = np.stack([_scores(of_target, inside, judged) for of_target in signals])
    best, threshold = _choose(scores[:, ~judged], inside[~judged], delta, level)
    seen, member = scores[:, judged, best], inside[judged]
    hits = seen > threshold
    true, false = (hits[:, side] for side in (member, ~member))
    areas, variances = zip(*(_area(of_target, member) for of_target in seen), strict=True)
    return Strong(
        tuple(int(target) for target in targets),
        tuple(areas),
        _mean_area(areas, variances, int(min(member.sum(), (~member).sum()))),
        _exact(true),
        _exact(false),
        independent_bound(
            int(true.sum()), true.size, int(false.sum()), false.size, delta=delta, level=level
        ),
        ("lda", *names)[best],
        delta,
    )


def _mean_area(areas: Sequence[float], variances: Sequence[float], fewer: int) -> Estimate:
    """Their mean with its interval, of a binomial with as many trials as carry the variance."""
    mean, most = float(np.mean(areas)), 2.0 * fewer * len(areas)
    variance = sum(variances) / len(areas) ** 2
    # Hanley and McNeil 1982: a (1 - a) / variance stays under twice the smaller side.
    effective = most if variance == 0 else min(most, mean * (1 - mean) / variance)
    low, high = clopper_pearson(mean * effective, effective)
    return Estimate(mean, low, high, len(areas) * 2 * fewer)


def _exact(hits: Bool[np.ndarray, "targets trials"]) -> Estimate:
    count, of = int(hits.sum()), hits.size
    low, high = clopper_pearson(float(count), float(of))
    return Estimate(count / of, low, high, of)


def _scores(
    signals: Float[np.ndarray, "trials signals"],
    inside: Bool[np.ndarray, " trials"],
    judged: Bool[np.ndarray, " trials"],
) -> Float[np.ndarray, "trials scores"]:
    """The discriminant and each signal alone, in standard units of half A's trials without."""
    usual = signals[~judged & ~inside]
    floor = 1e-6 * np.maximum(1.0, np.abs(signals).max(0))
    units = (signals - usual.mean(0)) / np.maximum(usual.std(0), floor)
    combined = np.empty(len(units))
    known = np.flatnonzero(~judged)
    combined[judged] = _discriminant(units[known], inside[known], units[judged])
    # Trials alternate with and without: each fold takes whole pairs.
    fold = np.arange(len(known)) // 2 % _FOLDS
    for f in range(_FOLDS):
        own, unseen = known[fold != f], known[fold == f]
        combined[unseen] = _discriminant(units[own], inside[own], units[unseen])
    return np.column_stack([combined, units])


def _discriminant(
    fit: Float[np.ndarray, "n signals"],
    inside: Bool[np.ndarray, " n"],
    units: Float[np.ndarray, "m signals"],
) -> Float[np.ndarray, " m"]:
    """Fisher's linear discriminant with a shrunk covariance within the two sides."""
    means = fit[inside].mean(0), fit[~inside].mean(0)
    within = fit - np.where(inside[:, None], *means)
    spread = within.T @ within / (len(fit) - 2)
    eye = np.eye(len(spread)) * max(float(np.trace(spread)) / len(spread), 1e-12)
    weights = np.linalg.solve((1 - _SHRINKAGE) * spread + _SHRINKAGE * eye, means[0] - means[1])
    found: np.ndarray = (units - (means[0] + means[1]) / 2) @ weights
    return found


def _choose(
    scores: Float[np.ndarray, "targets trials scores"],
    inside: Bool[np.ndarray, " trials"],
    delta: float,
    level: float,
) -> tuple[int, float]:
    """The score and threshold of half A whose bound, and then whose advantage, is largest."""
    options: list[tuple[float, float, int, float]] = []
    for kind in range(scores.shape[2]):
        member, other = scores[:, inside, kind].ravel(), scores[:, ~inside, kind].ravel()
        ordered = np.unique(scores[..., kind])
        for threshold in ordered[:: max(1, len(ordered) // _THRESHOLDS)]:
            hits, false = int((member > threshold).sum()), int((other > threshold).sum())
            bound = independent_bound(
                hits, len(member), false, len(other), delta=delta, level=level
            )
            advantage = hits / len(member) - false / len(other)
            options.append((bound.value, advantage, -kind, float(threshold)))
    *_, kind, threshold = max(options)
    return -kind, threshold


def _area(
    scores: Float[np.ndarray, " trials"], inside: Bool[np.ndarray, " trials"]
) -> tuple[float, float]:
    """Area under the ROC curve and its variance [DeLong 1988, doi:10.2307/2531595]."""
    above = scores[inside][:, None] - scores[~inside]
    wins = (np.sign(above) + 1) / 2
    spread = wins.mean(1).var(ddof=1) / len(wins) + wins.mean(0).var(ddof=1) / wins.shape[1]
    return float(wins.mean()), float(spread)
