"""A lower bound on epsilon from guesses about fair coins, thresholds and references held out.

The one-run audit [Steinke, Nasr and Jagielski 2023, arXiv:2305.08846, Theorem 5.2]: of m fair
coins r are guessed and v guesses are right; under (epsilon, delta)-DP the number of right guesses
is hardly above a Binomial(r, e^eps / (1 + e^eps)). The judged runs together are one mechanism
over m = runs x units coins in which every coin still touches one run only, so they pool without
any loss and whatever the dependence within a run.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy import optimize, special

from limbeck.audit.attacks.base import MembershipAttack, Observed
from limbeck.audit.inference.intervals import Clusters
from limbeck.types import Estimate

_LARGEST = 50.0
_FEWEST_GUESSES = 20
_SIZES = 30
_SHORTLIST = 24

ONE_RUN_SHARE = 0.2
"""Share of the coins guessed where a single run is all there is, so that nothing chooses it."""


def one_run_p_value(coins: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Chance of at least ``right`` right guesses if the mechanism were (epsilon, delta)-DP.

    P[W >= v] + 2 m delta max_i P[v > W >= v - i] / i with W ~ Binomial(r, e^eps / (1 + e^eps)).
    The number of guesses must not depend on what is judged.
    """
    if right == 0:
        return 1.0
    success = float(special.expit(epsilon))
    tail = float(special.betainc(right, guesses - right + 1, success))
    if delta == 0:
        return tail
    # The mean of the masses below v grows until they are past the mode and small: look that far.
    spread = math.sqrt(guesses * success * (1 - success))
    reach = min(right, max(64, math.ceil(right - guesses * success + 8 * spread)))
    shift = np.arange(1, reach + 1)
    below = right - shift
    # Binomial masses by the log-gamma function: far faster than scipy.stats for a root search.
    masses = np.exp(
        special.gammaln(guesses + 1)
        - special.gammaln(below + 1)
        - special.gammaln(guesses - below + 1)
        - below * np.logaddexp(0, -epsilon)
        - (guesses - below) * np.logaddexp(0, epsilon)
    )
    worst = float((np.cumsum(masses) / shift).max())
    return min(tail + 2 * coins * delta * worst, 1.0)


def one_run_bound(
    coins: int, guesses: int, right: int, *, delta: float, level: float = 0.95
) -> float:
    """The largest epsilon that so many right guesses refute at this confidence; 0 if none."""
    trial = (coins, guesses, right, delta, level)
    if _excess(0.0, *trial) >= 0:
        return 0.0
    if _excess(_LARGEST, *trial) < 0:
        return _LARGEST
    found = float(optimize.brentq(_excess, 0.0, _LARGEST, args=trial, xtol=1e-7))
    return found if _excess(found, *trial) <= 0 else max(found - 1e-6, 0.0)


def _excess(
    epsilon: float, coins: int, guesses: int, right: int, delta: float, level: float
) -> float:
    return one_run_p_value(coins, guesses, right, epsilon, delta) - (1 - level)


def single_run_bound(
    scores: Float[np.ndarray, " units"],
    coins: Bool[np.ndarray, " units"],
    *,
    delta: float,
    level: float = 0.95,
) -> Estimate:
    """Lower bound on epsilon from one run, its highest 10% of scores guessed IN, its lowest OUT.

    The share is fixed, for there are no other runs to choose it. scores: higher means more likely
    IN; references that do not know this run's coins. coins: fair and independent.
    """
    guesses = max(round(ONE_RUN_SHARE * len(coins)), 1)
    ranked = _ranked_coins(scores, coins)
    top = guesses // 2
    right = int(ranked[:top].sum() + (~ranked[len(ranked) - (guesses - top) :]).sum())
    bound = one_run_bound(len(coins), guesses, right, delta=delta, level=level)
    return Estimate(bound, bound, math.nan, guesses, level)


@dataclass(frozen=True)
class Guessing:
    """What half A decided: the share of the coins guessed IN (highest scores) and OUT (lowest)."""

    candidate: int
    top: float
    bottom: float

    def counts(self, coins: int) -> tuple[int, int]:
        """How many of so many coins are guessed IN and OUT."""
        top = round(self.top * coins)
        return top, min(round(self.bottom * coins), coins - top)


