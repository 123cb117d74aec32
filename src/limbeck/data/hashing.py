"""A hash of each record's content: what a record's place or share may depend on, and nobody else's.

Not for secrets: it spreads records evenly, and that is all.
"""

import hashlib
import math
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck import coins


def content_hash(
    inputs: Float[Tensor, "n ..."], values: int, public_coins: int, purpose: str
) -> Int64[Tensor, " n"]:
    """A number in [0, values) for each record of values in [0, 1], by its own content alone."""
    bound, size = 2**62, math.prod(inputs.shape[1:])
    generator = coins.generator(public_coins, purpose)
    weights = torch.randint(-bound, bound, (size,), generator=generator) * 2 + 1
    # int64 arithmetic wraps: a multilinear hash. In blocks, for it takes 24 bytes a pixel.
    hashes = [
        ((block.flatten(1).double() * 65535).round().long() * weights).sum(1)
        for block in inputs.split(1024)
    ]
    mixed = torch.cat(hashes)
    mixed = (mixed ^ (mixed >> 31)) * -7046029254386353131
    return ((mixed >> 33) & 0x3FFFFFFF) % values


def unit_hash(
    inputs: Float[Tensor, "n ..."], groups: Int64[Tensor, " n"] | None, purpose: str
) -> Int64[Tensor, " n"]:
    """A number for each record that its unit shares, by the content of the unit's records alone.

    groups: equal for one unit's records; None: each record is a unit. Not by the group's number:
    where numbers are ranks of names, those of all later groups change as one comes or goes.
    """
    own = content_hash(inputs, 2**30, 0, purpose)
    if groups is None:
        return own
    _, member = groups.unique(return_inverse=True)
    return torch.zeros_like(own).index_add_(0, member, own)[member]


def content_key(inputs: Float[Tensor, "n ..."], purpose: str) -> Int64[Tensor, " n"]:
    """A number below 2**60 that records share when their contents are the same, to 16 bits.

    Two of a million different records share one with a chance of about one in two million.
    """
    high, low = (content_hash(inputs, 2**30, 0, f"{purpose} {part}") for part in ("high", "low"))
    return (high << 30) | low


def bytes_keys(contents: Iterable[bytes]) -> Int64[Tensor, " n"]:
    """A number below 2**60 for each, the same for the same bytes (SHA-256, cut short)."""
    digests = (hashlib.sha256(content).digest() for content in contents)
    return torch.tensor([int.from_bytes(d[:8], "big") >> 4 for d in digests], dtype=torch.int64)
