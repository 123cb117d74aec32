"""Statistics of one record alone, bounded and rounded to a grid, so that sums of them are exact.

What one unit (a record, or all records of a group) changes in a sum must be its own statistic and
nothing else. Floating point breaks this in three ways, each closed here or in ``sums``:

- What a network says of a record can depend, in its last bits, on where in a batch the record
  stands and on the batch's size. So all batches have the same size, and a record's place in its
  batch is a hash of the record itself: with or without anybody else, it stands at the same place.
- A bound taken before a cast can be exceeded after it. So statistics are bounded with a margin for
  all roundings and then cut, towards zero, to whole steps of a grid: no norm grows.
- Sums of floats depend on their order. Sums of whole numbers do not.

One thing is assumed of the statistic: that a record's row of a batch does not depend on the other
rows. ``varies`` looks for a counterexample.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.hashing import content_hash

BATCH = 64
BITS = 20
"""Steps to the norm, as a power of 2, of vectors that are summed."""

Statistic = Callable[[Tensor, Tensor], Tensor]
"""Inputs (batch, ...) and labels (batch,) to rows (batch, d), each of its own record alone."""

Embedding = Callable[[Tensor], Tensor]
"""Inputs (batch, ...) to features (batch, d), each of its own record alone."""

_DOWN = 1 - 2.0**-20
"""What must not exceed a norm is cut by that much: more than all roundings on the way."""
_HUGE = 1e30  # larger numbers count as this
_LONGEST = 2**30


@dataclass(frozen=True)
class Bound:
    """The L2 norm that a statistic is cut to, and the step of the grid it is rounded to.

    Both in the statistic's own units. A step far below the norm costs nothing.
    """

    norm: float
    step: float

    @classmethod
    def of(cls, norm: float, bits: int = BITS) -> "Bound":
        """The bound with 2^bits steps to the norm."""
        return cls(norm, norm / 2**bits)

    @property
    def reach(self) -> int:
        """The largest norm of a bounded statistic, in whole steps."""
        return math.floor(self.norm / self.step)

    def cut(self, statistic: Float[Tensor, "n d"]) -> Int64[Tensor, "n d"]:
        """Each row in whole steps, of norm at most ``reach``; what is not finite becomes 0."""
        return self.steps(statistic).long()

    def steps(self, statistic: Float[Tensor, "n d"]) -> Int32[Tensor, "n d"]:
        """The rows of ``cut`` in 32 bits.

        That the norm is kept is a matter of the margin alone. A norm in float64 is right to a
        fraction d 2^-53, below 2^-23; a factor and a product in float32 to 2^-24 each; what is
        smaller than 1 becomes 0, and cutting shrinks. Together they are below the margin's 2^-20.
        """
        rows = statistic.to(torch.float32)
        assert rows.shape[1] < _LONGEST, "rows longer than the margin is for"
        norms = _norms(rows)
        if not bool((norms < _HUGE).all()):
            rows = rows.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).clamp(-_HUGE, _HUGE)
            norms = _norms(rows)
        most = self.reach * self.step * _DOWN
        factors = (most / norms.clamp(min=1 / _HUGE)).clamp(max=1) / self.step
        return (rows * factors.float()).to(torch.int32)


def _norms(rows: Float32[Tensor, "n d"]) -> Float64[Tensor, "n 1"]:
    norms: Float64[Tensor, "n 1"] = torch.linalg.vector_norm(rows.double(), dim=1, keepdim=True)
    return norms


def rows(
    private: LabeledDataset,
    statistic: Statistic,
    bound: Bound,
    shares: Float[Tensor, " n"] | None = None,
    *,
    embedded: Float[Tensor, "n p"] | None = None,
    device: str = "cpu",
) -> Iterator[tuple[Int64[Tensor, " m"], Int64[Tensor, "m d"]]]:
    """Indices of the records of each batch with their bounded statistics, in grid steps.

    shares: numbers in [0, 1], one a record, that its statistic is multiplied by.
    embedded: what the statistic is given in place of the inputs (see ``embed``).
    """
    for at in batches(private.inputs):
        found, there = _rows(private, statistic, bound, at, device, embedded), at >= 0
        own, found = at[there], found[there]
        if shares is not None:
            found = (found.double() * (shares[own, None] * _DOWN)).trunc().long()
        yield own, found


@torch.no_grad()
def embed(
    private: LabeledDataset, embedding: Embedding, *, device: str = "cpu"
) -> Float[Tensor, "n d"]:
    """The embedding of every record, at its own place of a batch: to be computed once."""
    found: Tensor | None = None
    for at in batches(private.inputs):
        there = at >= 0
        block = embedding(chosen(private.inputs, at).to(device)).cpu()
        if found is None:
            found = block.new_empty(len(private.inputs), block.shape[1])
        found[at[there]] = block[there]
    assert found is not None, "there is a batch, perhaps of empty places"
    return found


def batches(inputs: Float[Tensor, "n ..."]) -> Iterator[Int64[Tensor, " batch"]]:
    """Indices of the records in each batch, -1 for an empty place.

    A record's place within its batch is a hash of its content. Which batch it is in depends on
    the others, and matters to nothing. Without records there is one batch of empty places, which
    tells how long a statistic is.
    """
    if len(inputs) == 0:
        yield torch.full((BATCH,), -1)
        return
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


@torch.no_grad()
def _rows(
    private: LabeledDataset,
    statistic: Statistic,
    bound: Bound,
    at: Int64[Tensor, " batch"],
    device: str,
    embedded: Float[Tensor, "n p"] | None = None,
) -> Int64[Tensor, "batch d"]:
    inputs = chosen(private.inputs if embedded is None else embedded, at)
    labels = chosen(private.labels, at)
    return bound.cut(statistic(inputs.to(device), labels.to(device)).cpu())


def chosen(values: Tensor, at: Int64[Tensor, " batch"]) -> Tensor:
    """The values at these indices, and 0 for an empty place."""
    if len(values) == 0:
        return values.new_zeros(len(at), *values.shape[1:])
    there = (at >= 0).view(-1, *[1] * (values.dim() - 1))
    # Not by multiplying with 0, which leaves NaN and infinity of whoever stands in for nobody.
    return torch.where(there, values[at.clamp(min=0)], torch.zeros((), dtype=values.dtype))
