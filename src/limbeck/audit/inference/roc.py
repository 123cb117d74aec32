"""ROC figures of attack scores, every threshold chosen on other runs than those it judges."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from limbeck.audit import evidence
from limbeck.audit.inference.hits import Hits
from limbeck.audit.inference.intervals import (
    LEVEL,
    Clusters,
    clopper_pearson,
    rate,
    student_p_value,
)
from limbeck.errors import OptionError
from limbeck.types import Estimate

NOMINAL_FPRS = (0.1, 0.01, 0.001)
GRID = tuple(float(f) for f in np.geomspace(1e-4, 1.0, 60))
"""False-positive rates of the log-log curve."""

EXPECTED_FALSE_POSITIVES = 10
"""Below this many expected, a false-positive rate is not resolvable."""

_FOLDS = 16
WIDER = 3.0
"""A rate's dependence between trials is also looked at where it rests on three times as many."""


class Trials:
    """Scores of one attack on one group, who was a member, and which records share their coins.

    level: confidence of every interval.
    Raises OptionError where there is nothing to judge: fewer than two runs, or no run but one
    with a non-member (or a member), so that no threshold can come from other runs.
    """

    def __init__(
        self,
        scores: Float[np.ndarray, "runs records"],
        membership: Bool[np.ndarray, "runs records"],
        clusters: Clusters | None = None,
        level: float = LEVEL,
    ) -> None:
        for side, name in ((membership, "members"), (~membership, "non-members")):
            if np.count_nonzero(side.any(1)) < 2:
                raise OptionError(
                    f"scores of shape {scores.shape}: fewer than two runs have {name} to judge; "
                    "plan more runs or more records"
                )
        self.scores = scores
        self.membership = membership
        self.clusters = clusters or Clusters.separate(scores.shape[1])
        self.members = int(np.count_nonzero(membership))
        self.negatives = membership.size - self.members
        self.level = level

    def thresholds(self, fprs: tuple[float, ...]) -> Float[np.ndarray, "fprs runs"]:
        """For each rate and run, the threshold that the OUT scores of all other runs give.

        With n such scores it is the k-th largest, k = floor(fpr (n + 1)) but at least 1: a new OUT
        score lies above it with probability k / (n + 1). A score must exceed it to count.
        """
        out = ~self.membership
        run = np.nonzero(out)[0]
        order = np.argsort(-self.scores[out], kind="stable")
        ranked = np.append(self.scores[out][order], -np.inf)
        places = np.argsort(run[order], kind="stable")  # each run's ranks, ascending, run by run
        ends = np.cumsum(out.sum(1))
        found = np.empty((len(fprs), len(out)))
        for r, (start, end) in enumerate(zip(np.append(0, ends[:-1]), ends, strict=True)):
            others = self.negatives - (end - start)
            k = np.maximum(np.floor(np.asarray(fprs) * (others + 1)).astype(int), 1)
            # Own rank less the own scores before it: how many of the others are ranked above.
            above = places[start:end] - np.arange(end - start)
            found[:, r] = ranked[k - 1 + np.searchsorted(above, k - 1, side="right")]
        return found

    def share(
        self, hits: Bool[np.ndarray, "runs records"], side: Bool[np.ndarray, "runs records"]
    ) -> tuple[float, Float[np.ndarray, "runs records"]]:
        """The share of one side's trials that are hits, and each trial's influence on it."""
        count = np.count_nonzero(side)
        value = np.count_nonzero(hits & side) / count
        return value, (hits - value) * side / count

    def hits(self, side: Bool[np.ndarray, "runs records"], fprs: tuple[float, ...]) -> Hits:
        """The shares of one side above the thresholds of each rate, and their spread."""
        wider = tuple(min(WIDER * fpr, 1.0) for fpr in fprs)
        every = sorted({*fprs, *wider})
        return Hits.above(
            self.thresholds(tuple(every)),
            self.scores,
            side,
            self.clusters,
            rates=[every.index(fpr) for fpr in fprs],
            wider=[every.index(fpr) for fpr in wider],
            times=WIDER,
        )


