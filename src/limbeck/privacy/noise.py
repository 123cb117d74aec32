"""Discrete Gaussian noise from a secure source, and why the continuous curve covers it.

Noise on integers has no floating-point leak. With an integer scale s every integer z is a sign
times k s + j, 0 <= j < s, and with f = j / s

    exp(-z^2 / (2 s^2)) = exp(-k / 2) * exp(-(k (k - 1) + 2 k f + f^2) / 2).

So propose k with probability proportional to exp(-k / 2), j and the sign uniformly; accept with the
second factor; reject one of the two signs of 0 [a rejection scheme after Karney 2016,
arXiv:1303.6257, section 3]. Draws are made in blocks.

The sampler is exact: its distribution has no error, however small. Whatever is random is a uniform
integer, or the comparison of a uniform real number with exp(-x). Of that number 53 bits are drawn
and compared with the exponential in float64. Where the two are further apart than what 53 bits
leave open and more than 1,000 times what the float can be wrong by, further bits cannot matter.
Otherwise, once in 10^12 draws, bits are drawn one by one until bounds of exp(-x) in rational
numbers decide.

The discrete Gaussian of scale s around an integer v is what a continuous Gaussian of variance
s^2 - 4 around v becomes when each coordinate y is rounded to a random integer z with probability
proportional to exp(-(z - y)^2 / 8). Convolving the two gives exp(-(z - v)^2 / (2 s^2)) divided by
sum_z exp(-(z - y)^2 / 8), and by Poisson summation that divisor is the same for every y up to a
fraction 2 exp(-8 pi^2) < 1.1e-34. Rounding is post-processing. So a release with this noise is as
private as one with the continuous noise of ``continuous_scale``, whose trade-off curve is known
exactly, but for less than 1e-20 in epsilon as long as there are fewer than 1e13 coordinates. The
rounding does not depend on v: the same holds of mixtures over v, and so of sums over a random
sample of the records.
"""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float64, Int64

from limbeck.errors import OptionError
from limbeck.privacy.entropy import below

_ROUNDING = 2.0  # standard deviation, in grid steps, of the rounding in the argument above
SMALLEST = 4.0
LARGEST = 2.0**57
"""A scale above which noise, 13 of its deviations or more, could leave the range of int64."""
_BLOCK = 1 << 14  # draws at once: their arrays stay in the processor's cache
_BITS = 53
_MARGIN = 2.0**-40
"""A relative error of float64 exponentials and logarithms here that is never reached: the functions
are right to a few parts in 2^53, and their arguments, below 100, to 2^-45 in all."""


def continuous_scale(scale: float) -> float:
    """Standard deviation of the continuous Gaussian that covers discrete noise of this scale."""
    return math.sqrt(scale**2 - _ROUNDING**2)


def discrete_scale(continuous: float) -> float:
    """The least integer scale whose noise a continuous Gaussian of this deviation covers.

    OptionError where that much noise does not fit 64-bit integers.
    """
    if not continuous < LARGEST:
        raise OptionError(
            f"noise of {continuous:g} grid steps does not fit 64-bit integers; ask for a larger "
            "epsilon, fewer steps or a larger share of the budget"
        )
    scale = max(SMALLEST, float(math.ceil(math.hypot(continuous, _ROUNDING))))
    while continuous_scale(scale) < continuous:  # by rounding of the square roots
        scale += 1.0
    return scale


def discrete_gaussian(
    values: Int64[np.ndarray, " d"], scale: float, *, insecure_seed: int | None = None
) -> Int64[np.ndarray, " d"]:
    """The values with discrete Gaussian noise of this scale, drawn once and stored nowhere else.

    Exactly: the chance of z is proportional to exp(-z^2 / (2 scale^2)).
    insecure_seed: for tests alone: rounded noise of a generator that can be repeated, and no
        guarantee. OptionError for a scale that is no integer or below 4 grid steps, where the
        argument above is not made.
    """
    if scale != int(scale) or not SMALLEST <= scale <= LARGEST:
        raise OptionError(
            f"noise has an integer scale of at least {SMALLEST:g} grid steps, not {scale:g}; use a "
            "finer grid"
        )
    if insecure_seed is not None:
        drawn = np.random.default_rng(insecure_seed).normal(0.0, scale, values.shape)
        return values + np.rint(drawn).astype(np.int64)
    noise = np.empty(values.shape, dtype=np.int64)
    for start in range(0, len(values), _BLOCK):
        block = noise[start : start + _BLOCK]
        block[:] = _draw(len(block), int(scale))
    return values + noise


