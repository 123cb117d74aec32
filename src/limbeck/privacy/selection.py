"""Choosing the best of several private runs, with the number of runs drawn at random.

Each run draws one of the declared settings, runs it on private data, and scores it privately: a
mechanism Q whose output, the score included, has a privacy profile delta_Q (the least delta at each
epsilon; the larger of both directions between neighbours). K runs are made, of which the one with
the highest score is released; neither K, nor another score, nor another run is. K is geometric
with mean M: P[K = k] = g (1 - g)^(k - 1), g = 1 / M [Liu and Talwar 2019, arXiv:1811.07971;
Papernot and Steinke 2022, arXiv:2110.03620, eta = 1].

Then the selection A has, for every epsilon,

    delta_A(epsilon) <= M delta_Q(epsilon - 2 log R),
    R = sup over q in [0, 1] of (g + (1 - g) T(q)) / (g + (1 - g) q),
    T(q) = min(1, min over e >= 0 of exp(e) q + delta_Q(e)),

[of the form of Koskela, Redberg and Wang 2024, arXiv:2402.06701; proved here in full]. Proof. Let
equal scores be ordered by coins of their own, so that no two runs tie; to keep the first of those
with the highest score is to do so, since runs are exchangeable. With F(y) the chance that a run is
no better than y, the generating function G of K gives A's density at y as q(y) w(y), w = G'(F), and
for geometric K

    w(y) = g / (g + (1 - g) (1 - F(y)))^2 <= 1 / g = M.

For a neighbour, 1 - F'(y) is the chance of an event, hence at most T(1 - F(y)), and so
w(y) <= R^2 w'(y). Therefore

    integral of (q w - e^epsilon q' w')+ <= integral of w (q - e^epsilon R^-2 q')+
                                         <= M delta_Q(epsilon - 2 log R).   QED

A list of settings is a mixture whose part is released with it: its profile is the mean of the
settings' profiles, and at most the mean of bounds of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from functools import partial
from typing import TypeVar

import numpy as np

from limbeck.errors import OptionError
from limbeck.privacy.accountant import Profile
from limbeck.privacy.digits import up
from limbeck.privacy.entropy import below
from limbeck.privacy.gaussian import delta_of, mu_of

T = TypeVar("T")

Runs = Callable[[float, float], Profile]
"""(epsilon, delta) to the profile of a run that is made to cost at most that."""

_LINES = 128  # of the envelope T, each of which holds by itself: more of them only tighten it
_CHANCES = np.concatenate([[0.0], np.geomspace(1e-9, 1.0, 4096)])
_CLOSE = 1e-4  # of a run's epsilon, relative
_LESS = 0.98
_LEAST = 1e-3


def log_ratio(profile: Profile, mean: int) -> float:
    """The logarithm of R in the argument above, for K of this mean, rounded up.

    Between two chances of the grid, T of the larger stands above g + (1 - g) q of the smaller.
    """
    g = 1 / mean
    far = 1.0
    while profile(far) > 1e-12 and far < 512:
        far *= 2
    lines = np.linspace(0.0, far, _LINES)
    above = np.array([profile(float(e)) for e in lines])
    chances = np.exp(lines)[:, None] * _CHANCES[1:] + above[:, None]
    most = np.minimum(chances.min(0), 1.0)
    return float(np.log((g + (1 - g) * most) / (g + (1 - g) * _CHANCES[:-1])).max())


@dataclass(frozen=True)
class Selection:
    """How a choice is paid for: (epsilon, delta) in all, for one unit more or less.

    mean: expected number of runs. run_epsilon, run_delta: what each run may cost, its score
    included.
    """

    epsilon: float
    delta: float
    mean: int
    run_epsilon: float
    run_delta: float

    @classmethod
    def of(cls, epsilon: float, delta: float, mean: int, runs: Runs) -> "Selection":
        """The selection whose runs cost as much as (epsilon, delta) allows, nearly.

        A unit is in the part of the data that runs are made of or in the part that scores them;
        what a neighbour changes is then bounded by the profile of ``runs`` or by the Gaussian one
        of scores. The latter is solved by bisection; where the former asks for more, runs get less.
        OptionError where they have no epsilon left.
        """
        if mean < 1:
            raise OptionError(f"a selection has 1 expected run or more, not {mean}")
        each = _down(delta / mean)

        def total(run: float, profile: Profile) -> float:
            return run + 2 * log_ratio(profile, mean)

        low, high = 0.0, epsilon
        while high - low > _CLOSE * high:
            middle = (low + high) / 2
            fits = total(middle, score_profile(middle, each)) <= epsilon
            low, high = (middle, high) if fits else (low, middle)
        low = _down(low)
        while low > 0 and total(low, runs(low, each)) > epsilon:
            low = _down(low * _LESS) if low > _LEAST * epsilon else 0.0
        if low <= _LEAST * epsilon:
            raise OptionError(
                f"a choice among {mean} expected runs leaves each of them next to nothing of "
                f"epsilon {up(epsilon)}; ask for a larger epsilon, or fewer runs"
            )
        return cls(epsilon, delta, mean, low, each)

    def draw(self) -> int:
        """The number of runs, exactly geometric, from the operating system's entropy."""
        runs = 1
        while below(self.mean, 1)[0] != 0:
            runs += 1
        return runs

    def choose(self, run: Callable[[], tuple[float, T]]) -> T:
        """The result of the run with the highest score; of equal ones the first."""
        best, chosen = run()
        for _ in range(self.draw() - 1):
            score, result = run()
            if score > best:
                best, chosen = score, result
        return chosen


def _down(value: float) -> float:
    """Four significant digits, and no more than it was: what is printed is then what is paid."""
    return float(Context(prec=4, rounding=ROUND_FLOOR).plus(Decimal(value)))


def score_profile(epsilon: float, delta: float) -> Profile:
    """The profile of a score with Gaussian noise, worth (epsilon, delta)."""
    return partial(delta_of, mu_of(epsilon, delta))


def mixed(profiles: Sequence[Profile]) -> Profile:
    """The profile of a run that draws one of several mechanisms and says which."""
    return lambda epsilon: math.fsum(p(epsilon) for p in profiles) / len(profiles)
