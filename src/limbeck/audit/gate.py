"""Limits that an audit must keep, and the exit code of a build that asks for them."""

import math
from collections.abc import Iterable
from functools import partial
from typing import NoReturn

from limbeck.audit import evidence, titles
from limbeck.audit.inference.flags import CONTROL_NOT_FOUND, FEW_FALSE_POSITIVES, NULL_TEST_FAILED
from limbeck.audit.inference.verdict import attack_title
from limbeck.audit.set_evidence import SetEvidence
from limbeck.errors import OptionError
from limbeck.privacy.digits import up
from limbeck.privacy.statement import epsilon_of_claim

HOLDS, FAILS, TOO_WEAK = 0, 1, 3

_ASKED_HERE = (FEW_FALSE_POSITIVES, CONTROL_NOT_FOUND, NULL_TEST_FAILED)
"""Warnings whose question the limit on TPR asks itself, of its own false-positive rate."""


def gate(
    found: evidence.Evidence | SetEvidence,
    max_tpr: tuple[float, float] | None = None,
    max_epsilon: float | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Whether the audited mechanism keeps the given limits, with one sentence for each.

    max_tpr: (TPR, nominal FPR), both fractions. It holds only if the upper end of every attack's
        interval is under it, the false-positive rate is resolvable, the null self-test passed,
        the positive control was found and no other warning stands. That needs no correction for
        the number of attacks: it holds wrongly only if the strongest one's own interval misses.
        It fails if the lower end of any attack's is above it, and those ends are corrected, so
        that a limit which holds fails by chance in at most 2.5% of audits over all attacks.
        The warnings few-false-positives, control-not-found and
        null-test-failed do not count by themselves: their questions are asked here, the first of
        the limit's own rate. What is flagged as information never counts.
    max_epsilon: holds only if the accountant's epsilon, of all the data and of the sum of all
        releases that this one was made from, is no larger and the audit does not
        contradict it, which it does at the 0.1% of ``inference.claim``: a true guarantee fails so
        rarely, and not in one audit of twenty, as the printed 95% bound would make it. Without a
        known guarantee nothing can hold, and that bound tells a limit that is broken from one
        that cannot be told. A lower bound passes nothing.

    A finished set without what made it can break a limit on TPR and never keep one: the strongest
    attacks cannot be tried on it.

    Returns 0 where all limits hold, 1 where one fails, else 3: the evidence is too weak to tell.
    Raises OptionError where the evidence has no such false-positive rate.
    """
    results = []
    if isinstance(found, SetEvidence):
        tpr, epsilon = partial(_set_tpr, found), partial(_epsilon, None)
    else:
        tpr, epsilon = partial(_tpr, found.subjects[0]), partial(_epsilon, found.subjects[0])
    if max_tpr is not None:
        results.append(tpr(*max_tpr))
    if max_epsilon is not None:
        results.append(epsilon(max_epsilon))
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
        _refuse(fpr, [point.nominal_fpr for a in attacks for point in a.operating])
    asked = f"TPR at most {limit:.2%} at {fpr:.2%} FPR"
    for attack, point in sorted(points, key=lambda pair: -_least(pair[1])):
        if _least(point) > limit:
            name = f"{attack_title(attack)} ({attack.signal})"
            if not point.resolvable:
                return FAILS, (
                    f"{asked} does not hold: {name} names more of the members than that, and than "
                    f"its false alarms, though {point.negatives:,} non-member trials cannot "
                    "resolve by how much."
                )
            return FAILS, (
                f"{asked} does not hold: {name} names at least {_least(point):.2%} of the members."
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
    attack, point = max(points, key=lambda pair: pair[1].tpr.high if pair[1].resolvable else 0.0)
    if point.resolvable and not point.tpr.high < limit:
        doubts.append(
            f"{attack_title(attack)} ({attack.signal}) may name up to {point.tpr.high:.2%} of the "
            "members."
        )
    if doubts:
        return TOO_WEAK, f"{asked} cannot be told: {' '.join(doubts)}"
    return HOLDS, f"{asked} holds: no attack names more than {point.tpr.high:.2%} of the members."


def _least(point: evidence.Operating) -> float:
    """A TPR below its attack's for all attacks at once; evidence of before has each one's own."""
    return point.tpr.low if math.isnan(point.least) else point.least


def _set_tpr(found: SetEvidence, limit: float, fpr: float) -> tuple[int, str]:
    asked = f"TPR at most {limit:.2%} at {fpr:.2%} FPR"
    points = [
        (attack, point)
        for attack in found.attacks
        for point in attack.operating
        if math.isclose(point.nominal_fpr, fpr, rel_tol=1e-9)
    ]
    if not points:
        _refuse(fpr, [point.nominal_fpr for a in found.attacks for point in a.operating])
    if not found.split.random:
        return TOO_WEAK, (
            f"{asked} cannot be told: members and control records differ without the set."
        )
    attack, point = max(points, key=lambda pair: pair[1].tpr.low)
    if point.tpr.low > max(limit, point.realised_fpr.high):
        return FAILS, (
            f"{asked} does not hold: {titles.signal(attack.name)} names at least "
            f"{point.tpr.low:.2%} of the members."
        )
    return TOO_WEAK, (
        f"{asked} cannot be told: it was not seen to be broken, and a finished set without what "
        "made it can show no more."
    )


def _refuse(fpr: float, measured: Iterable[float]) -> NoReturn:
    known = ", ".join(f"{f:g}" for f in sorted(set(measured)))
    raise OptionError(
        f"no TPR at a false-positive rate of {fpr:g} was measured; there are: {known}"
    )


def _epsilon(subject: evidence.Subject | None, limit: float) -> tuple[int, str]:
    asked = f"Epsilon at most {up(limit)}"
    unknown = f"{asked} cannot be told: no guarantee is known of what was not made here."
    if subject is None:
        return TOO_WEAK, unknown
    shown = subject.epsilon_lower
    above = f"the runs show at least {shown.value:.2g} at {shown.level:.4g} confidence"
    if subject.guarantee is None and shown.value > limit:
        return FAILS, f"{asked} does not hold: {above}."
    if subject.guarantee is None and not subject.recipe:
        return TOO_WEAK, unknown
    if subject.guarantee is None:
        return FAILS, (
            f"{asked} does not hold: the mechanism has no guarantee, and no audit can stand in for "
            "one."
        )
    about = subject.guarantee.get("about") or {}
    if about.get("whole") is False:
        return FAILS, (
            f"{asked} does not hold: the guarantee is about a slice of the groups, and nothing is "
            "claimed of all the data."
        )
    claimed, said = epsilon_of_claim(subject.guarantee)
    if not claimed <= limit:
        return FAILS, f"{asked} does not hold: the accountant says {said}."
    if subject.claim is not None and subject.claim.refuted:
        return FAILS, f"{asked} does not hold: {subject.claim.sentence}"
    if subject.claim is None or subject.claim.epsilon is None:
        if shown.value > limit:
            return TOO_WEAK, f"{asked} cannot be told: {above}, and could not be held against it."
        told = "the runs were not held against it"
    else:
        told = "the runs do not refute it"
    return HOLDS, f"{asked} holds: the accountant says {said}, and {told}."
