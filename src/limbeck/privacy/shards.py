"""Disjoint parts of the private records that answer noisy sums of one bounded answer a part.

Each part, a shard, may be read as freely and as often as wanted, and things learnt from it may be
kept, as long as they stay with the shard: what leaves is one answer a shard and step, cut to a
norm, in a sum over shards that gets noise once. So a record moves one answer, from somewhere in a
ball to somewhere else in it: by twice the radius at most. Answers are cut to the integer grid,
summed exactly, and get discrete noise before they become floats again.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.hashing import unit_hash
from limbeck.errors import BudgetError
from limbeck.privacy.blocks import Noise, cut, padded
from limbeck.privacy.noise import discrete_scale
from limbeck.privacy.records import Bound
from limbeck.types import Adjacency, Event, Unit

MECHANISM = "discrete Gaussian"
_UP = 1 + 1e-9  # more noise than all roundings of the budget's sums ask for

Ask = Callable[[Tensor, Tensor], Tensor]
"""Records (shards, m, ...) and how many of the m each shard has (shards,) to (shards, ...) answers.

A shard's answer is a function of its own records alone, of what was kept of them, and of what is
public. Places beyond a shard's size hold zeros.
"""


@dataclass(frozen=True)
class Turns:
    """What is declared before the first step.

    shards: of each class. norm: that each shard's answer is cut to. count: of noisy sums.
    sensitivity: the most that neighbouring datasets differ in a sum, in L2 norm, in grid steps.
    multiplier: standard deviation of continuous noise as a multiple of ``sensitivity``.
    """

    shards: int
    norm: float
    count: int
    sensitivity: float
    multiplier: float

    @property
    def bound(self) -> Bound:
        """The grid that answers are cut to."""
        return Bound.of(self.norm)

    @property
    def scale(self) -> float:
        """The scale of the discrete noise, in grid steps; 0: none."""
        return discrete_scale(self.multiplier * self.sensitivity) if self.multiplier else 0.0

    def event(self, name: str) -> Event:
        """The steps in the ledger, in grid steps."""
        return Event(name, MECHANISM, self.sensitivity, self.scale, count=self.count)


def declare(
    *,
    shards: int,
    norm: float,
    count: int,
    mu: float,
    classes: int,
    adjacency: Adjacency,
    unit: Unit,
) -> Turns:
    """Turns that cost mu-GDP in all: Gaussian releases compose as sums of 1 / multiplier^2.

    A record is in one shard, whose answer it moves by twice the norm. Another in its place may be
    in another shard, of the same sum: twice that. A group has one shard in each class, and moves
    as many sums.
    """
    moved = 2.0 * Bound.of(norm).reach * (1 if adjacency == "add-remove" else 2)
    if unit == "group":
        moved *= math.sqrt(classes)
    return Turns(shards, norm, count, moved, math.sqrt(count) / mu * _UP)


class Shards:
    """Private records in shards that answer noisy sums, as many as were declared.

    A record's shard follows from its class and a hash of its content (where groups are protected,
    from the sum of the hashes of its group's records), and so from nobody else.

    insecure_seed: for tests and the shadow runs of audits: noise that can be repeated.
    """

    def __init__(
        self,
        private: LabeledDataset,
        turns: Turns,
        *,
        unit: Unit,
        device: str = "cpu",
        insecure_seed: int | None = None,
    ) -> None:
        self.turns, self.done = turns, 0
        self._classes = len(private.classes)
        self._noise = Noise(turns.scale, insecure_seed)
        place = private.labels * turns.shards + _hashes(private, turns.shards, unit)
        inputs, sizes = padded(private.inputs, place, self._classes * turns.shards)
        self._inputs, self._sizes = inputs.to(device), sizes.to(device)

    def step(self, ask: Ask) -> Float[Tensor, "classes ..."]:
        """For each class the sum of its shards' answers, each cut to the norm, with noise.

        A shard without records answers 0. BudgetError once all that was declared is done.
        """
        turns = self.turns
        if self.done >= turns.count:
            raise BudgetError(
                f"{turns.count} noisy steps were declared and all are done; declare more before "
                "the first"
            )
        self.done += 1
        answers = ask(self._inputs, self._sizes).detach()
        assert len(answers) == len(self._sizes), "one answer a shard"
        bounded = cut(answers.cpu(), turns.bound)
        bounded[self._sizes.cpu() == 0] = 0
        total = bounded.unflatten(0, (self._classes, turns.shards)).sum(1)
        return self._noise.added(total, turns.bound).to(answers.device)


def _hashes(private: LabeledDataset, shards: int, unit: Unit) -> Int64[Tensor, " n"]:
    groups = private.groups if unit == "group" else None
    return unit_hash(private.inputs, groups, "shard") % shards
