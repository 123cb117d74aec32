"""Limits that an audit must keep, and the exit code of a build that asks for them."""

import math

from limbeck.audit import evidence
from limbeck.audit.inference.flags import CONTROL_NOT_FOUND, FEW_FALSE_POSITIVES, NULL_TEST_FAILED
from limbeck.audit.inference.verdict import attack_title
from limbeck.errors import OptionError

HOLDS, FAILS, TOO_WEAK = 0, 1, 3

_ASKED_HERE = (FEW_FALSE_POSITIVES, CONTROL_NOT_FOUND, NULL_TEST_FAILED)
"""Warnings whose question the limit on TPR asks itself, of its own false-positive rate."""


def gate(
    found: evidence.Evidence,
    max_tpr: tuple[float, float] | None = None,
    max_epsilon: float | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Whether the audited mechanism keeps the given limits, with one sentence for each.

    max_tpr: (TPR, nominal FPR), both fractions. It holds only if the upper end of every attack's
        interval is under it, the false-positive rate is resolvable, the null self-test passed,
        the positive control was found and no other warning stands; it fails if the lower end of
        any attack's is above it. The warnings few-false-positives, control-not-found and
        null-test-failed do not count by themselves: their questions are asked here, the first of
        the limit's own rate. What is flagged as information never counts.
    max_epsilon: holds only if the accountant's epsilon is no larger and the audit does not
        contradict it. A lower bound passes nothing.

    Returns 0 where all limits hold, 1 where one fails, else 3: the evidence is too weak to tell.
    Raises OptionError where the evidence has no such false-positive rate.
    """
    subject = found.subjects[0]
    results = []
    if max_tpr is not None:
        results.append(_tpr(subject, *max_tpr))
    if max_epsilon is not None:
        results.append(_epsilon(subject, max_epsilon))
    codes = [code for code, _ in results]
    worst = next((code for code in (FAILS, TOO_WEAK) if code in codes), HOLDS)
    return worst, tuple(sentence for _, sentence in results)


def _tpr(subject: evidence.Subject, limit: float, fpr: float) -> tuple[int, str]:
    attacks = [a for a in subject.attacks if a.group == "canary"] or list(subject.attacks)
    points = [
        (attack, point)
        for attack in attacks
        for point in attack.operating
        if math.isclose(point.nominal_fpr, fpr, rel_tol=1e-9)
    ]
    if not points:
        known = sorted({point.nominal_fpr for a in attacks for point in a.operating})
        raise OptionError(
            f"no TPR at a false-positive rate of {fpr:g} was measured; there are: "
            + ", ".join(f"{f:g}" for f in known)
        )
    asked = f"TPR at most {limit:.2%} at {fpr:.2%} FPR"
    for attack, point in sorted(points, key=lambda pair: -pair[1].tpr.low):
        # An unresolvable rate may be realised far from its name: its TPR must beat that too.
        least = limit if point.resolvable else max(limit, point.realised_fpr.high)
        if point.tpr.low > least:
            name = f"{attack_title(attack)} ({attack.signal})"
            if not point.resolvable:
                return FAILS, (
                    f"{asked} does not hold: {name} names more of the members than that, and than "
                    f"its false alarms, though {point.negatives:,} non-member trials cannot "
                    "resolve by how much."
                )
            return FAILS, (
                f"{asked} does not hold: {name} names at least {point.tpr.low:.2%} of the members."
            )
    doubts = [
        flag.sentence
        for flag in subject.flags
        if flag.severity == "warning" and flag.name not in _ASKED_HERE
    ]
    if not all(point.resolvable for _, point in points):
        negatives = min(point.negatives for _, point in points)
        doubts.append(f"{negatives:,} non-member trials cannot resolve {fpr:.2%} FPR.")
    if not subject.positive_control.passed:
        doubts.append(subject.positive_control.sentence)
    if not subject.null_test.passed:
        doubts.append(subject.null_test.sentence)
    attack, point = max(points, key=lambda pair: pair[1].tpr.high)
    if point.resolvable and not point.tpr.high < limit:
        doubts.append(
            f"{attack_title(attack)} ({attack.signal}) may name up to {point.tpr.high:.2%} of the "
            "members."
        )
    if doubts:
        return TOO_WEAK, f"{asked} cannot be told: {' '.join(doubts)}"
    return HOLDS, f"{asked} holds: no attack names more than {point.tpr.high:.2%} of the members."


def _epsilon(subject: evidence.Subject, limit: float) -> tuple[int, str]:
    asked = f"Epsilon at most {limit:g}"
    if subject.epsilon_lower.value > limit:
        return FAILS, (
            f"{asked} does not hold: the runs show at least {subject.epsilon_lower.value:.2g}."
        )
    if subject.guarantee is None:
        return FAILS, (
            f"{asked} does not hold: the mechanism has no guarantee, and no audit can stand in for "
            "one."
        )
    claimed = float(subject.guarantee["epsilon"])
    if not claimed <= limit:
        return FAILS, f"{asked} does not hold: the accountant says {claimed:g}."
    if subject.claim is not None and subject.claim.refuted:
        return FAILS, f"{asked} does not hold: {subject.claim.sentence}"
    return HOLDS, f"{asked} holds: the accountant says {claimed:g}, and the runs do not refute it."
