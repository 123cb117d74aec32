"""The conclusion in words that a privacy officer can act on. No verdict says "safe"."""

import math
from collections.abc import Sequence

from limbeck.audit import evidence, titles
from limbeck.audit.inference.flags import CONTRADICTED
from limbeck.audit.inference.intervals import LEVEL
from limbeck.audit.inference.sequential import WHOLE, level_within
from limbeck.privacy.statement import epsilon_of_claim

FAMILYWISE = 0.01
"""Chance that any of a subject's attacks is called a leak where there is none."""

HEADLINE_FPR = 0.01
"""The false-positive rate at which a TPR is quoted, or else the next higher one resolved."""

HINT = 0.05
"""The same for "something may be there", which is not yet a leak and no longer nothing."""

ATTACKER = (
    "an attacker who holds the release, knows the records in question, and can repeat the "
    "mechanism on data like yours"
)
IMAGES_NOT_TESTED = "attacks on the released images alone, without training a model on them"
NOT_TESTED = (
    "reconstruction of records from the release",
    "several releases of the same data, attacked together",
    "an attacker who knows all other records and the mechanism's coins",
)


def verdict(
    subjects: Sequence[evidence.Subject], *, not_tested: Sequence[str] = NOT_TESTED
) -> evidence.Verdict:
    """What the evidence on ``subjects[0]``, beside its company, amounts to.

    leak: a p-value (AUC above 0.5, or TPR above the realised FPR) below 1% after Bonferroni's
    correction for all of the subject's attacks, or a guarantee contradicted; where the audit looked
    more than once, below this look's share of the 1%. none-found: nothing
    at 5% after the same correction, no bound on epsilon above 0, the positive control found, some
    leak detectable and no warning. unclear: everything else, and whatever an audit says that
    fails its own null test.
    """
    subject = subjects[0]
    warnings = [flag.sentence for flag in subject.flags if flag.severity == "warning"]
    contradicted = _contradicted(subject)
    smallest = _corrected_p_value(subject)
    trusted = subject.null_test.passed
    outcome = "unclear"
    headline = (
        f"The evidence is too weak to tell whether {subject.title} leaks who was in the data."
    )
    if contradicted and trusted:
        outcome = "leak"
        headline = (
            f"The claimed guarantee of {subject.title} does not hold: {ATTACKER} learns more about "
            "who was in the data than it allows."
        )
    elif leak_shown(subject):
        outcome = "leak"
        headline = (
            f"{subject.title} leaks: {ATTACKER} can tell who was in the data better than by chance."
        )
    elif (
        smallest >= HINT
        and trusted
        and subject.positive_control.passed
        and not warnings
        and not subject.epsilon_lower.value > 0
        and not math.isnan(subject.detectable_tpr)
    ):
        outcome = "none-found"
        headline = (
            f"No leak of {subject.title} was found by {ATTACKER}; one that names "
            f"{subject.detectable_tpr:.1%} of the members at 1% false alarms would most likely "
            "have been seen."
        )
    reasons = [_strongest(subject), _bound(subject)]
    if subject.looks is not None:
        reasons.append(_looked(subject.looks, subject.runs))
    decisive = min(subject.attacks, key=lambda attack: min(_p_values(attack), default=1.0))
    if outcome == "leak" and not contradicted and decisive is not _best(subject):
        reasons.insert(0, _gave_away(decisive, smallest))
    if outcome == "unclear" and smallest < HINT and trusted:
        reasons.insert(0, "Something was seen that is hard to put down to chance: plan more runs.")
    checks = [check.sentence for check in (subject.positive_control, subject.null_test)]
    reasons += checks + [sentence for sentence in warnings if sentence not in checks]
    reasons += [_beside(other) for other in subjects[1:]]
    if not any(attack.reads_images for attack in subject.attacks):
        not_tested = (IMAGES_NOT_TESTED, *not_tested)
    return evidence.Verdict(
        outcome=outcome, headline=headline, reasons=tuple(reasons), not_tested=tuple(not_tested)
    )


