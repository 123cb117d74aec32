"""Poisson-subsampled Gaussian steps: DP-SGD and whatever works like it.

How many steps run, at which rate and with how much noise is declared before the first of them, so
that privacy loss distributions compose them. Every step takes each unit with the same chance,
computes one row a unit, cuts rows to a norm, sums them and adds noise once [Abadi et al. 2016,
arXiv:1607.00133, algorithm 1]. Cutting and summing are Opacus' own (``DPOptimizer``); what it would
draw from PyTorch's generator, which can be foreseen, comes from ``entropy`` instead.

A step can also hand the records that take part to a function of all of them (``jointly``), whose
answer is cut as a whole: a record then moves it from somewhere in a ball to somewhere else in it.

Not covered: rows, norms and sums are float32, and the noise is floating point. A norm may exceed
its bound by a part in 10^6, and the last bits of a sum depend on its order.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy import optimize
from torch import Tensor

from limbeck.coins import derive
from limbeck.errors import BudgetError, OptionError
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.blocks import cut, noised, padded
from limbeck.privacy.entropy import Coins
from limbeck.privacy.noise import discrete_gaussian
from limbeck.types import Adjacency, Event

MECHANISM = "Poisson-sampled Gaussian"
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
    count: steps. multiplier: standard deviation of the noise as a multiple of ``norm``.
    norm: the most that a unit can move a sum, in L2 norm.
    """

    rate: float
    count: int
    multiplier: float
    norm: float

    def event(self, name: str) -> Event:
        """The steps in the ledger."""
        return Event(
            name,
            MECHANISM,
            sensitivity=self.norm,
            noise_scale=self.multiplier * self.norm,
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
        steps = Steps(rate, count, exp(log_multiplier), 1.0)
        events = (*besides, steps.event(""))
        return min(epsilon_declared(events, delta, adjacency, grid=GRID), 1e6) - epsilon

    low, high = log(0.5), log(_NOISIEST)
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
    return exp(found)


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
        self.counted: int | None = None
        if counting is not None:
            units = np.array([len(self._units[-1])])
            seed = None if insecure_seed is None else derive(insecure_seed, "count")
            noisy = discrete_gaussian(units, counting.noise_scale, insecure_seed=seed)
            self.counted = int(noisy[0])
        self._optimiser = _optimiser(shapes, steps, self._coins, device)

    def step(self, rows: Rows, *, chunk: int = 64) -> list[Tensor]:
        """The noisy sum of a random part's rows, each unit's cut to the norm; one a parameter.

        rows: a function of each record alone, called with at most ``chunk`` records at a time.
        BudgetError once all steps that were declared are done.
        """
        self._begin()
        optimiser = self._optimiser
        optimiser.zero_grad()
        for at in [*torch.split(self._draw(), chunk)] or [torch.zeros(0, dtype=torch.int64)]:
            self._accumulate(rows, at)
        optimiser.add_noise()
        return [p.grad.detach().clone() for p in optimiser.params]

    def jointly(self, read: Blocks, classes: int) -> Float[Tensor, "classes ..."]:
        """Noisy blocks, one a class, of all records of a random part of the units.

        Each block is cut to half of the norm, so that a record, which is in one class, moves it by
        the norm at most, however the block depends on it. A class of whom nobody takes part gets
        a block of zeros. BudgetError as in ``step``.
        """
        self._begin()
        at = self._draw()
        found, sizes = padded(self._inputs[at], self._targets[at], classes)
        blocks = cut(
            read(found.to(self._device), sizes.to(self._device)).detach(), self.steps.norm / 2
        )
        blocks[(sizes == 0).to(blocks.device)] = 0
        return noised(blocks, self.steps.multiplier * self.steps.norm, self._coins)

    def _begin(self) -> None:
        if self.done >= self.steps.count:
            raise BudgetError(
                f"{self.steps.count} noisy steps were declared and all are done; declare more "
                "before the first"
            )
        self.done += 1

    def _accumulate(self, rows: Rows, at: Int64[Tensor, " chunk"]) -> None:
        if len(at):
            found = rows(self._inputs[at].to(self._device), self._targets[at].to(self._device))
        else:
            found = [p.new_zeros(0, *p.shape) for p in self._optimiser.params]
        for parameter, own in zip(self._optimiser.params, found, strict=True):
            assert own.shape == (len(at), *parameter.shape), "rows of another shape than declared"
            # A gradient that is not finite would make the sum so: it counts nothing instead.
            clean = torch.nan_to_num(own.detach().float(), nan=0.0, posinf=0.0, neginf=0.0)
            parameter.grad_sample = clean
        self._optimiser.clip_and_accumulate()

    def _draw(self) -> Int64[Tensor, " m"]:
        """The records of a step: each unit by its own coin, and of a group one record."""
        order, starts, sizes = self._units
        taken = np.flatnonzero(self._coins.uniform(len(sizes)) < self.steps.rate)
        within = np.floor(self._coins.uniform(len(taken)) * sizes[taken]).astype(np.int64)
        return torch.from_numpy(order[starts[taken] + within])


def _optimiser(shapes: Iterable[torch.Size], steps: Steps, coins: Coins, device: str) -> Any:
    try:
        from limbeck.privacy.clipping import Clipped
    except ImportError:
        raise OptionError(
            "noisy steps need Opacus; install it with pip install 'limbeck[private]'"
        ) from None
    blank = [torch.zeros(shape, device=device) for shape in shapes]
    return Clipped(blank, multiplier=steps.multiplier, norm=steps.norm, coins=coins)


def _units(
    records: int, groups: Int64[Tensor, " n"] | None
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " units"], Int64[np.ndarray, " units"]]:
    """Records in the order of their units, where each unit's begin, and how many they are."""
    if groups is None:
        return np.arange(records), np.arange(records), np.ones(records, dtype=np.int64)
    labels = groups.cpu().numpy()
    _, sizes = np.unique(labels, return_counts=True)
    return np.argsort(labels, kind="stable"), np.cumsum(sizes) - sizes, sizes
