"""From the signals of all shadow runs to one audited subject: attacks, bound, checks and flags."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool
from scipy import stats

from limbeck.audit import evidence
from limbeck.audit.attacks.base import ImageSignal, MembershipAttack, Observed, Signal
from limbeck.audit.attacks.choice import STANDARD
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.inference import roc
from limbeck.audit.inference.checks import detectable_tpr, null_test, positive_control
from limbeck.audit.inference.claim import examine
from limbeck.audit.inference.epsilon import epsilon_lower_bound
from limbeck.audit.inference.fixed_threshold import positive_predictive_value
from limbeck.audit.inference.flags import Circumstances, raise_flags
from limbeck.audit.inference.intervals import LEVEL, Clusters
from limbeck.audit.inference.sequential import WHOLE, level_within
from limbeck.audit.inference.shadows import GROUPS, Group, Shadows
from limbeck.types import Estimate, Guarantee

IMAGE_ATTACKS: tuple[MembershipAttack, ...] = (LiRA(),)
"""What is made of each kind of signal of the released images alone."""

_NO_CHANCE = 1e-6

PRIORS = (0.5, 0.1, 0.01)
"""Shares of members among those asked about, at which a named record's chances are told."""


def judge(
    shadows: Shadows,
    *,
    title: str,
    role: Literal["subject", "random-subset", "full-data"],
    recipe: dict[str, Any],
    holds_real_records: bool | None,
    guarantee: Guarantee | None,
    utility: Estimate,
    utility_with_canaries: Estimate,
    seed: int,
    target_utility: float | None = None,
    attacks: Sequence[MembershipAttack] = STANDARD,
    image_attacks: Sequence[MembershipAttack] = IMAGE_ATTACKS,
    delta: float = 1e-5,
    control_epsilon: float = 4.0,
    risks: Sequence[evidence.Risk] = (),
    released: Sequence[evidence.Released] = (),
    looks: evidence.Looks | None = None,
    stated: dict[str, Any] | None = None,
) -> evidence.Subject:
    """Run every attack on every group and signal, bound epsilon, check the audit, raise the flags.

    seed: of the null self-test's coins. target_utility: test accuracy of the release itself.
    control_epsilon: the planted leak's epsilon at ``delta``. risks: of ``exposures``.
    released: of ``attack_release``. looks: where this is one of several looks at the runs; every
    level is then that of the look's share of the errors. stated: what is claimed of the release, of
    which ``guarantee`` is what the runs can be held against; None: no more than that.
    Everything else passes into the evidence. The same arguments give the same values.
    """
    share = WHOLE if looks is None else looks.share
    level = level_within(LEVEL, share)
    found: list[evidence.Attack] = []
    for group in GROUPS:
        if (shadows.groups == group).any():
            clusters = shadows.clusters(group)
            of_group = shadows.readings(group, attacks, image_attacks)
            found += [
                _judge_attack(*reading, group, clusters, level, len(of_group))
                for reading in of_group
            ]
    group = shadows.attacked
    clusters = shadows.clusters(group)
    readings = shadows.readings(group, attacks, image_attacks)
    candidates = [(attack, seen) for _, _, attack, seen in readings]
    balanced = too_balanced(shadows.membership[:, shadows.groups == group][:, clusters.first])
    planted = Observed(shadows.control, candidates[0][1].membership)

    def bound(what: list[tuple[MembershipAttack, Observed]]) -> Estimate:
        if balanced:
            return Estimate(math.nan, level=level)
        return epsilon_lower_bound(what, shadows.halves, clusters, delta=delta, level=level)

    null = null_test(LiRA(), shadows.observed(group, "margin"), clusters, seed=seed)
    control = positive_control(
        LiRA(),
        planted,
        clusters,
        epsilon=control_epsilon,
        delta=delta,
        bound=bound([(LiRA(), planted)]),
    )
    claim = None
    if guarantee is not None and not balanced:
        claim = examine(guarantee, candidates, shadows.halves, clusters, share=share)
    runs, inside = len(shadows.membership), candidates[0][1].membership
    members = int(np.count_nonzero(inside))
    circumstances = Circumstances(
        runs=runs,
        balanced=balanced,
        negatives=inside.size - members,
        carried_over=_carried_over(candidates, found, group, shadows.halves, clusters),
        learnt=_learnt(shadows) if group == "canary" else None,
        null_test=null,
        positive_control=control,
        claim=claim,
        claims_guarantee=guarantee is not None,
        utility=utility,
        target_utility=target_utility,
    )
    return evidence.Subject(
        title=title,
        role=role,
        recipe=recipe,
        runs=runs,
        holds_real_records=holds_real_records,
        guarantee=_plain(guarantee) if stated is None else stated,
        utility=evidence.Estimate.of(utility),
        utility_with_canaries=evidence.Estimate.of(utility_with_canaries),
        attacks=tuple(found),
        epsilon_lower=evidence.Estimate.of(bound(candidates)),
        delta=delta,
        detectable_tpr=detectable_tpr(
            members, inside.size - members, runs, clusters.count, level=level
        ),
        claim=claim,
        precision=_precision([attack for attack in found if attack.group == group]),
        risks=tuple(risks),
        released=tuple(released),
        looks=looks,
        null_test=null,
        positive_control=control,
        flags=raise_flags(circumstances),
    )


