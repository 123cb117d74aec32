"""The trade-off between epsilon and delta of the Gaussian mechanism, exactly."""

import math

import numpy as np
from scipy import optimize, special

from limbeck.errors import OptionError

_SHIFTS = (1e-12, 1e12)
_INWARD = 1 - 1e-10
"""What is found by iteration is moved by this much to the side that claims less."""


def delta_of(shift: float, epsilon: float) -> float:
    """Smallest delta of the Gaussian mechanism whose outputs differ by ``shift`` noise deviations.

    Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu) [Balle and Wang 2018, arXiv:1805.06530v2,
    Theorem 8], with mu = sensitivity / sigma.
    """
    first = special.log_ndtr(shift / 2 - epsilon / shift)
    second = epsilon + special.log_ndtr(-shift / 2 - epsilon / shift)
    return float(np.exp(first) * -np.expm1(min(second - first, 0.0)))


def mu_of(epsilon: float, delta: float) -> float:
    """The shift mu at which the Gaussian mechanism is (epsilon, delta)-DP and hardly better.

    OptionError where no number of this machine is such a mu, or the two are no guarantee.
    """
    if not (0 < epsilon < math.inf and 0 < delta < 1):
        raise OptionError(
            f"a guarantee needs a finite epsilon above 0 and delta in (0, 1), not {epsilon:g} and "
            f"{delta:g}"
        )

    def beyond(log_mu: float) -> float:
        return delta_of(math.exp(log_mu), epsilon) - delta

    low, high = map(math.log, _SHIFTS)
    if not beyond(low) < 0 < beyond(high):
        raise OptionError(
            f"no Gaussian noise is worth epsilon {epsilon:g} at delta {delta:g}; ask for less "
            "extreme ones"
        )
    mu = math.exp(float(optimize.brentq(beyond, low, high, xtol=1e-14, rtol=1e-14)))
    while delta_of(mu, epsilon) > delta:
        mu *= _INWARD
    return mu


def epsilon_of(shift: float, delta: float) -> float:
    """The smallest epsilon at which the Gaussian mechanism of this shift is (epsilon, delta)-DP."""
    if shift <= 0 or delta_of(shift, 0.0) <= delta:
        return 0.0
    # At this epsilon the first term of delta alone is below delta.
    enough = shift * (shift / 2 - float(special.ndtri(delta)))
    return float(optimize.brentq(lambda e: delta_of(shift, e) - delta, 0.0, enough, xtol=1e-12))


def best_auc(shift: float) -> float:
    """AUC of the most powerful test between N(0, 1) and N(shift, 1): Phi(shift / sqrt 2)."""
    return float(special.ndtr(shift / np.sqrt(2)))
