"""Uniform numbers from the operating system's entropy.

PyTorch's generator on the CPU uses 32 bits of any seed that it is given (seeds 2^32 apart give the
same numbers), and its later numbers follow from earlier ones: an adversary who knows all records
but one could find the noise by trying. So the coins of private sampling and all noise come from
here, where every number is drawn from the kernel's cryptographic generator.
"""

import os

import numpy as np
from jaxtyping import Float64, Int64

_STEP = 2.0**-53
_WORDS = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


def below(limit: int, count: int) -> Int64[np.ndarray, " count"]:
    """``count`` integers, uniform in [0, limit), exactly; limit up to 2^62.

    As many bits as the limit has are drawn, and drawn anew where they are no such integer.
    """
    bits = (limit - 1).bit_length()
    if bits == 0:
        return np.zeros(count, dtype=np.int64)
    width = next(width for width in _WORDS if bits <= width)
    mask = _WORDS[width](2**bits - 1)
    drawn = np.empty(count, dtype=np.int64)
    filled = 0
    while filled < count:
        wanted = count - filled
        # A proposal is below the limit at least every second time.
        words = np.frombuffer(os.urandom(width // 8 * wanted), dtype=_WORDS[width]) & mask
        found = words[words < limit]
        drawn[filled : filled + len(found)] = found
        filled += len(found)
    return drawn


class Coins:
    """A stream of uniform numbers that nobody can foresee or repeat.

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
