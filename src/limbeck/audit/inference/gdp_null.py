"""How often guesses about fair coins can be right against a mu-GDP mechanism, at the very most.

A run hides m fair coins; r of them are guessed from its release, and V guesses are right. Under
mu-GDP the chance that a single guess is right has a sharp limit [Dong, Roth and Su 2022,
arXiv:1905.02383]. The r guesses of a run are dependent in ways that nobody knows, so V has no
known distribution. What holds whatever the dependence is a bound on E max(V - v0, 0).

Proof. Let a_j be the probability, given the release and all other coins, that the guess at coin j
is right, and U_j the number of right guesses among the others, which the same knowledge fixes.
For numbers k_u, b_u and every j the mean of k_U 1[right] - b_U 1[wrong] is that of k_U a_j - b_U
(1 - a_j), at most F(a_j) when F is convex, increasing and above all these lines. Summed over the
guesses, k_(V-1) V - b_V (r - V) has a mean of at most E sum F(a_j). Knowing the other coins, the
release is still a mu-GDP experiment about coin j, so it tells less than N(+-mu/2, 1) does
[Blackwell's theorem]: the mean of any convex function of its posterior is largest there, and the
sum is largest when the r guesses are those of the largest a_j: E sum F(a_j) <= m E F(a) over the
fraction r / m of the largest a = 1 / (1 + exp(-mu |x|)), x ~ N(mu/2, 1). Take the tangents of
F(a) = (a - x0)+ + s / (2 sqrt r) exp(-sqrt r |a - x0| / s) at (u + 1/2) / r, x0 = v0 / r, which
solves r F - s^2 F'' = (r a - v0)+: then k_(V-1) V - b_V (r - V) >= (V - v0)+ but for a gap that
is computed for every V and added.

This flips one coin at a time, as the one-run audits of [Steinke 2023, arXiv:2305.08846] and, for
trade-off curves, [Mahloujifar 2024, arXiv:2410.22235] do; the bound itself is limbeck's own.
"""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_FAR = 9.0
"""The standard normal beyond this has mass 1e-19."""


def right_and_wrong(mu: float, cut: float) -> tuple[float, float]:
    """Chances that N(+-mu/2, 1) is guessed right and wrong, guessing where |x| > cut >= 0."""
    return float(special.ndtr(mu / 2 - cut)), float(special.ndtr(-mu / 2 - cut))


@lru_cache(maxsize=4096)
def guessing_cut(mu: float, share: float) -> float:
    """The |x| that this share of the coins exceeds, so that the surest of them are guessed."""
    if share >= 1:
        return 0.0
    return float(
        optimize.brentq(lambda c: sum(right_and_wrong(mu, c)) - share, 0.0, mu + 40, xtol=1e-13)
    )


@lru_cache(maxsize=4096)
def expected_excess(coins: int, guesses: int, start: float, mu: float) -> float:
    """The bound on E max(V - start, 0) over all mu-GDP mechanisms, V right of ``guesses``.

    coins: m >= guesses fair coins of one run. The guesses are functions of the release (and of
    whatever is independent of these coins), their number is fixed; 0 < start < guesses.
    """
    x0 = start / guesses
    cut = guessing_cut(mu, guesses / coins)
    kink = max(float(special.logit(x0)), 0.0) / mu
    right, wrong = right_and_wrong(mu, max(cut, kink))
    # E (a - x0)+ over the guessed: a is the chance of being right, so its integral is ``right``.
    linear = max(right - x0 * (right + wrong), 0.0)
    candidates = {0.5, min(0.5, 1.1 * math.sqrt(x0 * (1 - x0)))}
    bounds = [
        coins * (linear + _rounding_mean(guesses, x0, spread, mu, cut, kink))
        + _gap(guesses, x0, spread)
        for spread in candidates
    ]
    return min(guesses - start, *bounds)


def _rounding(
    a: Float[np.ndarray, " n"], guesses: int, x0: float, spread: float
) -> Float[np.ndarray, " n"]:
    """What rounds the corner of (a - x0)+ off, so that one coin more or less fits under it."""
    root = math.sqrt(guesses)
    return spread / (2 * root) * np.exp(-root / spread * np.abs(a - x0))


def _rounding_mean(
    guesses: int, x0: float, spread: float, mu: float, cut: float, kink: float
) -> float:
    """The mean of ``_rounding`` over the guessed part of N(+-mu/2, 1), by Gauss-Legendre."""
    end = cut + mu / 2 + _FAR
    # It decays within ``reach`` of the kink: both sides get nodes of their own.
    reach = 30 * spread / (math.sqrt(guesses) * mu * x0 * (1 - x0))
    breaks = np.clip([cut, kink - reach, kink, kink + reach, end], cut, end)
    low, width = breaks[:-1, None], np.diff(breaks)[:, None]
    x = low + width * (_NODES + 1) / 2
    density = np.exp(-((x - mu / 2) ** 2) / 2) + np.exp(-((x + mu / 2) ** 2) / 2)
    density /= math.sqrt(2 * math.pi)
    values = _rounding(special.expit(mu * x).ravel(), guesses, x0, spread).reshape(x.shape)
    return float((width / 2 * _WEIGHTS * density * values).sum())


def _gap(guesses: int, x0: float, spread: float) -> float:
    """How far the sum of the tangents falls short of (V - v0)+ at the worst V; 0 if nowhere."""
    at = (np.arange(guesses) + 0.5) / guesses
    soft = _rounding(at, guesses, x0, spread)
    value = np.maximum(at - x0, 0) + soft
    steep = soft * math.sqrt(guesses) / spread
    slope = np.where(at > x0, 1 - steep, steep)
    right = value + slope * (1 - at)
    wrong = slope * at - value
    v = np.arange(guesses + 1)
    total = v * np.append(0, right) - (guesses - v) * np.append(wrong, 0)
    return max(float((np.maximum(v - guesses * x0, 0) - total).max()), 0.0)
