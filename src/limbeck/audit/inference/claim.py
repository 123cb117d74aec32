"""A claimed guarantee against the runs: whether it is refuted, and by what.

The alarm is raised at a familywise 0.1%. Two tests look at the judged half of the runs: the
generic bound on epsilon, and, where a mu-GDP is claimed, the test of its whole trade-off curve,
which refutes where a generic bound cannot reach; each then has half of the level.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from limbeck.audit import evidence
from limbeck.audit.attacks.base import MembershipAttack, Observed
from limbeck.audit.inference.epsilon import choose_guessing, epsilon_lower_bound, judged_coins
from limbeck.audit.inference.gdp_test import ALARM, gdp_lower_bound, gdp_p_value
from limbeck.audit.inference.intervals import LEVEL, Clusters
from limbeck.audit.inference.sequential import level_within
from limbeck.privacy.digits import up
from limbeck.privacy.gaussian import epsilon_of
from limbeck.types import Guarantee


def examine(
    guarantee: Guarantee,
    candidates: Sequence[tuple[MembershipAttack, Observed]],
    halves: Bool[np.ndarray, " runs"],
    clusters: Clusters,
    *,
    share: float = 1.0,
) -> evidence.Claim:
    """Hold ``guarantee`` against half B of the runs; half A chooses attacks and gives references.

    candidates, halves, clusters: as in ``epsilon_lower_bound``. share: of the errors, that this
    look at the runs may spend. Where several records share a
    coin and the claim is about one record, the claim for all of them is tested, which mu-GDP gives
    (mu times their number [Dong, Roth and Su 2022, arXiv:1905.02383, Theorem 2.14]).

    Not tested, and said so: a claim about replacing a record (the runs differ by adding one), one
    about single records where several share a coin and no mu is claimed, and an audit without
    runs in both halves.
    """
    together = 1 if guarantee.unit == "group" else int(np.bincount(clusters.units).max())
    mu = None if guarantee.mu is None else guarantee.mu * together
    untested = None
    if guarantee.adjacency != "add-remove":
        untested = "it is about replacing a record, and the runs differ by adding one"
    elif together > 1 and mu is None:
        untested = f"it is about one record, and {together} share a coin"
    elif halves.all() or not halves.any():
        untested = "one half of the runs is empty"
    if untested is not None:
        sentence = (
            f"The claimed epsilon {up(guarantee.epsilon)} was not put to the test: {untested}."
        )
        return evidence.Claim(epsilon=None, refuted=False, sentence=sentence)
    delta = guarantee.delta
    claimed = guarantee.epsilon if together == 1 or mu is None else epsilon_of(mu, delta)
    tests = 1 if mu is None else 2
    alarm = ALARM * share / tests
    bound = epsilon_lower_bound(candidates, halves, clusters, delta=delta, level=1 - alarm)
    found = evidence.Claim(epsilon=claimed, refuted=bound.value > claimed, sentence="")
    if mu is not None:
        chosen = choose_guessing(candidates, halves, clusters, delta=delta)
        scores, coins = judged_coins(*candidates[chosen.candidate], halves, clusters)
        p_value = gdp_p_value(scores, coins, mu) if mu > 0 else math.nan
        level = level_within(LEVEL, share)
        bounded = gdp_lower_bound(scores, coins, delta=delta, level=level)
        curve_bound = evidence.Estimate.of(bounded)
        refuted = found.refuted or p_value <= alarm
        found = found.model_copy(
            update={"refuted": refuted, "curve_p_value": p_value, "curve_bound": curve_bound}
        )
    return found.model_copy(update={"sentence": _sentence(found, bound.value)})


def _sentence(found: evidence.Claim, bound: float) -> str:
    claimed = found.epsilon
    assert claimed is not None, "it was tested"
    shown = up(claimed)
    if not found.refuted:
        return f"The runs do not refute the claimed epsilon {shown}."
    if bound > claimed:
        return (
            f"The claimed epsilon {shown} is refuted: the runs show at least {bound:.2g}, and "
            "would by chance in at most one of 1,000 audits."
        )
    return (
        f"The claimed epsilon {shown} is refuted: no mechanism with the trade-off curve that "
        f"is claimed would be guessed so well (p = {found.curve_p_value:.1g})."
    )
