"""Noisy sums over all records as they are asked for, and the event that each becomes."""

import math
from dataclasses import dataclass

from limbeck.privacy import noise
from limbeck.privacy.records import BITS
from limbeck.privacy.sums import PRODUCT_BITS
from limbeck.types import Adjacency, Event

MECHANISM = "discrete Gaussian"
_UP = 1 + 1e-12
"""Noise is scaled up by more than all roundings here: a ledger never adds up to more than mu^2."""


@dataclass(frozen=True)
class Query:
    """A sum that is asked for with ``share`` of a budget (of mu^2).

    name: of its event. products: a sum of z z' in place of a sum of vectors.
    reach: largest norm of a record's vector, or of z, in grid steps.
    """

    name: str
    share: float
    products: bool = False
    reach: int | None = None

    def sensitivity(self, adjacency: Adjacency) -> float:
        """The most that neighbouring datasets differ in the sum, in L2 norm, in grid steps.

        Another vector in a vector's place moves the sum by two of them at most; another product
        z z' by sqrt 2 of one, since both are positive semi-definite.
        """
        if self.products:
            moves = 1.0 if adjacency == "add-remove" else math.sqrt(2.0)
            return moves * (self.reach or 2**PRODUCT_BITS) ** 2
        return float((1 if adjacency == "add-remove" else 2) * (self.reach or 2**BITS))

    def event(self, mu: float, adjacency: Adjacency) -> Event:
        """The event that spends the share of mu-GDP, never more."""
        sensitivity = self.sensitivity(adjacency)
        continuous = sensitivity / (math.sqrt(self.share) * mu) * _UP
        scale = noise.discrete_scale(continuous)
        return Event(self.name, MECHANISM, sensitivity, scale)