def epsilon_lower_bound(
    candidates: Sequence[tuple[MembershipAttack, Observed]],
    halves: Bool[np.ndarray, " runs"],
    clusters: Clusters,
    *,
    delta: float,
    level: float = 0.95,
) -> Estimate:
    """Lower bound on epsilon at confidence ``level``; ``high`` is NaN, for there is no upper one.

    candidates: attacks with what each reads, all of the same runs and records, whose coins are
        independent and fair between units.
    halves: True for the judged half B. Half A alone serves as references, chooses the attack,
        the number of guesses and their sides; then that many are made in half B, by rank.

    ``trials`` counts the guesses. An audit without runs in both halves gets NaN.
    """
    if halves.all() or not halves.any():
        return Estimate(math.nan, level=level)
    chosen = choose_guessing(candidates, halves, clusters, delta=delta, level=level)
    ranked = _ranked_coins(*judged_coins(*candidates[chosen.candidate], halves, clusters))
    top, bottom = chosen.counts(len(ranked))
    right = int(ranked[:top].sum() + (~ranked[len(ranked) - bottom :]).sum())
    bound = one_run_bound(len(ranked), top + bottom, right, delta=delta, level=level)
    return Estimate(bound, bound, math.nan, top + bottom, level)


def judged_coins(
    attack: MembershipAttack,
    observed: Observed,
    halves: Bool[np.ndarray, " runs"],
    clusters: Clusters,
) -> tuple[Float[np.ndarray, "judged units"], Bool[np.ndarray, "judged units"]]:
    """Scores and coins of half B, one of each per unit, with half A alone as references.

    A run's scores then depend on no coin of half B, as every bound here asks of them.
    """
    scores = attack.score(replace(observed, reference_runs=~halves))[halves]
    coins = _by_unit(observed.membership[halves].astype(float), clusters) > 0.5
    return _by_unit(scores, clusters), coins


def choose_guessing(
    candidates: Sequence[tuple[MembershipAttack, Observed]],
    halves: Bool[np.ndarray, " runs"],
    clusters: Clusters,
    *,
    delta: float,
    level: float = 0.95,
) -> Guessing:
    """The attack and numbers of guesses whose bound would be largest if half B did as half A."""
    known = ~halves
    coins = int(halves.sum()) * clusters.count
    options: list[tuple[float, Guessing, int, int]] = []
    for index, (attack, observed) in enumerate(candidates):
        inside = observed.membership[known]
        scores = attack.score(observed.of_runs(known))
        ranked = _ranked_coins(
            _by_unit(scores, clusters), _by_unit(inside.astype(float), clusters) > 0.5
        )
        right_in = np.append(0, np.cumsum(ranked))
        right_out = np.append(0, np.cumsum(~ranked[::-1]))
        for top, bottom in _splits(len(ranked)):
            seen = (right_in[top] + right_out[bottom]) / (top + bottom)
            guess = Guessing(index, top / len(ranked), bottom / len(ranked))
            guesses = sum(guess.counts(coins))
            if guesses == 0:
                continue
            right = math.floor(seen * guesses)
            floor = float(special.betaincinv(max(right, 1), guesses - right + 1, 1 - level))
            options.append((floor, guess, guesses, right))
    shortlist = sorted(options, key=lambda option: -option[0])[:_SHORTLIST]
    bounds = [
        one_run_bound(coins, guesses, right, delta=delta, level=level)
        for _, _, guesses, right in shortlist
    ]
    return shortlist[int(np.argmax(bounds))][1]


def _splits(coins: int) -> list[tuple[int, int]]:
    fewest = min(_FEWEST_GUESSES, coins)
    sizes = np.unique(np.geomspace(fewest, coins, _SIZES).astype(int)).tolist()
    one_sided = [pair for size in sizes for pair in ((size, 0), (0, size))]
    return one_sided + [(size // 2, size - size // 2) for size in sizes if size > 1]


def _by_unit(
    values: Float[np.ndarray, "runs records"], clusters: Clusters
) -> Float[np.ndarray, "runs units"]:
    totals = clusters.sum(values)
    totals /= np.bincount(clusters.units)
    return totals


def _ranked_coins(
    scores: Float[np.ndarray, "*shape"], coins: Bool[np.ndarray, "*shape"]
) -> Bool[np.ndarray, " coins"]:
    """The coins in descending order of their scores; ties in the order of the runs and units."""
    return coins.ravel()[np.argsort(-scores, axis=None, kind="stable")]
