"""Where trials are independent: epsilon from a TPR and an FPR, and what a positive is worth."""

import math

from limbeck.audit.inference.intervals import clopper_pearson
from limbeck.errors import OptionError
from limbeck.types import Estimate


def independent_bound(
    true_positives: int,
    members: int,
    false_positives: int,
    negatives: int,
    *,
    delta: float,
    level: float = 0.95,
) -> Estimate:
    """Lower bound on epsilon from a threshold fixed beforehand, over INDEPENDENT trials.

    Trials are independent with one canary a run, or where every canary is known to reach its own
    coordinate of the release; pooled scores of one run are not, and ``epsilon_lower_bound`` is for
    them. Both (epsilon, delta) inequalities between the rates at Clopper-Pearson's limits, each at
    (1 + level) / 2: ln((TPR - delta) / FPR) and ln((1 - FPR - delta) / (1 - TPR)) [Jagielski,
    Ullman and Oprea 2020, arXiv:2006.07709]. ``high`` is NaN; ``trials`` counts both sides.

    Raises OptionError for counts that cannot be.
    """
    for name, count, of in (
        ("true_positives", true_positives, members),
        ("false_positives", false_positives, negatives),
    ):
        if not 0 <= count <= of or of == 0:
            raise OptionError(
                f"{name} is {count} of {of} trials: counts are from 0 to their trials"
            )
    tpr, _ = clopper_pearson(float(true_positives), float(members), level)
    _, fpr = clopper_pearson(float(false_positives), float(negatives), level)
    # No limit is ever at the end that would divide by zero: fpr > 0 and tpr < 1.
    ratios = ((tpr - delta) / fpr, (1 - fpr - delta) / (1 - tpr))
    bound = max([0.0, *(math.log(ratio) for ratio in ratios if ratio > 0)])
    return Estimate(bound, bound, math.nan, members + negatives, level)


def positive_predictive_value(tpr: Estimate, fpr: Estimate, prior: float) -> Estimate:
    """The chance that a record which the attack names is a member: precision at this prior.

    tpr, fpr: at one threshold. prior: share of the members among the records asked about, in
        (0, 1); at 1% even a TPR of 10% at 0.1% FPR is wrong about every other name.

    TPR p / (TPR p + FPR (1 - p)) grows with TPR and falls with FPR, so its ends are those of the
    opposite corners. Both intervals hold at once with what is left of their two levels
    (Bonferroni): two of 95% give one of 90%. NaN where nothing is named; ``trials`` counts both.
    """
    if not 0 < prior < 1:
        raise OptionError(f"prior is {prior}: the share of members lies between 0 and 1")

    def precision(true: float, false: float) -> float:
        named = true * prior + false * (1 - prior)
        return true * prior / named if named > 0 else math.nan

    return Estimate(
        precision(tpr.value, fpr.value),
        0.0 if tpr.low == 0 else precision(tpr.low, fpr.high),
        1.0 if fpr.low == 0 else precision(tpr.high, fpr.low),
        tpr.trials + fpr.trials,
        max(tpr.level + fpr.level - 1, 0.0),
    )
