"""Clean sums of many subsets of the same records at once, for the shadow runs of audits.

Shadow runs are never released, and their noise follows from their seeds. So what they have in
common may be computed once: every record's statistic, where it depends on no earlier answer, and
the sums of all runs as products of the membership matrix with it. Each run draws its own noise.
The sums are those that ``sums`` finds for each subset alone, bit for bit: a record's row depends
on nobody else, and sums of whole numbers on no order.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.privacy.records import Bound, Embedding, Statistic, embed, rows
from limbeck.privacy.sums import PRODUCT_BITS

_MOST = 2**46  # of a row's entries: sums over a batch then stay below 2^53


class Shared:
    """All records, and the subsets (rows of ``membership``) that answers are wanted for.

    An answer is kept under the name of its event: under one name all runs ask for the same sum.
    """

    def __init__(self, private: LabeledDataset, membership: Bool[Tensor, "runs records"]) -> None:
        self._private, self._membership = private, membership.cpu()
        self._sums: dict[str, Tensor] = {}
        self._table: tuple[Embedding, Tensor] | None = None

    def embedded(self, run: int, embedding: Embedding, device: str) -> Float[Tensor, "members p"]:
        """The embedding of one run's records; of the last embedding all rows are kept."""
        if self._table is None or self._table[0] is not embedding:
            self._table = embedding, embed(self._private, embedding, device=device)
        return self._table[1][self._membership[run]]

    def vectors(
        self,
        name: str,
        run: int,
        statistic: Statistic,
        bound: Bound,
        *,
        by_class: bool,
        after: Embedding | None,
        device: str,
    ) -> Int64[Tensor, "*classes d"]:
        """One run's sum, as ``sums.vectors`` of its records has it."""
        assert bound.reach <= _MOST, "a finer grid than sums of batches are exact on"

        def total() -> Tensor:
            classes = len(self._private.classes) if by_class else 1
            found: Tensor | None = None
            for at, own in self._rows(statistic, bound, after, device):
                if found is None:
                    shape = len(self._membership), classes, own.shape[1]
                    found = torch.zeros(shape, dtype=torch.int64)
                taken = self._membership[:, at].double()
                for label, chosen in self._classes(at, by_class):
                    found[:, label] += (taken[:, chosen] @ own[chosen].double()).long()
            assert found is not None, "a dataset has at least one record"
            return found

        mine = self._kept(name, total)[run]
        return mine if by_class else mine[0]

    def products(
        self,
        name: str,
        run: int,
        statistic: Statistic,
        bound: Bound,
        *,
        by_class: bool,
        after: Embedding | None,
        device: str,
    ) -> Int64[Tensor, "*classes d d"]:
        """One run's sum of z z', as ``sums.products`` of its records has it.

        Records that are in every run, most of an audit's, are multiplied once for all of them.
        """
        assert bound.reach <= 2**PRODUCT_BITS, "products of longer vectors are not exact"

        def total() -> Tensor:
            always = self._membership.all(0)
            classes = len(self._private.classes) if by_class else 1
            common: Tensor | None = None
            varying: list[tuple[Tensor, Tensor]] = []
            for at, own in self._rows(statistic, bound, after, device):
                if common is None:
                    shape = classes, own.shape[1], own.shape[1]
                    common = torch.zeros(shape, dtype=torch.int64)
                for label, chosen in self._classes(at, by_class):
                    common[label] += _product(own[chosen & always[at]])
                varying.append((at[~always[at]], own[~always[at]]))
            assert common is not None, "a dataset has at least one record"
            found = common.repeat(len(self._membership), 1, 1, 1)
            at, own = (torch.cat(parts) for parts in zip(*varying, strict=True))
            for label, chosen in self._classes(at, by_class):
                for taken, sums in zip(self._membership[:, at], found, strict=True):
                    sums[label] += _product(own[chosen & taken])
            return found

        mine = self._kept(name, total)[run]
        return mine if by_class else mine[0]

    def _kept(self, name: str, total: Callable[[], Tensor]) -> Tensor:
        if name not in self._sums:
            self._sums[name] = total()
        return self._sums[name]

    def _rows(
        self, statistic: Statistic, bound: Bound, after: Embedding | None, device: str
    ) -> Iterator[tuple[Tensor, Tensor]]:
        table = None
        if after is not None:
            self.embedded(0, after, device)
            assert self._table is not None
            table = self._table[1]
        return rows(self._private, statistic, bound, embedded=table, device=device)

    def _classes(
        self, at: Int64[Tensor, " m"], by_class: bool
    ) -> Iterator[tuple[int, Bool[Tensor, " m"]]]:
        """Which of these records belong to each sum."""
        labels = self._private.labels[at]
        if not by_class:
            yield 0, torch.ones(len(at), dtype=torch.bool)
            return
        for label in labels.unique().tolist():
            yield label, labels == label


def _product(rows: Int64[Tensor, "n d"]) -> Int64[Tensor, "d d"]:
    """The sum of z z', exactly: in blocks whose sums stay below 2^53."""
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.int64)
    for block in rows.double().split(4096):
        total += (block.mT @ block).long()
    return total
