"""Which records are exposed: every record's own risk, for the data's owner alone, and its sum-up.

Each group's attack is chosen on half A of the runs by its AUC there; half B is counted. Only an
attack that weighs every record against its own runs is of use here: a record that is always easy
is named by a plain threshold whether it was in or out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limbeck.audit import evidence
from limbeck.audit.attacks.base import ImageSignal, MembershipAttack, Observed, Signal
from limbeck.audit.inference.intervals import LEVEL
from limbeck.audit.inference.record_risk import RecordRisk, record_risk
from limbeck.audit.inference.roc import Trials, auc
from limbeck.audit.inference.shadows import GROUPS, Group, Shadows
from limbeck.types import Estimate

FPR = 0.01
_LIKELY = 0.5


@dataclass(frozen=True)
class Exposure:
    """The risk of every record of one group, and the attack that it is measured by."""

    group: Group
    attack: str
    signal: Signal | ImageSignal
    risk: RecordRisk

    def summary(self) -> evidence.Risk:
        """Without any record's own figures but those of the most exposed one."""
        risk = self.risk
        worst = int(np.argmax(risk.low))
        low, high = float(risk.low[worst]), float(risk.high[worst])
        trials = int(risk.trials[worst])
        most = Estimate(float(risk.value[worst]), low, high, trials, risk.level)
        return evidence.Risk(
            attack=self.attack,
            signal=self.signal,
            group=self.group,
            fpr=FPR,
            records=len(risk.value),
            named=int((risk.low > _LIKELY).sum()),
            most_exposed=evidence.Estimate.of(most),
        )


def exposures(
    shadows: Shadows,
    attacks: Sequence[MembershipAttack],
    image_attacks: Sequence[MembershipAttack] = (),
    *,
    level: float = LEVEL,
) -> list[Exposure]:
    """The exposure of each group of records; none where a half has too few runs to tell.

    attacks, image_attacks: of those that compare each record with itself in other runs.
    level: of the records' intervals.
    """
    halves = shadows.halves
    if min(np.count_nonzero(halves), np.count_nonzero(~halves)) < 2:
        return []
    found = []
    for group in GROUPS:
        known = shadows.membership[~halves][:, shadows.groups == group]
        # To choose the attack takes two runs of half A with members, and two with others.
        if min(np.count_nonzero(known.any(1)), np.count_nonzero((~known).any(1))) < 2:
            continue
        readings = shadows.readings(group, attacks, image_attacks)
        telling = [_auc(attack, seen.of_runs(~halves)) for _, _, attack, seen in readings]
        title, signal, attack, seen = readings[int(np.argmax(telling))]
        risk = record_risk(attack, seen, halves, fpr=FPR, level=level)
        found.append(Exposure(group, title, signal, risk))
    return found


def _auc(attack: MembershipAttack, known: Observed) -> float:
    return auc(Trials(attack.score(known), known.membership))[0].value
