"""The ledger as events of dp_accounting, and what they cost together when declared beforehand.

Events with a sampling rate of 1 are Gaussian, and ``gaussian`` has their exact curve; the budget
uses that. Privacy loss distributions (PLD) serve ledgers with Poisson-sampled events, whose number
and noise are fixed before anything is read: composition by PLD is not proven for choices that were
made after looking.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import dp_accounting
import numpy as np
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

from limbeck.privacy import noise
from limbeck.types import Adjacency, Event

Profile = Callable[[float], float]
"""The least delta at each epsilon, or a bound of it: the hockey-stick divergence of neighbours."""

_FAINT = 0.5  # noise, in sensitivities, below which privacy losses are too large for a grid
_LARGEST = 600.0  # epsilon whose exponential is still a number


def multiplier(event: Event) -> float:
    """Standard deviations of the continuous Gaussian that covers an event's noise, a sensitivity.

    The discrete Gaussian is counted as the narrower continuous one that covers it (see ``noise``).
    """
    discrete = event.mechanism.endswith("discrete Gaussian")
    scale = noise.continuous_scale(event.noise_scale) if discrete else event.noise_scale
    return scale / event.sensitivity


def dp_event(events: Sequence[Event]) -> dp_accounting.DpEvent:
    """The ledger in dp_accounting's words, each event as often as it was run."""
    return dp_accounting.ComposedDpEvent(
        [dp_accounting.SelfComposedDpEvent(_single(event), event.count) for event in events]
    )


def epsilon_declared(
    events: Sequence[Event],
    delta: float,
    adjacency: Adjacency = "add-remove",
    *,
    grid: float = 1e-4,
) -> float:
    """Epsilon at ``delta`` of events that were all declared before the first was run.

    An upper bound: dp_accounting rounds privacy losses up to multiples of ``grid``. Where noise is
    so faint that losses outgrow any grid, Renyi divergences serve, and epsilon is in the hundreds.

    A full event's sensitivity counts what a neighbour changes in its sum under the adjacency; a
    sampled event's is that of one record. So with sampled events replacing is accounted for as
    removing one record and adding another: twice the epsilon and 1 + e^epsilon times the delta of
    add-remove (group privacy, Vadhan 2017, "The complexity of differential privacy", lemma 2.2);
    infinite where that is no number.
    """
    return _epsilon(tuple(events), delta, adjacency, grid)


@lru_cache(maxsize=4096)
def _epsilon(events: tuple[Event, ...], delta: float, adjacency: Adjacency, grid: float) -> float:
    if not events:
        return 0.0
    if adjacency == "add-remove" or all(event.rate == 1 for event in events):
        return float(_accountant(events, grid).get_epsilon(delta))
    return epsilon_of_two(events, delta, grid=grid)


def epsilon_of_two(events: Sequence[Event], delta: float, *, grid: float = 1e-4) -> float:
    """Epsilon at ``delta`` of data that differ by two units, where ``events`` count one.

    By group privacy: twice the epsilon and 1 + e^epsilon times the delta. Infinite where that is
    no number.
    """
    accountant = _accountant(tuple(events), grid)

    def excess(epsilon: float) -> float:
        least = float(accountant.get_delta(epsilon))
        return -1.0 if least == 0 else math.log(least / delta) + float(np.logaddexp(0, epsilon))

    low = high = float(accountant.get_epsilon(delta))
    while excess(high) > 0:
        low, high = high, high * 1.2 + 0.1
        if high > _LARGEST:
            return math.inf
    return 2 * (high if low == high else _first(excess, low, high))


def profile(events: Sequence[Event], *, grid: float) -> Profile:
    """Delta at each epsilon of events that are all declared beforehand, for one unit more or less.

    An upper bound, as ``epsilon_declared`` is; ``grid`` as there.
    """
    accountant = _accountant(tuple(events), grid)
    return lambda epsilon: float(accountant.get_delta(epsilon))


@lru_cache(maxsize=16)
def _accountant(events: tuple[Event, ...], grid: float) -> dp_accounting.PrivacyAccountant:
    """All events composed: one privacy loss distribution serves every delta."""
    faint = min(map(multiplier, events)) < _FAINT
    accountant = RdpAccountant() if faint else PLDAccountant(value_discretization_interval=grid)
    with _quiet():
        accountant.compose(dp_event(events))
    return accountant


@contextmanager
def _quiet() -> Iterator[None]:
    """Without dp_accounting's remark on each Renyi order it leaves out; epsilon is then no less."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _first(excess: Callable[[float], float], low: float, high: float) -> float:
    """The least number, within 1e-6 and never below it, from which ``excess`` is not positive."""
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


def _single(event: Event) -> dp_accounting.DpEvent:
    gaussian = dp_accounting.GaussianDpEvent(multiplier(event))
    if event.rate == 1:
        return gaussian
    return dp_accounting.PoissonSampledDpEvent(event.rate, gaussian)