def auc(trials: Trials) -> tuple[Estimate, float]:
    """Area under the ROC curve over all (member, non-member) pairs, and the p-value of "none".

    The estimand is the chance that a member's score exceeds a non-member's, ties counting half.
    Influence values are the placements of DeLong 1988 (doi:10.2307/2531595).
    """
    inside = trials.membership
    placements = np.empty(inside.shape)
    for side, other, sign in ((inside, ~inside, 1.0), (~inside, inside, -1.0)):
        reference = np.sort(trials.scores[other])
        values = trials.scores[side]
        below = np.searchsorted(reference, values) + np.searchsorted(reference, values, "right")
        share = below / (2 * len(reference))
        placements[side] = share if sign > 0 else 1 - share
    value = float(placements[inside].mean())
    influence = (placements - value) * np.where(inside, 1 / trials.members, 1 / trials.negatives)
    # Hanley and McNeil 1982: a (1 - a) / variance stays under twice the smaller side.
    at_most = 2 * min(trials.members, trials.negatives)
    estimate = rate(
        value,
        influence,
        trials.clusters,
        at_most=at_most,
        trials=inside.size,
        level=trials.level,
    )
    return estimate, student_p_value(value - 0.5, influence, trials.clusters)


def operating(
    trials: Trials, fprs: tuple[float, ...] = NOMINAL_FPRS, *, beside: int = 1
) -> tuple[evidence.Operating, ...]:
    """TPR and realised FPR at each nominal rate.

    The estimand is the TPR at the thresholds that were realised, averaged over the judged runs,
    not the TPR at the nominal rate. The p-value is of "coins have nothing to do with scores".

    A rate that is not resolvable gets a far wider interval, of a binomial with as many trials as
    there are runs (or units, where these are fewer): as if all hits of a run fell together, the
    most that dependence can do. With a factor that a whole run shares, clustered intervals that
    rest on so few false positives covered as little as 87% instead of 95% in simulations.

    beside: how many attacks are looked at together; ``least`` holds for all of them at once.
    """
    together = 1 - (1 - trials.level) / beside
    points = []
    found, false = (trials.hits(side, fprs) for side in (trials.membership, ~trials.membership))
    rates = (found.estimates(trials.level), false.estimates(trials.level))
    for nominal, threshold, tpr, fpr, surely in zip(
        fprs, trials.thresholds(fprs), *rates, found.estimates(together), strict=True
    ):
        hits = trials.scores > threshold[:, None]
        resolvable = nominal * trials.negatives >= EXPECTED_FALSE_POSITIVES
        least = surely.low
        if not resolvable:
            # An FPR that may be as large says nothing of the TPR at its nominal value.
            low, high = (_by_cluster(rate, trials, together) for rate in (tpr, fpr))
            least = low.low if low.low > high.high else 0.0
            tpr, fpr = (_by_cluster(rate, trials, trials.level) for rate in (tpr, fpr))
        points.append(
            evidence.Operating(
                nominal_fpr=nominal,
                tpr=evidence.Estimate.of(tpr),
                realised_fpr=evidence.Estimate.of(fpr),
                false_positives=int(np.count_nonzero(hits & ~trials.membership)),
                negatives=trials.negatives,
                resolvable=resolvable,
                p_value=_coincidence(hits, trials),
                least=least,
            )
        )
    return tuple(points)


def _by_cluster(rate: Estimate, trials: Trials, level: float) -> Estimate:
    """The rate with the exact interval of as many trials as there are runs, or units if fewer."""
    clusters = float(min(len(trials.scores), trials.clusters.count))
    low, high = clopper_pearson(rate.value * clusters, clusters, level)
    return replace(rate, low=low, high=high, level=level)


