"""Sums of per-record statistics: the one way sum-based synthesizers see private data.

A pool of (network, transform) pairs is drawn from public coins. Each record's statistic is its
embedding under the pairs it is assigned to, placed in its class; what leaves this module is the
sum over each subset's records. Which pairs a record enters is a hash of the record itself, so a
record's statistic never depends on who else is in the data or in which order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.hashing import content_hash
from limbeck.nn import augment, networks

_BLOCK = 64  # records embedded at once: first-layer maps of this many stay in a CPU's cache

Pair = tuple[networks.Network, augment.Transform]


@dataclass(frozen=True)
class Pool:
    """``size`` (network, transform) pairs drawn from public coins, shared by all runs.

    shape, classes and mirror are the public form of the data.
    """

    network: str
    width: int | None
    size: int
    augmented: bool
    public_coins: int
    shape: tuple[int, ...]
    classes: int
    mirror: bool

    def pair(self, k: int, device: str) -> Pair:
        """Pair ``k``: always the same network and the same transform with one parameter set."""
        seed = coins.derive(self.public_coins, "pool", k)
        network = networks.make(
            self.network, self.shape, self.classes, width=self.width, seed=seed
        ).to(device)
        network.requires_grad_(False)
        generator = coins.generator(seed, "transform")
        if not self.augmented:
            return network, augment.identity()
        return network, augment.draw(generator, self.shape, mirror=self.mirror)


def assign(
    inputs: Float[Tensor, "n ..."], pool_size: int, per_record: int, public_coins: int
) -> Int64[Tensor, "n pairs"]:
    """The pairs that each record enters: ``per_record`` of them, by a hash of its content."""
    first = content_hash(inputs, pool_size, public_coins, "assignment")
    return (first[:, None] + torch.arange(per_record)) % pool_size


@dataclass(frozen=True)
class Sums:
    """Sums over the records of one pair's statistics, for each run.

    first: features by class. counts: records by class. second: products of (other) features over
    all classes, where they were asked for.
    """

    first: Float[Tensor, "runs classes d"]
    counts: Float[Tensor, "runs classes"]
    second: Float[Tensor, "runs p p"] | None = None

    @property
    def means(self) -> Float[Tensor, "runs classes d"]:
        """Means by class; zero where a class has no record."""
        return self.first / self.counts.clamp(min=1)[..., None]

    @property
    def seen(self) -> Bool[Tensor, "runs classes"]:
        """Whether any record of the class was summed."""
        return self.counts > 0


Features = Callable[[Float[Tensor, "n d"], int], Float[Tensor, "n p"]]
"""Features of embeddings under pair k: a function of each record's embedding alone."""


@torch.no_grad()
def sums(
    data: LabeledDataset,
    membership: Bool[Tensor, "runs n"],
    pool: Pool,
    per_record: int,
    *,
    first: Features | None = None,
    second: Features | None = None,
    device: str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> dict[str, Tensor]:
    """Sums over each run's records by pair: "first", "counts" and, if asked, "second".

    The names and shapes are those of ``Sums`` with an axis of pairs after the runs. first, second:
    features whose sums and products are wanted; None: the embeddings themselves, and no products.

    Each record is embedded once per pair it enters, however many runs there are; the sums of all
    runs follow as products of the membership matrix with the features.
    """
    runs, classes = len(membership), len(data.classes)
    assigned = assign(data.inputs, pool.size, per_record, pool.public_coins)
    weights = membership.to(device, torch.float32)
    found: dict[str, list[Tensor]] = {"first": [], "counts": []}
    for k in range(pool.size):
        network, transform = pool.pair(k, device)
        entered = (assigned == k).any(1).nonzero()[:, 0]
        products, count = _Products(), torch.zeros(runs, classes, device=device)
        # A blank record in no run: it tells the sizes where no record enters this pair.
        blank = network.embed(torch.zeros(1, *data.shape, device=device))
        width = (blank if first is None else first(blank, k)).shape[1]
        total = torch.zeros(runs, classes, width, device=device)
        if second is not None:
            products.add(second(blank, k), torch.zeros(runs, 1, device=device))
        for label, chosen in _by_class(entered, data.labels, classes):
            for block in chosen.split(_BLOCK):
                embedded = network.embed(transform(data.inputs[block].to(device)))
                features = embedded if first is None else first(embedded, k)
                rows = weights[:, block.to(device)]
                total[:, label] += rows @ features
                count[:, label] += rows.sum(1)
                if second is not None:
                    products.add(second(embedded, k), rows)
        found["first"].append(total.cpu())
        found["counts"].append(count.cpu())
        if second is not None:
            found.setdefault("second", []).append(products.total().cpu())
        if progress is not None:
            progress((k + 1) / pool.size)
    return {name: torch.stack(values, 1) for name, values in found.items()}


class _Products:
    """Sums of feature products over each run's records, gathered block by block.

    Records that are in every run, most of an audit's, are multiplied once for all of them.
    """

    def __init__(self) -> None:
        self._features: list[Tensor] = []
        self._rows: list[Tensor] = []

    def add(self, features: Float[Tensor, "n p"], rows: Float[Tensor, "runs n"]) -> None:
        self._features.append(features)
        self._rows.append(rows)

    def total(self) -> Float[Tensor, "runs p p"]:
        features, rows = torch.cat(self._features), torch.cat(self._rows, 1)
        shared = rows.bool().all(0)
        common = features[shared].mT @ features[shared]
        varying, rows = features[~shared], rows[:, ~shared]
        return torch.stack([common + (varying * row[:, None]).mT @ varying for row in rows])


def _by_class(
    index: Int64[Tensor, " m"], labels: Int64[Tensor, " n"], classes: int
) -> Iterator[tuple[int, Int64[Tensor, " k"]]]:
    own = labels[index]
    for label in range(classes):
        chosen = index[own == label]
        if len(chosen):
            yield label, chosen


def enough_pairs(records: int, classes: int, pool_size: int, per_class: int = 64) -> int:
    """Pairs per record that give each pair about ``per_class`` records of each class."""
    wanted = per_class * classes * pool_size / records
    return int(min(pool_size, max(1, round(wanted))))
