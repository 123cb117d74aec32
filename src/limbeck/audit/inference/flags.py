"""Reasons to trust an audit less (warnings), or to know something about it (information)."""

import math
from dataclasses import dataclass

from limbeck.audit import evidence
from limbeck.audit.inference.roc import EXPECTED_FALSE_POSITIVES
from limbeck.types import Estimate

FEWEST_RUNS = 16
FEW_FALSE_POSITIVES = "few-false-positives"
NULL_TEST_FAILED = "null-test-failed"
CONTROL_NOT_FOUND = "control-not-found"
CONTRADICTED = "guarantee-contradicted"

_RESOLVED_FPR = 0.01
_STEADY = (_RESOLVED_FPR / 3, _RESOLVED_FPR * 3)
_LEARNT = 0.5
_UTILITY_GAP = 0.03
"""A release whose accuracy is further than this from its shadow runs' was made otherwise."""


@dataclass(frozen=True)
class Circumstances:
    """What the flags look at.

    negatives: judged non-member trials of the attacked group.
    carried_over: FPR in half B of the strongest attack's threshold, set at 1% on half A; None where
        too few false positives are expected to tell.
    learnt: share of the canaries that runs which held them classify as labelled; None without any.
    claim: the claimed guarantee as the runs have it; None where it was not held against them.
    target_utility: test accuracy of the release itself; None if not known.
    """

    runs: int
    balanced: bool
    negatives: int
    carried_over: float | None
    learnt: float | None
    null_test: evidence.Check
    positive_control: evidence.Check
    claim: evidence.Claim | None
    claims_guarantee: bool
    utility: Estimate
    target_utility: float | None


def raise_flags(seen: Circumstances) -> tuple[evidence.Flag, ...]:
    """The flags that these circumstances raise, warnings first."""
    warnings: list[tuple[str, str]] = []
    information: list[tuple[str, str]] = []
    if seen.claim is not None and seen.claim.refuted:
        warnings.append((CONTRADICTED, seen.claim.sentence))
    if seen.claim is not None and seen.claim.epsilon is None:
        information.append(("guarantee-not-tested", seen.claim.sentence))
    if not seen.null_test.passed:
        warnings.append((NULL_TEST_FAILED, seen.null_test.sentence))
    if not seen.positive_control.passed:
        warnings.append((CONTROL_NOT_FOUND, seen.positive_control.sentence))
    if seen.balanced:
        warnings.append(
            (
                "balanced-membership",
                "Runs or records are halved more evenly than fair coins would, which gives the "
                "held-out coin away; no bound on epsilon is printed.",
            )
        )
    if seen.runs < FEWEST_RUNS:
        warnings.append(
            (
                "few-runs",
                f"{seen.runs} shadow runs are fewer than {FEWEST_RUNS}: intervals are wide and "
                "bounds weak; more runs tell more.",
            )
        )
    expected = _RESOLVED_FPR * seen.negatives
    if expected < EXPECTED_FALSE_POSITIVES:
        warnings.append(
            (
                FEW_FALSE_POSITIVES,
                f"A false-positive rate of 1% rests on {expected:.1f} expected false positives of "
                f"{seen.negatives:,}, fewer than {EXPECTED_FALSE_POSITIVES}: plan more runs or "
                "canaries.",
            )
        )
    if seen.carried_over is not None and not _STEADY[0] <= seen.carried_over <= _STEADY[1]:
        warnings.append(
            (
                "unstable-threshold",
                f"The threshold that one half of the runs sets at {_RESOLVED_FPR:.0%} false alarms "
                f"gives {seen.carried_over:.1%} in the other: runs differ too much for it to mean "
                "the same in all of them.",
            )
        )
    if seen.target_utility is not None:
        gap = seen.target_utility - seen.utility.value
        if abs(gap) > max(_UTILITY_GAP, _spread(seen.utility)):
            warnings.append(
                (
                    "target-unlike-shadows",
                    f"The release scores {seen.target_utility:.1%} where its shadow runs score "
                    f"{seen.utility.value:.1%}: they may not stand for it.",
                )
            )
    if seen.learnt is not None and seen.learnt < _LEARNT:
        information.append(
            (
                "canaries-not-learnt",
                f"Runs that held a canary give it its assigned label in {seen.learnt:.0%} of the "
                "cases: the mechanism hardly fits unusual records.",
            )
        )
    if not seen.claims_guarantee:
        information.append(
            ("no-guarantee", "The mechanism claims no formal guarantee: only attacks speak for it.")
        )
    return tuple(
        evidence.Flag(name=name, severity=severity, sentence=sentence)
        for severity, raised in (("warning", warnings), ("information", information))
        for name, sentence in raised
    )


def _spread(utility: Estimate) -> float:
    """How far one more run may lie from the mean of these: the reach of a prediction interval."""
    if math.isnan(utility.low):
        return 1.0
    # The side that is not cut off at 0 or 1 has Student's full reach of the mean.
    reach = max(utility.value - utility.low, utility.high - utility.value)
    return reach * math.sqrt(utility.trials + 1)