def leak_shown(subject: evidence.Subject) -> bool:
    """Whether these runs are enough to call it a leak: what an audit may stop early for."""
    share = WHOLE if subject.looks is None else subject.looks.share
    found = _contradicted(subject) or _corrected_p_value(subject) < FAMILYWISE * share
    return found and subject.null_test.passed


def _contradicted(subject: evidence.Subject) -> bool:
    return any(flag.name == CONTRADICTED for flag in subject.flags)


def _looked(looks: evidence.Looks, runs: int) -> str:
    declared = ", ".join(map(str, looks.runs[:-1])) + f" and {looks.runs[-1]}"
    level = level_within(LEVEL, looks.share)
    held = (
        f"looks after {declared} runs were declared beforehand. Intervals and bounds are at "
        f"{level:.4g} confidence, so that those of all looks hold together at {LEVEL:g}"
    )
    if not looks.stopped:
        return f"No earlier look showed a leak: {held}."
    return (
        f"Stopped after {runs} of {looks.runs[-1]} runs, which show a leak: {held}; rates of a "
        "look that stops an audit tend to be too high."
    )


def _p_values(attack: evidence.Attack) -> list[float]:
    tests = [attack.p_value, *(point.p_value for point in attack.operating)]
    return [p_value for p_value in tests if not math.isnan(p_value)]


def _corrected_p_value(subject: evidence.Subject) -> float:
    known = [p_value for attack in subject.attacks for p_value in _p_values(attack)]
    return min(1.0, len(known) * min(known, default=1.0))


def _gave_away(attack: evidence.Attack, corrected: float) -> str:
    """The attack that makes it a leak, where the strongest on the canaries is another."""
    return (
        f"What gives it away: {attack_title(attack)} on {attack.group} records, AUC "
        f"{_auc(attack)}; by chance as much would be seen in at most {max(corrected, 1e-4):.2%} of "
        "such audits."
    )


def attack_title(attack: evidence.Attack) -> str:
    """An attack in a sentence, with the images' signal that it reads, if it reads one."""
    name = titles.title(attack.name)
    return f"{name} on the {titles.signal(attack.signal)}" if attack.reads_images else name


def _strongest(subject: evidence.Subject) -> str:
    attack = _best(subject)
    return (
        f"Strongest attack ({attack_title(attack)} on {attack.group} records): "
        f"AUC {_auc(attack)}; {_named(attack)}."
    )


def _named(attack: evidence.Attack) -> str:
    """The TPR at the headline rate, or at the next higher one that the trials resolve."""
    wanted = [p for p in attack.operating if p.nominal_fpr >= HEADLINE_FPR]
    point = min((p for p in wanted if p.resolvable), key=lambda p: p.nominal_fpr, default=None)
    low = f"{HEADLINE_FPR:.0%} false alarms cannot be resolved"
    if point is None:
        return low
    text = (
        f"{point.tpr.value:.1%} of the members named at {point.realised_fpr.value:.1%} false "
        f"alarms ({point.false_positives} of {point.negatives:,})"
    )
    return text if math.isclose(point.nominal_fpr, HEADLINE_FPR) else f"{text}, while {low}"


def _auc(attack: evidence.Attack) -> str:
    auc = attack.auc
    if math.isnan(auc.low):
        return f"{auc.value:.3f}"
    return f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"


def _best(subject: evidence.Subject) -> evidence.Attack:
    canaries = [attack for attack in subject.attacks if attack.group == "canary"]
    return max(canaries or subject.attacks, key=lambda attack: attack.auc.value)


def _bound(subject: evidence.Subject) -> str:
    bound = subject.epsilon_lower
    if math.isnan(bound.value):
        measured = "No lower bound on epsilon could be measured"
    else:
        measured = f"Measured lower bound on epsilon: {bound.value:.2g} ({100 * bound.level:.4g}%)"
    claimed = subject.guarantee
    if claimed is None:
        return f"{measured}; no formal guarantee is claimed."
    return f"{measured}; the accountant's epsilon is {epsilon_of_claim(claimed)[1]}."


def _beside(other: evidence.Subject) -> str:
    attack = _best(other)
    return f"For comparison, {other.title}: AUC {_auc(attack)}, {attack_title(attack)}."
