"""Rates of one attack on one finished set: members and others are two independent samples.

There is one release and one coin per record, so that nothing is clustered: areas get the interval
of independent trials, rates the exact one. All of it is conditional on the release.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from limbeck.audit import evidence
from limbeck.audit.inference.intervals import clopper_pearson, student_discount
from limbeck.audit.inference.roc import EXPECTED_FALSE_POSITIVES, NOMINAL_FPRS
from limbeck.types import Estimate


def area(
    members: Float[np.ndarray, " m"], others: Float[np.ndarray, " n"]
) -> tuple[Estimate, float]:
    """Area under the ROC curve, and the one-sided p-value of "the scores are exchangeable".

    The estimand is the chance that a member's score exceeds another's, ties counting half. Its
    interval rests on the placements of DeLong 1988 (doi:10.2307/2531595), the p-value is that of
    Mann and Whitney, by the normal approximation with its correction for ties.
    """
    inside, outside = _placements(members, others), 1 - _placements(others, members)
    value = float(inside.mean())
    variance = sum(
        float(((side - value) ** 2).sum()) / len(side) ** 2 for side in (inside, outside)
    )
    fewest = min(len(members), len(others))
    # As many binomial trials as carry this variance; see ``roc.auc`` for how many there can be.
    effective = 2.0 * fewest
    if variance > 0:
        effective = min(effective, value * (1 - value) / variance)
    effective *= student_discount(max(fewest - 1.0, 1.0))
    low, high = clopper_pearson(value * effective, effective)
    estimate = Estimate(value, low, high, len(members) + len(others))
    scores = np.concatenate([members, others])
    if (scores == scores[0]).all():
        return estimate, 1.0
    found = stats.mannwhitneyu(members, others, alternative="greater", method="asymptotic")
    return estimate, float(found.pvalue)


def operating(
    members: Float[np.ndarray, " m"],
    reference: Float[np.ndarray, " r"],
    others: Float[np.ndarray, " n"],
    fprs: Sequence[float] = NOMINAL_FPRS,
) -> tuple[evidence.Operating, ...]:
    """TPR and realised FPR, with exact intervals, at the thresholds that ``reference`` gives.

    reference, others: scores of two random halves of the records that are no members. The
    threshold for a nominal rate f is the k-th largest of the reference, k = floor(f (r + 1)) but
    at least 1. The p-value is Fisher's, of "members exceed it no more often than others".
    """
    ranked = np.sort(reference)[::-1]
    points = []
    for fpr in fprs:
        threshold = ranked[max(int(fpr * (len(ranked) + 1)), 1) - 1]
        true, false = (int(np.count_nonzero(side > threshold)) for side in (members, others))
        table = np.array([[true, len(members) - true], [false, len(others) - false]])
        points.append(
            evidence.Operating(
                nominal_fpr=fpr,
                tpr=_share(true, len(members)),
                realised_fpr=_share(false, len(others)),
                false_positives=false,
                negatives=len(others),
                resolvable=fpr * len(others) >= EXPECTED_FALSE_POSITIVES,
                p_value=float(stats.fisher_exact(table, alternative="greater").pvalue),
            )
        )
    return tuple(points)


def _placements(
    values: Float[np.ndarray, " a"], reference: Float[np.ndarray, " b"]
) -> Float[np.ndarray, " a"]:
    """For each value the share of the reference that lies below it, ties counting half."""
    ranked = np.sort(reference)
    below = np.searchsorted(ranked, values) + np.searchsorted(ranked, values, "right")
    return below / (2 * len(reference))


def _share(hits: int, trials: int) -> evidence.Estimate:
    low, high = clopper_pearson(float(hits), float(trials))
    return evidence.Estimate(value=hits / trials, low=low, high=high, trials=trials)
