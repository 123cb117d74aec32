"""The figure that an audit is judged by at a glance: its strongest attack, at one FPR."""

import math
from collections.abc import Sequence

from limbeck.audit.evidence import Attack, Operating, Subject

HEADLINE_FPR = 0.01
"""An FPR the attacker could live with; only where it is not resolvable is a higher one read."""


def headline(subject: Subject, group: str = "canary") -> Attack | None:
    """The attack a subject is judged by: the strongest on these records, by AUC; None if none.

    Chosen on the scores it is shown with, which flatters it: an error on the side of caution.
    """
    attacks = [a for a in subject.attacks if a.group == group]
    known = [a for a in attacks if math.isfinite(a.auc.value)]
    return max(known, key=lambda a: a.auc.value, default=attacks[0] if attacks else None)


def headline_fpr(attacks: Sequence[Attack | None]) -> float:
    """The least nominal FPR from 1% on that all these attacks resolve; 1% where there is none.

    Whether a rate is resolvable depends on counts alone, never on how an attack fared.
    """
    resolved = [
        {p.nominal_fpr for p in a.operating if p.resolvable and p.nominal_fpr >= HEADLINE_FPR}
        for a in attacks
        if a is not None
    ]
    common = set.intersection(*resolved) if resolved else set()
    return min(common, default=HEADLINE_FPR)


def at(attack: Attack | None, fpr: float) -> Operating | None:
    """The attack's resolvable operating point at this nominal FPR; None where there is none."""
    points = attack.operating if attack else ()
    return next((p for p in points if math.isclose(p.nominal_fpr, fpr) and p.resolvable), None)