def too_balanced(membership: Bool[np.ndarray, "runs units"]) -> bool:
    """Whether coins come closer to halves than fair ones would once in a million audits.

    Of each unit over the runs, or of each run over the units. Coins that balance give each other
    away: leave-one-out references know the held-out one from the others [measured: null AUC 0.487
    at 16 runs of exact halves], and no bound holds. Fewer than ten come to this by chance.
    """
    for axis in (0, 1):
        counts, thrown = membership.sum(axis), membership.shape[axis]
        excess = float(((counts - thrown / 2) ** 2).sum() / (thrown / 4))
        if len(counts) >= 10 and stats.chi2.cdf(excess, len(counts)) < _NO_CHANCE:
            return True
    return False


def _judge_attack(
    name: str,
    signal: Signal | ImageSignal,
    attack: MembershipAttack,
    seen: Observed,
    group: Group,
    clusters: Clusters,
    level: float,
    beside: int,
) -> evidence.Attack:
    trials = roc.Trials(attack.score(seen), seen.membership, clusters, level)
    area, p_value = roc.auc(trials)
    accuracy = roc.balanced_accuracy(trials)
    return evidence.Attack(
        name=name,
        signal=signal,
        group=group,
        auc=evidence.Estimate.of(area),
        balanced_accuracy=evidence.Estimate.of(accuracy),
        advantage=evidence.Estimate.of(roc.advantage(accuracy)),
        operating=roc.operating(trials, beside=beside),
        curve=roc.curve(trials),
        p_value=p_value,
    )


def _carried_over(
    candidates: Sequence[tuple[MembershipAttack, Observed]],
    found: Sequence[evidence.Attack],
    group: Group,
    halves: Bool[np.ndarray, " runs"],
    clusters: Clusters,
) -> float | None:
    """See ``roc.carried_over``; of the attack with the largest AUC."""
    areas = [attack.auc.value for attack in found if attack.group == group]
    attack, seen = candidates[int(np.argmax(areas))]
    trials = roc.Trials(attack.score(seen), seen.membership, clusters)
    carried = roc.carried_over(trials, halves, 0.01)
    if carried is None or carried[1] < roc.EXPECTED_FALSE_POSITIVES:
        return None
    return carried[0]


def _precision(attacks: Sequence[evidence.Attack]) -> tuple[evidence.Precision, ...]:
    """Of the attack with the largest AUC, at the lowest false-positive rate that is resolved."""
    best = max(attacks, key=lambda attack: attack.auc.value)
    resolved = [point for point in best.operating if point.resolvable]
    if not resolved:
        return ()
    point = min(resolved, key=lambda point: point.nominal_fpr)
    rates = point.tpr.plain(), point.realised_fpr.plain()
    return tuple(
        evidence.Precision(
            attack=best.name,
            signal=best.signal,
            nominal_fpr=point.nominal_fpr,
            prior=prior,
            value=evidence.Estimate.of(positive_predictive_value(*rates, prior)),
        )
        for prior in PRIORS
    )


def _learnt(shadows: Shadows) -> float:
    """Share of the canaries that runs which held them classify as labelled: a positive hinge."""
    seen = shadows.observed("canary", "hinge")
    return float((seen.signals.mean(1) > 0)[seen.membership].mean())


def _plain(guarantee: Guarantee | None) -> dict[str, Any] | None:
    if guarantee is None:
        return None
    values = dict(vars(guarantee))
    values["events"] = [dict(vars(event)) for event in guarantee.events]
    return values
