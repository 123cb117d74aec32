"""The owner of the private data: it spends before it answers, and refuses once all is spent.

All releases are Gaussian, and may be chosen after looking at earlier ones: with the whole privacy
stated as mu-GDP, a filter that stops before the sum of the squares of their mu exceeds mu^2 keeps
mu-GDP under full adaptivity [Smith and Thakurta 2022, arXiv:2210.17520].
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import BudgetError, OptionError
from limbeck.privacy import noise
from limbeck.privacy.gaussian import epsilon_of, mu_of
from limbeck.privacy.records import Bound, Statistic, exact_sum
from limbeck.types import Event, Guarantee

Adjacency = Literal["add-remove", "replace-one"]
_MOVES: Mapping[str, int] = {"add-remove": 1, "replace-one": 2}
"""Bounded statistics that a neighbouring dataset adds or takes away."""


@dataclass(frozen=True, eq=False)
class NoisySum:
    """A private sum with its noise, drawn once: the thing that post-processing reads.

    values: in the statistic's own units. noise: standard deviation of every coordinate's noise.
    """

    values: Float[Tensor, " d"]
    noise: float


class Budget:
    """Private data that answers noisy sums only, up to (epsilon, delta) in all.

    adjacency: "add-remove" one unit (the number of records is then private too) or "replace-one".
    The unit is a group where the data has groups, else a record.
    insecure_seed: for tests: repeatable noise, and no guarantee.
    """

    def __init__(
        self,
        private: LabeledDataset,
        *,
        epsilon: float,
        delta: float = 1e-5,
        adjacency: Adjacency = "add-remove",
        insecure_seed: int | None = None,
    ) -> None:
        if not epsilon > 0 or not 0 < delta < 1:
            raise OptionError(
                f"a guarantee needs epsilon above 0 and delta in (0, 1), not {epsilon:g} and "
                f"{delta:g}"
            )
        self.shape, self.classes = private.shape, private.classes
        self.delta, self.adjacency = delta, adjacency
        self._private = private
        self._mu = mu_of(epsilon, delta)
        self._events: list[Event] = []
        self._insecure_seed = insecure_seed

    @property
    def left(self) -> float:
        """The share of the budget, in mu^2, that is not spent."""
        return 1.0 - _mu_squared(self._events) / self._mu**2

    @property
    def guarantee(self) -> Guarantee | None:
        """What holds of everything released so far; None where the noise can be repeated."""
        if self._insecure_seed is not None:
            return None
        mu = math.sqrt(_mu_squared(self._events))
        return Guarantee(
            epsilon=epsilon_of(mu, self.delta),
            delta=self.delta,
            adjacency=self.adjacency,
            unit="record" if self._private.groups is None else "group",
            events=tuple(self._events),
            mu=mu,
        )

    def release(
        self, name: str, statistic: Statistic, bound: Bound, share: float, *, device: str = "cpu"
    ) -> NoisySum:
        """The sum of the units' bounded statistics with noise worth ``share`` of the budget.

        name: of the event in the ledger. BudgetError, before anything is read, where less is left.
        """
        if not 0 < share <= 1:
            raise OptionError(f"{name}: a share of the budget is in (0, 1], not {share:g}")
        if share > self.left + 1e-9:
            raise BudgetError(
                f"{name}: {share:.3g} of the privacy budget asked for, {self.left:.3g} left; ask "
                "for a smaller share or start anew with other data"
            )
        sensitivity = float(_MOVES[self.adjacency] * bound.reach)
        scale = noise.discrete_scale(sensitivity / (math.sqrt(share) * self._mu))
        scale = max(scale, noise.SMALLEST)
        self._events.append(Event(name, "discrete Gaussian", sensitivity, scale))
        total = exact_sum(self._private, statistic, bound, device=device)
        seed = None if self._insecure_seed is None else self._insecure_seed + len(self._events)
        noisy = noise.discrete_gaussian(total.numpy(), scale, insecure_seed=seed)
        return NoisySum(torch.from_numpy(noisy).double() * bound.step, scale * bound.step)


def _mu_squared(events: list[Event]) -> float:
    return math.fsum(
        event.count * (event.sensitivity / noise.continuous_scale(event.noise_scale)) ** 2
        for event in events
    )