def _coincidence(hits: Bool[np.ndarray, "runs records"], trials: Trials) -> float:
    """P-value of so many members among the scores above their thresholds, were coins unrelated.

    Each such score is then a member's with the members' share. Leave-one-out uses every pair of
    runs twice, once each way round, which at most doubles the variance of a sum over trials: the
    binomial test counts half of them. Hits of one unit in one run stand or fall with one coin, and
    count as Kish's effective sample size [1965, Survey Sampling, 8.2]: the square of their number
    over the sum of the units' squares.
    """
    true = int(np.count_nonzero(hits & trials.membership))
    if true == 0:
        return 1.0
    by_unit = trials.clusters.sum(hits.astype(float))
    every = float(by_unit.sum())
    worth = every / float((by_unit**2).sum()) / 2
    share = trials.members / trials.membership.size
    return float(special.betainc(true * worth, (every - true) * worth + 1, share))


def curve(trials: Trials, fprs: tuple[float, ...] = GRID) -> evidence.Curve:
    """The ROC curve: TPR with its interval at the thresholds of each nominal FPR."""
    rates = trials.hits(trials.membership, fprs).estimates(trials.level)
    return evidence.Curve(
        fpr=fprs,
        tpr=tuple(r.value for r in rates),
        low=tuple(r.low for r in rates),
        high=tuple(r.high for r in rates),
        level=trials.level,
    )


def carried_over(
    trials: Trials, halves: Bool[np.ndarray, " runs"], fpr: float
) -> tuple[float, float] | None:
    """The FPR in half B of the threshold that half A sets at ``fpr``, and the expected count.

    A threshold that holds in the runs that set it and not in others is of no use to an attacker
    and makes a realised FPR a matter of luck. None where a half has no non-member.
    """
    out = ~trials.membership
    known, judged = (trials.scores[side][out[side]] for side in (~halves, halves))
    if not len(known) or not len(judged):
        return None
    rank = max(int(fpr * (len(known) + 1)), 1)
    threshold = np.sort(known)[::-1][rank - 1]
    return float((judged > threshold).mean()), fpr * min(len(known), len(judged))


def balanced_accuracy(trials: Trials) -> Estimate:
    """(TPR + TNR) / 2 at the threshold that is best on the runs of the other folds."""
    hits = trials.scores > _best_thresholds(trials)[:, None]
    tpr, on_members = trials.share(hits, trials.membership)
    tnr, on_others = trials.share(~hits, ~trials.membership)
    return rate(
        (tpr + tnr) / 2,
        (on_members + on_others) / 2,
        trials.clusters,
        at_most=2 * min(trials.members, trials.negatives),
        trials=trials.membership.size,
        level=trials.level,
    )


def advantage(accuracy: Estimate) -> Estimate:
    """TPR - FPR, which is twice the balanced accuracy less one [Yeom 2018, arXiv:1709.01604]."""
    return Estimate(
        2 * accuracy.value - 1,
        2 * accuracy.low - 1,
        2 * accuracy.high - 1,
        accuracy.trials,
        accuracy.level,
    )


def _best_thresholds(trials: Trials) -> Float[np.ndarray, " runs"]:
    runs, records = trials.scores.shape
    folds = np.arange(runs) % min(runs, _FOLDS)
    order = np.argsort(-trials.scores, axis=None, kind="stable")
    scores, inside = trials.scores.ravel()[order], trials.membership.ravel()[order]
    fold = folds[order // records]
    best = np.empty(runs)
    for f in range(folds.max() + 1):
        kept = fold != f
        s, m = scores[kept], inside[kept]
        gain = np.cumsum(np.where(m, 1 / max(m.sum(), 1), -1 / max((~m).sum(), 1)))
        gain[:-1][s[:-1] == s[1:]] = -np.inf  # equal scores stand or fall together
        last = int(np.argmax(gain[:-1])) if len(s) > 1 else 0
        best[folds == f] = (s[last] + s[min(last + 1, len(s) - 1)]) / 2
    return best
