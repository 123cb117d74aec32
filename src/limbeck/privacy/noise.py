"""Discrete Gaussian noise from a secure source, and why the continuous curve covers it.

Noise on whole numbers has no floating-point leak. OpenDP draws it exactly, from the operating
system's entropy [Canonne, Kamath and Steinke 2020, arXiv:2004.00010].

The discrete Gaussian of scale s around a whole number v is what a continuous Gaussian of variance
s^2 - 4 around v becomes when each coordinate y is rounded to a random whole number z with chances
proportional to exp(-(z - y)^2 / 8). Convolving the two gives exp(-(z - v)^2 / (2 s^2)) divided by
sum_z exp(-(z - y)^2 / 8), and by Poisson summation that divisor is the same for every y up to a
share of 2 exp(-8 pi^2) < 1.1e-34. Rounding is post-processing. So a release with this noise is as
private as one with the continuous noise of ``continuous_scale``, whose trade-off curve is known
exactly, but for less than 1e-20 in epsilon as long as there are fewer than 1e13 coordinates.
"""

import math

import numpy as np
from jaxtyping import Int64

from limbeck.errors import OptionError

_ROUNDING = 2.0  # standard deviation, in grid steps, of the rounding in the argument above
SMALLEST = 4.0


def continuous_scale(scale: float) -> float:
    """Standard deviation of the continuous Gaussian that covers discrete noise of this scale."""
    return math.sqrt(scale**2 - _ROUNDING**2)


def discrete_scale(continuous: float) -> float:
    """Scale of the discrete noise that a continuous Gaussian of this standard deviation covers."""
    return math.sqrt(continuous**2 + _ROUNDING**2)


def discrete_gaussian(
    values: Int64[np.ndarray, " d"], scale: float, *, insecure_seed: int | None = None
) -> Int64[np.ndarray, " d"]:
    """The values with discrete Gaussian noise of this scale, drawn once and kept nowhere else.

    insecure_seed: for tests alone: rounded noise of a generator that can be repeated, and no
        guarantee. OptionError for a scale below 4 grid steps, where the argument above is not
        made, and where OpenDP is missing.
    """
    if not scale >= SMALLEST:
        raise OptionError(f"noise of scale {scale:g} grid steps is too coarse; use a finer grid")
    if insecure_seed is not None:
        drawn = np.random.default_rng(insecure_seed).normal(0.0, scale, values.shape)
        return values + np.rint(drawn).astype(np.int64)
    try:
        import opendp.prelude as dp
    except ImportError:
        raise OptionError(
            "a formal guarantee needs OpenDP's noise; install it with pip install "
            "'limbeck[private]'"
        ) from None
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    measure = dp.m.make_gaussian(*space, scale=scale)
    return np.array(measure(values.tolist()), dtype=np.int64)
