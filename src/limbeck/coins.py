"""Seeds derived by name: the one source of randomness outside differential-privacy noise.

A seed and a path of words or integers determine a new seed through SHA-256, so that adding
a draw in one place never shifts the draws of another, and nothing touches global state.
"""

import hashlib

import numpy as np
import torch


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit seed that depends on ``seed`` and every element of ``path``."""
    text = "\x1f".join([str(int(seed)), *(f"{type(p).__name__}:{p}" for p in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: str | int) -> torch.Generator:
    """A CPU generator of the derived seed: drawing there gives every device the same numbers."""
    return torch.Generator().manual_seed(derive(seed, *path))


def numpy_generator(seed: int, *path: str | int) -> np.random.Generator:
    """NumPy's generator of the derived seed."""
    return np.random.default_rng(derive(seed, *path))
