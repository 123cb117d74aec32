"""The ledger as events of dp_accounting, and what they cost together when declared beforehand.

Events with a sampling rate of 1 are Gaussian, and ``gaussian`` has their exact curve; the budget
uses that. Privacy loss distributions (PLD) serve ledgers with Poisson-sampled events, whose number
and noise are fixed before anything is read: composition by PLD is not proven for choices that were
made after looking.
"""

from collections.abc import Sequence

import dp_accounting
from dp_accounting.pld import PLDAccountant

from limbeck.errors import OptionError
from limbeck.privacy import noise
from limbeck.types import Adjacency, Event


def multiplier(event: Event) -> float:
    """Standard deviations of the continuous Gaussian that covers an event's noise, a sensitivity.

    The discrete Gaussian is counted as the narrower continuous one that covers it (see ``noise``).
    """
    discrete = event.mechanism == "discrete Gaussian"
    scale = noise.continuous_scale(event.noise_scale) if discrete else event.noise_scale
    return scale / event.sensitivity


def dp_event(events: Sequence[Event]) -> dp_accounting.DpEvent:
    """The ledger in dp_accounting's words, each event as often as it was run."""
    return dp_accounting.ComposedDpEvent(
        [dp_accounting.SelfComposedDpEvent(_single(event), event.count) for event in events]
    )


def epsilon_declared(
    events: Sequence[Event], delta: float, adjacency: Adjacency = "add-remove"
) -> float:
    """Epsilon at ``delta`` of events that were all declared before the first was run, by PLD.

    An upper bound: dp_accounting rounds privacy losses up. A full event's sensitivity counts what
    a neighbour changes in its sum under the adjacency; a sampled event's is that of one record.
    OptionError for sampled events under replace-one, which no accountant here covers.
    """
    if adjacency == "replace-one" and any(event.rate < 1 for event in events):
        raise OptionError("sampled events are accounted for under add-remove adjacency alone")
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    accountant.compose(dp_event(events))
    return float(accountant.get_epsilon(delta))


def _single(event: Event) -> dp_accounting.DpEvent:
    gaussian = dp_accounting.GaussianDpEvent(multiplier(event))
    if event.rate == 1:
        return gaussian
    return dp_accounting.PoissonSampledDpEvent(event.rate, gaussian)
