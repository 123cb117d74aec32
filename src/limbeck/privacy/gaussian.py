"""The trade-off between epsilon and delta of the Gaussian mechanism, exactly."""

import numpy as np
from scipy import optimize, special


def delta_of(shift: float, epsilon: float) -> float:
    """Smallest delta of the Gaussian mechanism whose outputs differ by ``shift`` noise deviations.

    Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu) [Balle and Wang 2018, arXiv:1805.06530v2,
    Theorem 8], with mu = sensitivity / sigma.
    """
    first = special.log_ndtr(shift / 2 - epsilon / shift)
    second = epsilon + special.log_ndtr(-shift / 2 - epsilon / shift)
    return float(np.exp(first) - np.exp(second))


def mu_of(epsilon: float, delta: float) -> float:
    """The shift mu at which the Gaussian mechanism is (epsilon, delta)-DP and not better."""
    return float(optimize.brentq(lambda mu: delta_of(mu, epsilon) - delta, 1e-6, 100.0, xtol=1e-12))


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
