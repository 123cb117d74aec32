"""The ledger of a privacy budget: what is spent, on which events, and what they come to.

Gaussian releases may be chosen after looking at earlier ones: with the whole privacy stated as
mu-GDP, a filter that stops before the sum of the squares of their mu exceeds mu^2 keeps mu-GDP
under full adaptivity [Smith and Thakurta 2022, arXiv:2210.17520]. Sampled steps have no mu: they
are declared beforehand, and alone. Nothing here sees a record.
"""

import math
from dataclasses import replace

from limbeck.errors import BudgetError, OptionError
from limbeck.privacy.accountant import epsilon_declared, multiplier
from limbeck.privacy.digits import up
from limbeck.privacy.gaussian import epsilon_of, mu_of
from limbeck.privacy.queries import Query
from limbeck.privacy.sampled import GRID, Steps, multiplier_for
from limbeck.privacy.sampled import MECHANISM as SAMPLED
from limbeck.privacy.shards import Turns, declare
from limbeck.types import Adjacency, Event, Guarantee, Unit

_ROUNDING = 1e-9
"""By how much shares that are meant to add up to 1 may exceed it; the excess is not spent.

Also the part of epsilon by which root-finding may miss it: more is an error of the accounting.
"""


class Ledger:
    """Shares of (epsilon, delta), each spent as it is asked for, and refused once all is spent.

    epsilon: None: no noise and no guarantee; shares are counted and refused all the same.
    OptionError where these are no guarantee.
    """

    def __init__(
        self, *, epsilon: float | None, delta: float, adjacency: Adjacency, unit: Unit
    ) -> None:
        if adjacency not in ("add-remove", "replace-one"):
            raise OptionError(f"adjacency is 'add-remove' or 'replace-one', not {adjacency!r:.40}")
        self._mu = math.inf if epsilon is None else mu_of(epsilon, delta)
        self.epsilon, self.delta, self.adjacency, self.unit = epsilon, delta, adjacency, unit
        self._events: list[Event] = []
        self._spent: list[float] = []

    @property
    def left(self) -> float:
        """The share of the budget, in mu^2, that is not spent."""
        return max(0.0, 1.0 - math.fsum(self._spent))

    @property
    def events(self) -> tuple[Event, ...]:
        """All events so far; without noise there is none."""
        return () if self.epsilon is None else tuple(self._events)

    @property
    def guarantee(self) -> Guarantee | None:
        """What the events come to, where their noise is secret; None without noise."""
        if self.epsilon is None:
            return None
        mu = None
        if any(event.mechanism == SAMPLED for event in self._events):
            spent = epsilon_declared(self._events, self.delta, self.adjacency, grid=GRID)
        else:
            mu = math.hypot(*(event.count**0.5 / multiplier(event) for event in self._events))
            if mu > self._mu:
                raise BudgetError("more was released than the budget allows; claim nothing")
            spent = epsilon_of(mu, self.delta)
        if spent > self.epsilon * (1 + _ROUNDING):
            raise BudgetError(
                f"the events cost epsilon {up(spent)}, more than the {up(self.epsilon)} of the "
                "budget; claim nothing"
            )
        epsilon = min(spent, self.epsilon)
        return Guarantee(epsilon, self.delta, self.adjacency, self.unit, self.events, mu)

    def query(self, query: Query) -> float:
        """Enter a noisy sum over all records; the scale of its noise, in grid steps.

        BudgetError where less than its share is left.
        """
        affordable = replace(query, share=self._afford(query.name, query.share))
        if self.epsilon is None:
            self._spent.append(affordable.share)
            return 0.0
        event = affordable.event(self._mu, self.adjacency)
        self._events.append(event)
        self._spent.append((1 / multiplier(event) / self._mu) ** 2)
        return event.noise_scale

    def turns(
        self, name: str, *, shards: int, norm: float, count: int, share: float, classes: int
    ) -> Turns:
        """Enter ``count`` noisy sums over shards, worth ``share`` in all; BudgetError as above."""
        affordable = self._afford(name, share)
        self._spent.append(affordable)
        turns = declare(
            shards=shards,
            norm=norm,
            count=count,
            mu=math.sqrt(affordable) * self._mu,
            classes=classes,
            adjacency=self.adjacency,
            unit=self.unit,
        )
        if self.epsilon is not None:
            self._events.append(turns.event(name))
        return turns

    def steps(self, name: str, *, rate: float, count: int, norm: float) -> Steps:
        """Enter ``count`` sampled steps, for all of the budget; BudgetError where less is left."""
        if self._spent:
            raise BudgetError(
                f"{name}: sampled steps take the whole privacy budget, and {self.left:.3g} of it "
                "is left; declare them first and alone"
            )
        self._spent.append(1.0)
        noise_multiplier = 0.0
        if self.epsilon is not None:
            noise_multiplier = multiplier_for(
                self.epsilon, self.delta, self.adjacency, rate=rate, count=count
            )
        declared = Steps(rate, count, noise_multiplier, norm)
        self._events.append(declared.event(name))
        return declared

    def _afford(self, name: str, share: float) -> float:
        """The share of the budget that may be spent where ``share`` is asked for."""
        if not 0 < share <= 1:
            raise OptionError(f"{name}: a share of the budget is in (0, 1], not {share:g}")
        left = self.left
        if share > left + _ROUNDING or left == 0.0:
            raise BudgetError(
                f"{name}: {share:.3g} of the privacy budget asked for, {left:.3g} "
                "left; ask for a smaller share or start anew with other data"
            )
        return min(share, left)
