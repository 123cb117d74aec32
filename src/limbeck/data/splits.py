"""Stratified splits and slices: which records go where, decided by a seed and all labels together.

A person's records (equal ``groups``) are never separated by a split: an attacker's test set that
holds the same person as the private set would measure something else.

One record more makes another choice of all, so these are for public data; ``division`` is for what
a guarantee may be about.
"""

import torch
from jaxtyping import Int64
from torch import Tensor

from limbeck.coins import generator
from limbeck.errors import OptionError


def stratified_split(
    labels: Int64[Tensor, " n"],
    share: float,
    seed: int,
    groups: Int64[Tensor, " n"] | None = None,
) -> tuple[Int64[Tensor, " private"], Int64[Tensor, " test"]]:
    """Indices of (private, test) in ascending order; ``share`` of each class is for testing.

    Shares are of units: records, or groups, which count for the class of their first record.
    Every class keeps at least one unit on the private side. OptionError unless 0 < share < 1.
    """
    require_share(share)
    n = len(labels)
    if groups is None:
        unit, unit_labels = torch.arange(n), labels
    else:
        _, unit = torch.unique(groups, return_inverse=True)
        first = torch.full((int(unit.max()) + 1,), n).scatter_reduce(
            0, unit, torch.arange(n), "amin"
        )
        unit_labels = labels[first]
    counts = torch.bincount(unit_labels)
    quota = torch.minimum(_apportion(round(share * len(unit_labels)), counts), counts - 1)
    for_testing = _pick(unit_labels, quota.clamp(min=0), seed, "split")[unit]
    return (~for_testing).nonzero()[:, 0], for_testing.nonzero()[:, 0]


def require_share(share: float) -> None:
    """OptionError unless 0 < share < 1."""
    if not 0 < share < 1:
        raise OptionError(f"test_share is {share}; give a fraction between 0 and 1, such as 0.2")


def stratified_sample(
    labels: Int64[Tensor, " n"], size: int, seed: int
) -> Int64[Tensor, " chosen"]:
    """Indices, in ascending order, of ``size`` random records with the classes' own proportions.

    Every class that has a record keeps one. All records when ``size`` is at least their number.
    OptionError when ``size`` is below the number of classes.
    """
    if size >= len(labels):
        return torch.arange(len(labels))
    counts = torch.bincount(labels)
    present = (counts > 0).long()
    if size < int(present.sum()):
        raise OptionError(
            f"limit is {size}, but the data ({len(labels)} records) have {int(present.sum())} "
            "classes; raise the limit to at least one record per class"
        )
    quota = present + _apportion(size - int(present.sum()), counts - present)
    return _pick(labels, quota, seed, "limit").nonzero()[:, 0]


def sample_per_class(
    labels: Int64[Tensor, " n"], quota: Int64[Tensor, " k"], seed: int
) -> Int64[Tensor, " chosen"]:
    """Indices, in ascending order, of ``quota[c]`` random records of each class c.

    OptionError when a class has fewer.
    """
    counts = torch.bincount(labels, minlength=len(quota))
    short = (counts < quota).nonzero()[:, 0]
    if len(short):
        label = int(short[0])
        raise OptionError(
            f"class {label} has {int(counts[label])} of the {len(labels)} records, fewer than the "
            f"{int(quota[label])} asked for; give more records"
        )
    return _pick(labels, quota, seed, "sample").nonzero()[:, 0]


def _apportion(total: int, weights: Int64[Tensor, " k"]) -> Int64[Tensor, " k"]:
    """Whole numbers that sum to ``total``, proportional to ``weights`` by largest remainder."""
    if total == 0:
        return torch.zeros_like(weights)
    exact = weights.double() * total / weights.sum()
    whole = exact.floor().long()
    missing = total - int(whole.sum())
    # Stable, so that equal remainders go to the first classes on every machine.
    order = torch.argsort(exact - whole, descending=True, stable=True)
    whole[order[:missing]] += 1
    return whole


def _pick(
    labels: Int64[Tensor, " n"], quota: Int64[Tensor, " k"], seed: int, purpose: str
) -> Tensor:
    """A bool mask (n,) of ``quota[c]`` random members of each class c."""
    shuffled = torch.randperm(len(labels), generator=generator(seed, purpose))
    by_class = shuffled[torch.argsort(labels[shuffled], stable=True)]
    starts = torch.bincount(labels, minlength=len(quota)).cumsum(0).roll(1)
    starts[0] = 0
    rank = torch.arange(len(labels)) - starts[labels[by_class]]
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[by_class] = rank < quota[labels[by_class]]
    return mask
