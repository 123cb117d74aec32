"""Splits and slices by coins of the records' own: what data that people give is divided by.

Where a record goes follows from itself, a seed and a public share, and from nobody else: not from
the other records, and not from their number. So files that differ in one record have private parts
that differ in that record at most, and a guarantee about the private part is one about the file.
The same holds of a person (a group), whose records share one coin. ``splits`` draws from class
counts and places in the file instead, where one record more moves everybody: it is for public data.
"""

import numpy as np
import torch
from jaxtyping import Int64, UInt64
from torch import Tensor

from limbeck.coins import derive
from limbeck.data.splits import require_share


def coin_split(
    units: Int64[Tensor, " n"], share: float, seed: int
) -> tuple[Int64[Tensor, " private"], Int64[Tensor, " test"]]:
    """Indices of (private, test) in ascending order; each unit is for testing with this chance.

    units: equal for records that share a coin (see ``Records.units``). Either side may be empty.
    OptionError unless 0 < share < 1.
    """
    require_share(share)
    for_testing = torch.from_numpy(_coins(units, seed, "split") * 2.0**-64 < share)
    return (~for_testing).nonzero()[:, 0], for_testing.nonzero()[:, 0]


def coin_slice(units: Int64[Tensor, " n"], size: int, seed: int) -> Int64[Tensor, " chosen"]:
    """Indices, in ascending order, of the ``size`` records whose coins are smallest.

    All records when ``size`` is at least their number. A record more or less among all exchanges
    one of the slice for another at most: no slice of a fixed size can do better.
    """
    # Stable: records of one coin stay in their order, which no other record changes.
    order = np.argsort(_coins(units, seed, "limit"), kind="stable")
    return torch.from_numpy(np.sort(order[:size]))


def _coins(units: Int64[Tensor, " n"], seed: int, purpose: str) -> UInt64[np.ndarray, " n"]:
    """64 random bits of each unit's own: two rounds of SplitMix64's finaliser [Steele 2014]."""
    mixed = units.numpy().astype(np.uint64)
    for part in range(2):
        mixed = mixed + np.uint64(derive(seed, purpose, part))
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed
