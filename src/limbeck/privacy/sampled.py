"""Poisson-subsampled Gaussian steps: DP-SGD and methods like it.

How many steps run, at which rate and with how much noise is declared before the first of them, so
that privacy loss distributions compose them. Every step includes each unit with the same
probability, computes one row a unit, clips it, sums rows and adds noise once [Abadi et al. 2016,
arXiv:1607.00133, algorithm 1].

Rows are cut to the integer grid, summed exactly, and get discrete noise before they become floats
again (see ``records`` and ``noise``), so that a record's row is all that it changes. The last bits
of what a network computes of a record can depend on the size of its batch: all batches have the
same size. Where they depend on its place too, which is looked for on random numbers before the
first step, the place is a hash of the record.

A step can also hand the records that take part to a function of each class's records (``jointly``),
whose answer is cut as a whole: a record then moves it from somewhere in a ball to somewhere else in
it.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy import optimize
from torch import Tensor

from limbeck.coins import derive
from limbeck.data.hashing import content_hash
from limbeck.errors import BudgetError, OptionError
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.blocks import Noise, cut, padded
from limbeck.privacy.entropy import Coins
from limbeck.privacy.noise import discrete_gaussian, discrete_scale
from limbeck.privacy.records import Bound, chosen
from limbeck.types import Adjacency, Event

MECHANISM = "Poisson-sampled discrete Gaussian"
GRID = 1e-3  # of privacy losses; finer ones change the fifth digit of epsilon (measured)
_NOISIEST = 1e4
_CLOSE = 5e-4  # of the logarithm of a noise multiplier

Rows = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""Inputs (n, ...) and targets (n, ...) to each record's gradients: (n, *shape) a parameter."""

Blocks = Callable[[Tensor, Tensor], Tensor]
"""Records (classes, m, ...) and how many of the m each class has (classes,) to (classes, ...).

The block of a class is a function of its own records alone; places beyond their number hold zeros.
"""


@dataclass(frozen=True)
class Steps:
    """What is declared before the first step.

    rate: chance of each unit to take part in a step, a public number.
    count: steps. multiplier: standard deviation of continuous noise as a multiple of ``norm``.
    norm: the most that a unit can move a sum, in L2 norm.
    """

    rate: float
    count: int
    multiplier: float
    norm: float

    @property
    def scale(self) -> float:
        """The scale of the discrete noise, in grid steps; 0: none."""
        if self.multiplier == 0:
            return 0.0
        return discrete_scale(self.multiplier * Bound.of(self.norm).reach)

    def event(self, name: str) -> Event:
        """The steps in the ledger, in grid steps."""
        return Event(
            name,
            MECHANISM,
            sensitivity=float(Bound.of(self.norm).reach),
            noise_scale=self.scale,
            count=self.count,
            rate=self.rate,
        )


@lru_cache
def multiplier_for(
    epsilon: float,
    delta: float,
    adjacency: Adjacency,
    *,
    rate: float,
    count: int,
    besides: tuple[Event, ...] = (),
) -> float:
    """The least noise multiplier with which the steps and ``besides`` cost at most ``epsilon``.

    Within a part in a thousand, and never less noise than is needed. OptionError where no noise is
    enough.
    """

    def excess(log_multiplier: float) -> float:
        steps = Steps(rate, count, math.exp(log_multiplier), 1.0)
        events = (*besides, steps.event(""))
        return min(epsilon_declared(events, delta, adjacency, grid=GRID), 1e6) - epsilon

    low, high = math.log(0.5), math.log(_NOISIEST)
    if excess(high) > 0:
        raise OptionError(
            f"no noise gives epsilon {epsilon:g} at delta {delta:g} with {count} steps at rate "
            f"{rate:g}; ask for a larger epsilon, or fewer steps"
        )
    while excess(low) <= 0:
        low -= 1.0
    found = float(optimize.bisect(excess, low, high, xtol=_CLOSE))
    while excess(found) > 0:
        found += _CLOSE
    return math.exp(found)


class Sampler:
    """Private records that answer noisy sums of gradients, as many as were declared.

    inputs (n, ...), targets (n, ...): the records. groups: (n,), equal for one unit's records;
        None: each record is a unit.
    shapes: of the gradients, one a parameter.
    counting: the event of the noisy count of units, ``counted``; None: they are not counted.
    insecure_seed: for tests and the shadow runs of audits: coins and noise that can be repeated.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        steps: Steps,
        shapes: Iterable[torch.Size],
        *,
        groups: Int64[Tensor, " n"] | None = None,
        counting: Event | None = None,
        device: str = "cpu",
        insecure_seed: int | None = None,
    ) -> None:
        self.steps, self.done = steps, 0
        self._inputs, self._targets, self._device = inputs, targets, device
        self._coins = Coins(insecure_seed)
        self._units = _units(len(inputs), groups)
        self._places: dict[int, Tensor] = {}
        self._hashed: bool | None = None
        self.counted: int | None = None
        if counting is not None:
            units = np.array([len(self._units[-1])])
            seed = None if insecure_seed is None else derive(insecure_seed, "count")
            noisy = discrete_gaussian(units, counting.noise_scale, insecure_seed=seed)
            self.counted = int(noisy[0])
        self._shapes = [torch.Size(shape) for shape in shapes]
        self._bound = Bound.of(steps.norm)
        self._noise = Noise(steps.scale, insecure_seed)

    def step(self, rows: Rows, *, chunk: int = 64) -> list[Tensor]:
        """The noisy sum of a random sample's rows, each unit's cut to the norm; one a parameter.

        rows: a function of each record alone, called with ``chunk`` records at a time; in places
        without a record there are zeros. chunk: a public number.
        BudgetError once all steps that were declared are done.
        """
        self._begin()
        if self._hashed is None:
            self._hashed = self._varies(rows, chunk)
        total = torch.zeros(sum(map(math.prod, self._shapes)), dtype=torch.int64)
        for at in self._batches(self._draw(), chunk):
            total += self._sum(rows, at)
        noisy = self._noise.added(total, self._bound).to(self._device)
        parts = noisy.split([math.prod(shape) for shape in self._shapes])
        return [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def jointly(self, read: Blocks, classes: int) -> Float[Tensor, "classes ..."]:
        """Noisy blocks, one a class, of all records of a random sample of the units.

        Each block is cut to half of the norm, so that a record, which is in one class, moves it by
        the norm at most, however the block depends on it. A class without a sampled record gets
        a block of zeros. BudgetError as in ``step``.

        ``read`` is called once for each size to which a class's records are padded, a power of 4:
        so the shape of what it is given, and with it the last bits of a class's block, do not
        depend on the number of records of other classes.
        """
        self._begin()
        at = self._draw()
        found, sizes = padded(self._inputs[at], self._targets[at], classes)
        bound = Bound(self.steps.norm / 2, self._bound.step)  # on the grid of the noise
        room = torch.tensor([_room(size) for size in sizes.tolist()])
        total: Tensor | None = None
        for size in room.unique().tolist():
            own = room == size
            given = found.new_zeros(classes, size, *found.shape[2:])
            there = found[own][:, :size]
            given[own, : there.shape[1]] = there
            counts = sizes * own
            answer = read(given.to(self._device), counts.to(self._device)).detach().cpu()
            blocks = cut(answer, bound)
            blocks[~own | (sizes == 0)] = 0
            total = blocks if total is None else total + blocks
        assert total is not None, "there is a class"
        return self._noise.added(total, bound).to(self._device)

    def _begin(self) -> None:
        if self.done >= self.steps.count:
            raise BudgetError(
                f"{self.steps.count} noisy steps were declared and all are done; declare more "
                "before the first"
            )
        self.done += 1

    def _batches(self, drawn: Int64[Tensor, " m"], size: int) -> Iterator[Int64[Tensor, " size"]]:
        """Indices of the sampled records in each batch, -1 for an empty place."""
        if not self._hashed:
            for at in drawn.split(size):
                yield torch.cat([at, at.new_full((size - len(at),), -1)])
            return
        if size not in self._places:
            self._places[size] = content_hash(self._inputs, size, 0, "place in a batch")
        places = self._places[size][drawn]
        order = drawn[torch.argsort(places, stable=True)]
        sizes = torch.bincount(places, minlength=size)
        starts = sizes.cumsum(0) - sizes
        for k in range(int(sizes.max())):
            taken = order[(starts + k).clamp(max=len(order) - 1)]
            yield torch.where(k < sizes, taken, -1)

    def _varies(self, rows: Rows, size: int) -> bool:
        """Whether a row changes, in any bit, with its place in a batch of random numbers."""
        generator = torch.Generator().manual_seed(0)
        inputs = torch.rand(size, *self._inputs.shape[1:], generator=generator)
        targets = torch.zeros(size, *self._targets.shape[1:]).to(self._targets.dtype)
        own = [v.to(self._device) for v in (inputs.to(self._inputs.dtype), targets)]
        shuffled = torch.randperm(size, generator=generator).to(self._device)
        before, after = rows(*own), rows(*(v[shuffled] for v in own))
        return any(not torch.equal(b[shuffled], a) for b, a in zip(before, after, strict=True))

    def _sum(self, rows: Rows, at: Int64[Tensor, " size"]) -> Int64[Tensor, " d"]:
        """The sum of a batch's rows, all parameters side by side, in grid steps: exact."""
        own = [chosen(v, at).to(self._device) for v in (self._inputs, self._targets)]
        found = [row.detach() for row in rows(*own)]
        shapes = [row.shape[1:] for row in found]
        assert shapes == self._shapes, "rows of another shape than declared"
        steps = self._bound.steps(torch.cat([row.flatten(1) for row in found], 1).cpu())
        there = at >= 0
        kind = torch.int32 if len(at) * self._bound.reach < 2**31 else torch.int64
        return (steps if there.all() else steps[there]).sum(0, dtype=kind).long()

    def _draw(self) -> Int64[Tensor, " m"]:
        """The records of a step: each unit by its own coin, and of a group one record."""
        order, starts, sizes = self._units
        taken = np.flatnonzero(self._coins.uniform(len(sizes)) < self.steps.rate)
        within = np.floor(self._coins.uniform(len(taken)) * sizes[taken]).astype(np.int64)
        return torch.from_numpy(order[starts[taken] + within])


def _room(records: int) -> int:
    """The least power of 4 that is no less."""
    room = 1
    while room < records:
        room *= 4
    return room


def _units(
    records: int, groups: Int64[Tensor, " n"] | None
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " units"], Int64[np.ndarray, " units"]]:
    """Records in the order of their units, where each unit's begin, and how many they are."""
    if groups is None:
        return np.arange(records), np.arange(records), np.ones(records, dtype=np.int64)
    labels = groups.cpu().numpy()
    _, sizes = np.unique(labels, return_counts=True)
    return np.argsort(labels, kind="stable"), np.cumsum(sizes) - sizes, sizes
