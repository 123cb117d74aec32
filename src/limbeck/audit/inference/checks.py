"""What the audit asks of itself: to see nothing where nothing is, and to see what is there."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32
from scipy import stats

from limbeck.audit import evidence
from limbeck.audit.attacks.base import MembershipAttack, Observed
from limbeck.audit.inference.intervals import (
    LEVEL,
    Clusters,
    clopper_pearson,
    fewest_freedom,
    student_discount,
)
from limbeck.audit.inference.roc import Trials, auc
from limbeck.coins import numpy_generator
from limbeck.privacy.gaussian import best_auc, mu_of
from limbeck.types import Estimate

_ALARM = 0.999
"""Confidence at which the null self-test speaks of a fault, so that chance rarely raises it."""

_REPEATS = 10
_MISSES = 3
"""More than three of the ten 95% intervals miss the truth with probability 0.001."""


def null_test(
    attack: MembershipAttack,
    observed: Observed,
    clusters: Clusters,
    *,
    seed: int,
) -> evidence.Check:
    """The same attack judged against fresh coins that have nothing to do with the runs.

    Passes when the mean AUC of the repeats is 0.5 within its interval at 99.9%, and no more than
    three of the single 95% intervals miss 0.5.
    """
    values, misses = [], 0
    for repeat in range(_REPEATS):
        flips = numpy_generator(seed, "null-test", repeat)
        coins = flips.random((len(observed.membership), clusters.count)) < 0.5
        membership = coins[:, clusters.units]
        scores = attack.score(replace(observed, membership=membership))
        single, _ = auc(Trials(scores, membership, clusters))
        values.append(single.value)
        misses += not single.low <= 0.5 <= single.high
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(_REPEATS))
    reach = spread * float(stats.t.ppf((1 + _ALARM) / 2, _REPEATS - 1))
    passed = abs(mean - 0.5) <= reach and misses <= _MISSES
    told = "could not tell them apart, as it should" if passed else "saw what is not there"
    return evidence.Check(
        passed=passed,
        auc=evidence.Estimate(
            value=mean, low=mean - reach, high=mean + reach, trials=_REPEATS, level=_ALARM
        ),
        expected_auc=0.5,
        sentence=(
            f"Judged {_REPEATS} times against coins that have nothing to do with the runs, the "
            f"audit {told}: mean AUC {mean:.3f}, {_REPEATS - misses} of {_REPEATS} intervals hold "
            "0.5."
        ),
    )


def control_signals(
    membership: Bool[np.ndarray, "runs records"], shift: float, views: int, *, seed: int
) -> Float32[np.ndarray, "runs views records"]:
    """Signals that leak each coin through a Gaussian mechanism of total shift ``shift``.

    The noise is independent between views and each view is shifted by shift / sqrt(views), so all
    views together tell members from others exactly as one N(shift, 1) against N(0, 1).
    """
    runs, records = membership.shape
    noise = numpy_generator(seed, "positive-control").standard_normal((runs, views, records))
    return (noise + membership[:, None] * (shift / math.sqrt(views))).astype(np.float32)


def positive_control(
    attack: MembershipAttack,
    observed: Observed,
    clusters: Clusters,
    *,
    epsilon: float,
    delta: float,
    bound: Estimate,
) -> evidence.Check:
    """Whether the planted leak is seen: passes when the AUC's interval lies above 0.5.

    observed: the control's signals as they came back from the store.
    bound: what the audit's own bound makes of the same signals, for the sentence.
    """
    area, _ = auc(Trials(attack.score(observed), observed.membership, clusters))
    expected = best_auc(mu_of(epsilon, delta))
    passed = area.low > 0.5
    found = "was found" if passed else "was not found"
    proven = "" if math.isnan(bound.low) else f"; the bound proved epsilon {bound.low:.2g} of it"
    return evidence.Check(
        passed=passed,
        auc=evidence.Estimate.of(area),
        expected_auc=expected,
        epsilon=epsilon,
        sentence=(
            f"A planted leak of known epsilon {epsilon:g} {found}: AUC {area.value:.3f} "
            f"[{area.low:.3f}, {area.high:.3f}], {expected:.3f} at best{proven}."
        ),
    )


def detectable_tpr(
    members: int,
    negatives: int,
    runs: int,
    units: int,
    *,
    fpr: float = 0.01,
    power: float = 0.8,
    level: float = LEVEL,
) -> float:
    """The smallest TPR whose interval would lie above the realised FPR's with this power.

    Trials are taken as independent, which holds while there is no leak, with the discount for few
    clusters. NaN where no TPR, not even 1, would do.
    """
    discount = student_discount(fewest_freedom(runs, units), level)
    effective, others = members * discount, negatives * discount
    _, ceiling = clopper_pearson(fpr * others, others, level)
    # The fewest true positives whose own lower end is above that ceiling: the lower end is the
    # rate at which so many or more have a probability of one tail.
    counts = np.arange(1, math.floor(effective) + 1)
    tail = (1 - level) / 2
    enough = counts[stats.beta.ppf(tail, counts, effective - counts + 1) > ceiling]
    if not len(enough):
        return math.nan
    return float(stats.beta.ppf(power, enough[0], effective - enough[0] + 1))
