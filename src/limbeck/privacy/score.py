"""Noisy counts of right predictions, and the part of the records that is set aside for them.

A unit is in one part of the private data by a hash of its own records. So one unit more or less
changes one part alone: what is made of the other part is the same, and scoring it is
post-processing. What is done to both parts costs what the costlier of the two does.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.division import coin_split
from limbeck.data.hashing import unit_hash
from limbeck.privacy import sums
from limbeck.privacy.ledger import Ledger
from limbeck.privacy.noisy_sum import NoisySum, noised
from limbeck.privacy.queries import Query
from limbeck.privacy.records import Bound
from limbeck.types import Adjacency, Guarantee, Unit

SHARE = 0.1
"""Chance of each unit to be set aside for scores."""

Logits = Callable[[Tensor], Tensor]
"""Inputs (n, ...) to scores (n, classes), of each record alone."""


def set_aside(private: LabeledDataset, unit: Unit) -> tuple[LabeledDataset, LabeledDataset | None]:
    """The units to make releases of, and those to score them by; None where there are none.

    No release depends on whether any are left to make it of: then it is made of noise alone.
    """
    groups = private.groups if unit == "group" else None
    making, scoring = coin_split(unit_hash(private.inputs, groups, "score"), SHARE, 0)
    return private.select(making), private.select(scoring) if len(scoring) else None


class NoisyScore:
    """Private records that answer, for one classifier at a time, on how many it is right.

    records: None: there are none, and answers are noise alone.
    Each answer costs (epsilon, delta) by itself: who asks adds them up.
    """

    def __init__(
        self,
        records: LabeledDataset | None,
        *,
        epsilon: float,
        delta: float,
        adjacency: Adjacency,
        unit: Unit,
    ) -> None:
        self._records = records
        self._claim = {"epsilon": epsilon, "delta": delta, "adjacency": adjacency, "unit": unit}
        self._unit = unit

    def margin(self, logits: Logits) -> float:
        """Right less wrong predictions with noise: in the order of the numbers of right ones.

        The number of records is the same for all classifiers; and a record moves the difference
        by 1, as it would the number of right ones, of which two make as much difference.
        """

        def signs(inputs: Tensor, labels: Tensor) -> Float[Tensor, "n 1"]:
            return 2 * _right(logits, inputs, labels)[:, None] - 1

        return float(self._asked("right less wrong predictions", signs, 1)[0].values[0])

    def counts(self, logits: Logits) -> tuple[NoisySum, Guarantee]:
        """How many predictions are right and how many wrong, with noise, and what that costs.

        A unit is in one of the two: all records of a group count as one. So the number of units is
        noisy too.
        """

        def sides(inputs: Tensor, labels: Tensor) -> Float[Tensor, "n 2"]:
            right = _right(logits, inputs, labels)
            return torch.stack([right, 1 - right], dim=1)

        return self._asked("right and wrong predictions", sides, 2)

    def _asked(
        self, name: str, statistic: Callable[[Tensor, Tensor], Tensor], width: int
    ) -> tuple[NoisySum, Guarantee]:
        bound = Bound.of(1.0)
        ledger = Ledger(**self._claim)  # type: ignore[arg-type]
        scale = ledger.query(Query(name, 1.0, reach=bound.reach))
        total: Int64[Tensor, " width"] = torch.zeros(width, dtype=torch.int64)
        if self._records is not None:
            total = sums.vectors(self._records, statistic, bound, unit=self._unit)
        noisy = noised(total, scale, None).double() * bound.step
        guarantee = ledger.guarantee
        assert guarantee is not None, "there is an epsilon"
        return NoisySum(noisy, scale * bound.step), guarantee


def _right(logits: Logits, inputs: Tensor, labels: Tensor) -> Float[Tensor, " n"]:
    return (logits(inputs).argmax(1).cpu() == labels.cpu()).float()
