"""The trade-off-curve test: what guesses about its coins say of a mechanism that claims mu-GDP.

Every run makes several numbers of guesses about its own coins (the highest scores IN, the lowest
OUT), from all coins to a few: together they look at the whole trade-off curve, where a bound on
(epsilon, delta) looks at one line under it. Two null bounds, one for each state of knowledge:

- Nothing is known of the dependence within a run (the default). For one number of guesses
  e_k = 1 - s + s (V_k - v0)+ / C, with C the most that E (V - v0)+ can be under mu-GDP
  (``gdp_null``), has a mean of at most 1 in run k given all runs before it, so the product over
  runs is a test martingale, and so is the average of the products over fixed numbers of guesses.
  By Ville's inequality it ever reaches 1/alpha with probability at most alpha: 1 over its value
  is a p-value, at any stopping time [Ramdas 2023, arXiv:2210.01948]. A few runs are instead
  pooled as one mechanism about all their coins: P(V >= v) <= C(v0) / (v - v0) for every v0.
- Trials are independent, said by the caller: each coin reaches its own coordinate of the release
  with noise of its own. Given the release the guesses are then right independently of each other,
  so V over all coins of all runs is at most a Binomial(n, Phi(mu/2)), and that tail is exact.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize, special

from limbeck.audit.inference.gdp_null import expected_excess, guessing_cut
from limbeck.errors import OptionError
from limbeck.privacy.gaussian import epsilon_of
from limbeck.types import Estimate

ALARM = 0.001
"""The familywise level at which a claim is called refuted."""

SHARES = {1.0: 0.2, 0.5: 0.5, 0.15: 0.2, 0.03: 0.1}
"""Shares of the coins that are guessed, with the weight of each in the test."""

_STAKE = 0.95
_MARGIN = 1.5
"""v0 lies this many binomial deviations under the least sure guess of a mu-GDP mechanism."""

_FEW_RUNS = 8
_DEPTHS = (0.3, 0.6, 1.0, 1.4, 1.8, 2.3, 2.8, 3.5, 4.5, 6.0)
"""Where v0 is tried below the count of one pooled run, in its binomial deviations."""

_MUS = np.geomspace(1e-3, 20.0, 60)


def right_guesses(
    scores: Float[np.ndarray, "runs units"], coins: Bool[np.ndarray, "runs units"], guesses: int
) -> Int[np.ndarray, " runs"]:
    """How many of so many guesses are right in each run: top half IN, lowest OUT, by rank."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(coins, order, axis=1)
    top = guesses // 2
    low = ~ranked[:, ranked.shape[1] - (guesses - top) :]
    right: np.ndarray = ranked[:, :top].sum(axis=1) + low.sum(axis=1)
    return right


def gdp_p_value(
    scores: Float[np.ndarray, "runs units"],
    coins: Bool[np.ndarray, "runs units"],
    mu: float,
    *,
    independent: bool = False,
) -> float:
    """P-value of "each run is a mu-GDP mechanism about each of its coins"; mu > 0.

    scores: higher means more likely IN. Those of a run may depend on its own release, on earlier
        runs and on anything else that is independent of its coins (references from other runs),
        not on its coins: leave-one-out references among the judged runs are not allowed.
    coins: True where the unit was in the run's private set: fair and independent. One coin per
        unit that the claim protects (record, or group under a claim about groups).
    independent: the caller knows that every coin reaches its own coordinate of the release, with
        noise of its own. Only then is an exact binomial test used beside the other (each at half
        the level).

    Raises OptionError where the shapes differ or there is nothing to judge.
    """
    _check(scores, coins)
    if not mu > 0:
        raise OptionError(f"mu is {mu}: a claim of mu-GDP needs mu > 0")
    return _p_value(_guessed(scores, coins), coins.shape[0], coins.shape[1], mu, independent)