def _draw(count: int, scale: int) -> Int64[np.ndarray, " count"]:
    """Independent draws: the first ``count`` of a stream of proposals that are accepted."""
    drawn = np.empty(count, dtype=np.int64)
    filled = 0
    while filled < count:
        # Of all proposals, sqrt(pi / 2) (1 - exp(-1/2)) = 0.493 are accepted.
        found = _propose(int(2.1 * (count - filled)) + 64, scale)[: count - filled]
        drawn[filled : filled + len(found)] = found
        filled += len(found)
    return drawn


def _propose(count: int, scale: int) -> Int64[np.ndarray, " accepted"]:
    """The accepted ones of ``count`` proposals, in their order."""
    k, j = _geometric(below(2**_BITS, count)), below(scale, count)
    accepted = _accept(below(2**_BITS, count), k, j, scale)
    k, j = k[accepted], j[accepted]
    size, positive = k * scale + j, below(2, len(k)) == 0
    kept: Int64[np.ndarray, " accepted"] = np.where(positive, size, -size)[(size > 0) | positive]
    return kept


def _geometric(first: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """The largest k for which a uniform number with these first bits is below exp(-k / 2).

    So k or more has probability exp(-k / 2).
    """
    middle = first + 0.5
    exponents: Float64[np.ndarray, " n"] = -2 * np.log(middle * 2.0**-_BITS)
    k = exponents.astype(np.int64)
    # The other bits move the exponent by less than 2 / middle.
    open_by = 2 / middle + 128 * _MARGIN
    past = exponents - k
    for at in np.flatnonzero((past < open_by) | (1 - past < open_by)):
        number, k[at] = _Uniform(int(first[at])), 0
        while number.below_exp(Fraction(int(k[at]) + 1, 2)):
            k[at] += 1
    return k


def _accept(
    first: Int64[np.ndarray, " n"],
    k: Int64[np.ndarray, " n"],
    j: Int64[np.ndarray, " n"],
    scale: int,
) -> Bool[np.ndarray, " n"]:
    """Whether uniform numbers with these bits are below exp(-(k (k - 1) + 2 k f + f^2) / 2)."""
    f = j / scale
    level: Float64[np.ndarray, " n"] = np.exp(-0.5 * (k * (k - 1.0) + f * (2 * k + f)))
    level *= 2.0**_BITS
    accepted: Bool[np.ndarray, " n"] = first < level
    for at in np.flatnonzero(np.abs(first - level) < 1 + level * _MARGIN):
        whole, part = int(k[at]), Fraction(int(j[at]), scale)
        exponent = (whole * (whole - 1) + 2 * whole * part + part**2) / 2
        accepted[at] = _Uniform(int(first[at])).below_exp(exponent)
    return accepted


class _Uniform:
    """A uniform real number in [0, 1), of which as many bits are drawn as comparisons need.

    first: its first bits, as an integer.
    """

    def __init__(self, first: int) -> None:
        self._drawn, self._bits = first, _BITS

    def below_exp(self, exponent: Fraction) -> bool:
        """Whether the number is below exp(-exponent), exactly."""
        terms = 4
        while True:
            low, high = _exp_bounds(exponent, terms)
            if Fraction(self._drawn + 1, 2**self._bits) <= low:
                return True
            if Fraction(self._drawn, 2**self._bits) >= high:
                return False
            self._drawn, self._bits = 2 * self._drawn + int(below(2, 1)[0]), self._bits + 1
            terms += 1


def _exp_bounds(exponent: Fraction, terms: int) -> tuple[Fraction, Fraction]:
    """Bounds of exp(-exponent) that close as ``terms`` grow: one over those of exp(exponent).

    The series is cut; once its terms fall by half or more, the rest is at most the last term.
    """
    total = term = Fraction(1)
    count = 0
    while count < terms or 2 * exponent > count:
        count += 1
        term *= exponent / count
        total += term
    return 1 / (total + term), 1 / total
