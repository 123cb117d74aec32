"""Exact sums over records of bounded statistics in whole grid steps, whatever the order.

The unit is a group where the data has groups, unless records are asked for. A group's records
share one bound: each record's vector counts 1/g, and each product of vectors too, with g the number
of the group's own records. So a group adds at most what a single record can, and what it adds
depends on nobody else.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.privacy.records import Bound, Statistic, rows
from limbeck.types import Unit

PRODUCT_BITS = 18
"""Steps to the norm, as a power of 2, of vectors whose products are summed.

Products of whole numbers up to 2^18 stay below 2^53 in sums over a block of records, so that
float64 holds every partial sum exactly, in any order. Blocks are added up in int64.
"""
_BLOCK = 4096


def vectors(
    private: LabeledDataset,
    statistic: Statistic,
    bound: Bound,
    *,
    unit: Unit | None = None,
    by_class: bool = False,
    embedded: Float[Tensor, "n p"] | None = None,
    device: str = "cpu",
) -> Int64[Tensor, "*classes d"]:
    """The sum of the units' statistics: (d,), or (classes, d) with each record in its class.

    embedded: what the statistic is given in place of the inputs (see ``records.embed``).
    """
    classes = len(private.classes) if by_class else 1
    total: Tensor | None = None
    each = rows(private, statistic, bound, shares(private, unit), embedded=embedded, device=device)
    for at, found in each:
        if total is None:
            total = found.new_zeros(classes, found.shape[1])
        if by_class:
            total.index_add_(0, private.labels[at], found)
        else:
            total += found.sum(0)
    assert total is not None, "there is a batch, perhaps of empty places"
    return total if by_class else total[0]


def products(
    private: LabeledDataset,
    statistic: Statistic,
    bound: Bound,
    *,
    unit: Unit | None = None,
    by_class: bool = False,
    embedded: Float[Tensor, "n p"] | None = None,
    device: str = "cpu",
) -> Int64[Tensor, "*classes d d"]:
    """The sum over records of z z', with z the bounded statistic: symmetric, one a class if asked.

    A unit adds a matrix of Frobenius norm at most ``bound.reach``^2.
    """
    assert bound.reach <= 2**PRODUCT_BITS, "products of longer vectors are not exact"
    weights = shares(private, unit)
    weights = None if weights is None else weights.sqrt()
    total: Tensor | None = None
    block: list[tuple[Tensor, Tensor]] = []
    each = rows(private, statistic, bound, weights, embedded=embedded, device=device)
    for at, found in each:
        block.append((private.labels[at], found))
        if sum(len(labels) for labels, _ in block) >= _BLOCK:
            total = _added(total, block, len(private.classes) if by_class else 1, device)
            block = []
    if block:
        total = _added(total, block, len(private.classes) if by_class else 1, device)
    assert total is not None, "there is a batch, perhaps of empty places"
    return total if by_class else total[0]


def _added(
    total: Tensor | None, block: list[tuple[Tensor, Tensor]], classes: int, device: str
) -> Int64[Tensor, "classes d d"]:
    labels = torch.cat([own for own, _ in block])
    z = torch.cat([found for _, found in block]).to(device, torch.float64)
    chosen = [labels == k for k in range(classes)] if classes > 1 else [labels >= 0]
    sums: Tensor = torch.stack([(z[own].mT @ z[own]).long().cpu() for own in chosen])
    if total is not None:
        sums += total
    return sums


def shares(private: LabeledDataset, unit: Unit | None) -> Float[Tensor, " n"] | None:
    """1 over the size of each record's group; None where every record stands alone."""
    if unit == "record" or private.groups is None:
        return None
    _, position, sizes = private.groups.unique(return_inverse=True, return_counts=True)
    each: Tensor = 1 / sizes[position].double()
    return each
