"""Uniform and normal numbers from the operating system's entropy.

PyTorch's generator on the CPU keeps 32 bits of any seed that it is given (seeds 2^32 apart give the
same numbers), and its later numbers follow from earlier ones: whoever knows all records but one
could find the noise by trying. So the coins of private sampling and the noise of sampled steps come
from here, where every number is drawn from the kernel's cryptographic generator.

Not covered: these are floating-point numbers. A normal is the scaled sum of four independent ones,
which makes the known attacks on the last bits of floating-point noise infeasible [Holohan and
Braghin 2021, arXiv:2107.10138, section 5.1], but is no proof. Where noise falls on whole numbers,
``noise.discrete_gaussian`` has one.
"""

import os

import numpy as np
from jaxtyping import Float64

_STEP = 2.0**-53


class Coins:
    """A stream of numbers that nobody can foresee or repeat.

    insecure_seed: for tests and for the shadow runs of audits: numbers that can be repeated.
    """

    def __init__(self, insecure_seed: int | None = None) -> None:
        self._repeatable = None if insecure_seed is None else np.random.default_rng(insecure_seed)

    def uniform(self, n: int) -> Float64[np.ndarray, " n"]:
        """``n`` multiples of 2^-53 in [0, 1)."""
        if self._repeatable is not None:
            return self._repeatable.random(n)
        bits = np.frombuffer(os.urandom(8 * n), dtype=np.uint64)
        return (bits >> np.uint64(11)) * _STEP

    def normal(self, n: int) -> Float64[np.ndarray, " n"]:
        """``n`` normal numbers of mean 0 and standard deviation 1."""
        if self._repeatable is not None:
            return self._repeatable.standard_normal(n)
        # Box and Muller's transform; 1 - u is never 0. The sum of four has a deviation of 2.
        radius = np.sqrt(-2 * np.log1p(-self.uniform(4 * n)))
        drawn = radius * np.cos(2 * np.pi * self.uniform(4 * n))
        total: Float64[np.ndarray, " n"] = drawn.reshape(4, n).sum(0) / 2
        return total
