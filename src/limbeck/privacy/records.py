"""Statistics of one record alone, bounded, rounded to a grid, and summed without rounding.

What one unit (a record, or all records of a group) changes in a sum must be its own statistic and
nothing else. Floating point breaks this in three ways, each closed here:

- What a network says of a record can depend, in its last bits, on where in a batch the record
  stands and on the batch's size. So all batches have the same size, and a record's place in its
  batch is a hash of the record itself: with or without anybody else, it stands at the same place.
- A bound taken before a cast can be exceeded after it. So statistics are bounded in float64 and
  then cut, towards zero, to whole steps of a grid: no coordinate and no norm grows.
- Sums of floats depend on their order. Sums of whole numbers do not.

One thing is assumed of the statistic: that a record's row of a batch does not depend on the other
rows. ``varies`` looks for a counterexample.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.hashing import content_hash

BATCH = 64

Statistic = Callable[[Tensor, Tensor], Tensor]
"""Inputs (batch, ...) and labels (batch,) to rows (batch, d), each of its own record alone."""


@dataclass(frozen=True)
class Bound:
    """The L2 norm that a unit's statistic is cut to, and the step of the grid it is rounded to.

    Both in the statistic's own units. A step far below the norm costs nothing.
    """

    norm: float
    step: float

    @classmethod
    def of(cls, norm: float) -> "Bound":
        """The bound with 2^20 steps to the norm."""
        return cls(norm, norm / 2**20)

    @property
    def reach(self) -> int:
        """The largest norm of a bounded statistic, in whole steps."""
        return math.floor(self.norm / self.step)

    def cut(self, statistic: Float[Tensor, "n d"]) -> Int64[Tensor, "n d"]:
        """Each row in whole steps, of norm at most ``reach``; what is not finite becomes 0."""
        rows = torch.nan_to_num(statistic.double(), nan=0.0, posinf=0.0, neginf=0.0)
        return self.shrink((rows / self.step).clamp(-(2.0**51), 2.0**51).trunc().long())

    def shrink(self, steps: Int64[Tensor, "n d"]) -> Int64[Tensor, "n d"]:
        """Rows of whole steps, of norm at most ``reach``; those within it stay as they are."""
        rows = steps.double()
        norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        # The norm is right to one part in 2^40 at least; towards zero by more than that.
        shrunk = (rows * (self.reach * (1 - 2.0**-40) / norms.clamp(min=1))).trunc()
        # A norm at the limit may be over it by rounding: such a row is shrunk too.
        return torch.where(norms > self.reach * (1 - 2.0**-40), shrunk, rows).long()


def exact_sum(
    private: LabeledDataset, statistic: Statistic, bound: Bound, *, device: str = "cpu"
) -> Int64[Tensor, " d"]:
    """The sum over units of their bounded statistics in grid steps, exact in any order.

    Every record's statistic is bounded; where there are groups, the sum of each group's is bounded
    again, so that a group counts no more than a single record does.
    """
    by_unit: Tensor | None = None
    total: Tensor | None = None
    units = None if private.groups is None else private.groups.unique(return_inverse=True)[1]
    for at in batches(private.inputs):
        there = at >= 0
        rows = _rows(private, statistic, bound, at, device) * there[:, None]
        if units is None:
            total = rows.sum(0) if total is None else total + rows.sum(0)
        else:
            if by_unit is None:
                by_unit = rows.new_zeros(int(units.max()) + 1, rows.shape[1])
            by_unit.index_add_(0, units[at[there]], rows[there])
    if by_unit is not None:
        total = bound.shrink(by_unit).sum(0)
    assert total is not None, "a dataset has at least one record"
    return total


def batches(inputs: Float[Tensor, "n ..."]) -> Iterator[Int64[Tensor, " batch"]]:
    """Indices of the records in each batch, -1 for an empty place.

    A record's place within its batch is a hash of its content. Which batch it is in depends on
    the others, and matters to nothing.
    """
    place = content_hash(inputs, BATCH, 0, "place in a batch")
    order = torch.argsort(place, stable=True)
    sizes = torch.bincount(place, minlength=BATCH)
    starts = sizes.cumsum(0) - sizes
    for k in range(int(sizes.max())):
        taken = order[(starts + k).clamp(max=len(order) - 1)]
        yield torch.where(k < sizes, taken, -1)


def varies(
    private: LabeledDataset, statistic: Statistic, bound: Bound, *, device: str = "cpu"
) -> Bool[Tensor, ""]:
    """Whether a record's bounded statistic changes, in any bit, with the others in its batch.

    Looks at one batch, full and with every other record taken out. For tests: a statistic that
    varies has no guarantee.
    """
    at = next(iter(batches(private.inputs)))
    sparse = torch.where(torch.arange(BATCH) % 2 == 0, at, -1)
    full, alone = (_rows(private, statistic, bound, which, device) for which in (at, sparse))
    return (full != alone)[sparse >= 0].any()


def _rows(
    private: LabeledDataset,
    statistic: Statistic,
    bound: Bound,
    at: Int64[Tensor, " batch"],
    device: str,
) -> Int64[Tensor, "batch d"]:
    there = at >= 0
    chosen = at.clamp(min=0)
    inputs = private.inputs[chosen] * there.view(-1, *[1] * len(private.shape))
    labels = private.labels[chosen] * there
    return bound.cut(statistic(inputs.to(device), labels.to(device)).detach().cpu())