def gdp_lower_bound(
    scores: Float[np.ndarray, "runs units"],
    coins: Bool[np.ndarray, "runs units"],
    *,
    delta: float,
    level: float = 0.95,
    independent: bool = False,
) -> Estimate:
    """Lower bound on the epsilon of a Gaussian mechanism at ``delta``; ``high`` is NaN.

    It holds for mechanisms whose trade-off curve is that of some mu-GDP: the smallest mu that is
    not refuted, told as the epsilon of that curve. For any other mechanism it says which mu can
    still be claimed and is no bound on its epsilon. Arguments and errors as in ``gdp_p_value``;
    ``trials`` counts the coins.
    """
    _check(scores, coins)
    guessed = _guessed(scores, coins)

    def short(mu: float) -> float:
        """Below 0 where mu is refuted."""
        found = _p_value(guessed, coins.shape[0], coins.shape[1], mu, independent)
        return math.log(max(found, 1e-300)) - math.log(1 - level)

    # From below, so that what stands under the bound is refuted as well.
    above = next((i for i, mu in enumerate(_MUS) if short(float(mu)) > 0), len(_MUS))
    if above == 0:
        return Estimate(0.0, 0.0, math.nan, coins.size, level)
    mu = float(_MUS[above - 1])
    if above < len(_MUS):
        mu = float(optimize.brentq(short, mu, float(_MUS[above]), xtol=1e-5 * mu))
        mu *= 1 - 1e-4
    bound = epsilon_of(mu, delta)
    return Estimate(bound, bound, math.nan, coins.size, level)


def refutes(
    scores: Float[np.ndarray, "runs units"],
    coins: Bool[np.ndarray, "runs units"],
    mu: float,
    *,
    independent: bool = False,
    claims: int = 1,
) -> bool:
    """Whether the claim of mu-GDP is refuted at a familywise 0.1% among so many claims tested."""
    return gdp_p_value(scores, coins, mu, independent=independent) <= ALARM / claims


def _check(scores: np.ndarray, coins: np.ndarray) -> None:
    if scores.ndim != 2 or scores.shape != coins.shape or 0 in scores.shape:
        raise OptionError(
            f"scores of shape {scores.shape} with coins of shape {coins.shape}: one score and one "
            "coin per (run, unit) are needed"
        )
    if np.isnan(scores).any():
        raise OptionError(f"scores of shape {scores.shape} hold NaN: a guess needs a number")


class Guessed(NamedTuple):
    """One number of guesses in each run: its weight in the test and the right ones, per run."""

    size: int
    weight: float
    right: Int[np.ndarray, " runs"]


def _guessed(scores: np.ndarray, coins: np.ndarray) -> list[Guessed]:
    weights: dict[int, float] = {}
    for share, weight in SHARES.items():
        size = max(round(share * coins.shape[1]), 1)
        weights[size] = weights.get(size, 0.0) + weight
    return [Guessed(n, w, right_guesses(scores, coins, n)) for n, w in weights.items()]


def _p_value(guessed: list[Guessed], runs: int, units: int, mu: float, independent: bool) -> float:
    if runs < _FEW_RUNS:
        blocks = min(
            _pooled_tail(runs * size, int(right.sum()), runs * units, mu) / weight
            for size, weight, right in guessed
        )
    else:
        blocks = math.exp(min(-log_e_value(guessed, units, mu), 0.0))
    if not independent:
        return min(blocks, 1.0)
    size, _, right = guessed[0]  # all coins
    exact = _binomial_tail(runs * size, int(right.sum()), float(special.ndtr(mu / 2)))
    return min(2 * min(blocks, exact), 1.0)


def log_e_value(guessed: list[Guessed], units: int, mu: float) -> float:
    """Logarithm of the e-value against mu-GDP: the mean over the numbers of guesses."""
    growth = []
    for size, weight, right in guessed:
        surest = float(special.expit(mu * guessing_cut(mu, size / units)))
        deviation = math.sqrt(surest * (1 - surest) / size)
        # At least half a guess from either end, so that few guesses have a bound too.
        start = min(max(size * (surest - _MARGIN * deviation), 0.5), size - 0.5)
        limit = expected_excess(units, size, start, mu)
        e = 1 - _STAKE + _STAKE * np.maximum(right - start, 0) / limit
        growth.append(math.log(weight) + float(np.log(e).sum()))
    return float(special.logsumexp(growth))


def _pooled_tail(guesses: int, right: int, coins: int, mu: float) -> float:
    """Bound on the chance of so many right guesses, all runs taken as one mechanism."""
    share = right / guesses
    deviation = math.sqrt(max(share * (1 - share), 1 / guesses) * guesses)
    starts = (right - depth * deviation for depth in _DEPTHS)
    bounds = [
        expected_excess(coins, guesses, start, mu) / (right - start)
        for start in starts
        if 0 < start < guesses
    ]
    return min([1.0, *bounds])


def _binomial_tail(trials: int, right: int, chance: float) -> float:
    return 1.0 if right == 0 else float(special.betainc(right, trials - right + 1, chance))
