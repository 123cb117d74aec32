"""Shares of (run, record) trials and their differences, with intervals for shared coins."""

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from limbeck.audit.inference.intervals import (
    LEVEL,
    Clusters,
    fewest_freedom,
    rate,
    two_way_variance,
)
from limbeck.train.welch import welch
from limbeck.types import Estimate


def above(
    scores: Float[np.ndarray, "runs records"], inside: Bool[np.ndarray, "runs records"], fpr: float
) -> Bool[np.ndarray, "runs records"]:
    """Scores above the threshold that the non-members of all other runs set at ``fpr``."""
    hits = np.zeros(scores.shape, dtype=bool)
    for run in range(len(scores)):
        out = np.delete(scores, run, 0)[~np.delete(inside, run, 0)]
        hits[run] = scores[run] > np.quantile(out, 1 - fpr)
    return hits


def share(
    hits: Bool[np.ndarray, "runs records"], arm: Bool[np.ndarray, "runs records"]
) -> Estimate:
    """Share of the arm's trials that are hits, clustered by run and record; NaN of no trial."""
    trials = int(arm.sum())
    if not trials:
        return Estimate(math.nan)
    value, influence = _influence(hits, arm)
    clusters = Clusters.separate(arm.shape[1])
    return rate(value, influence, clusters, at_most=trials, trials=trials)


def difference(
    hits: Bool[np.ndarray, "runs records"],
    arm: Bool[np.ndarray, "runs records"],
    other_hits: Bool[np.ndarray, "runs records"],
    other_arm: Bool[np.ndarray, "runs records"],
) -> Estimate:
    """One share less another over the same runs and records, with Student's interval.

    What the two have in common, such as the coins of one plan, cancels. NaN where an arm is empty.
    """
    trials = int(arm.sum()) + int(other_arm.sum())
    if not arm.any() or not other_arm.any():
        return Estimate(math.nan)
    value, influence = _influence(hits, arm)
    other, theirs = _influence(other_hits, other_arm)
    spread = math.sqrt(two_way_variance(influence - theirs))
    freedom = fewest_freedom(*arm.shape)
    reach = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * spread
    found = value - other
    if spread == 0:  # no trial differs: how far the truth may lie cannot be seen
        return Estimate(found, trials=trials)
    return Estimate(found, max(-1.0, found - reach), min(1.0, found + reach), trials, LEVEL)


def paired(values: Float[np.ndarray, " runs"], others: Float[np.ndarray, " runs"]) -> Estimate:
    """Mean difference of two figures of the same runs, with Student's interval over the runs."""
    differences = (values - others).tolist()
    return welch(float(np.mean(differences)), [(differences, 1.0)])


def mean(values: Float[np.ndarray, " runs"]) -> Estimate:
    """Mean of a figure that need not be a rate, with Student's interval over the runs."""
    return welch(float(np.mean(values)), [(values.tolist(), 1.0)])


def _influence(
    hits: Bool[np.ndarray, "runs records"], arm: Bool[np.ndarray, "runs records"]
) -> tuple[float, Float[np.ndarray, "runs records"]]:
    value = float(hits[arm].mean())
    return value, np.where(arm, hits - value, 0.0) / int(arm.sum())
