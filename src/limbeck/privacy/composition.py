"""What several private releases of the same people come to together: one sum for a whole chain.

A release that starts from another (``--init private:FOLDER``) owes what that one cost, and all that
it owed in turn. Where every release is a set of Gaussian sums, their mu^2 add up, exactly. Where
some took sampled steps, privacy loss distributions compose the events of all. What has no events
that limbeck knows adds its epsilon and its delta.

As in every composition theorem, how much each release spends must not follow from what earlier ones
showed; a total that was set beforehand (Smith and Thakurta 2022, arXiv:2210.17520) may be spent as
one likes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from limbeck.privacy.accountant import epsilon_declared, epsilon_of_two, multiplier
from limbeck.privacy.digits import up
from limbeck.privacy.gaussian import epsilon_of
from limbeck.privacy.sampled import GRID
from limbeck.privacy.sampled import MECHANISM as SAMPLED
from limbeck.privacy.shards import MECHANISM as FULL
from limbeck.types import Adjacency, Event, Guarantee

DELTAS = tuple(float(f"1e-{power}") for power in range(3, 13))
"""Where the curve of a guarantee is stated."""

GAUSSIAN, LOSSES, BASIC = "mu-GDP", "privacy loss distributions", "basic composition"


@dataclass(frozen=True)
class Part:
    """One private release, as a sum of several counts it.

    guarantee: its own, of the records that its method was given, with the events behind it.
    limit: those records were at most so many, kept of all that there were; None: all.
    """

    name: str
    guarantee: Guarantee
    limit: int | None = None

    @property
    def swaps(self) -> bool:
        """Whether one unit more in the data exchanges one of the records that were kept."""
        return self.limit is not None and self.guarantee.adjacency == "add-remove"

    @property
    def whole(self) -> bool:
        """Whether anything is claimed of all the data: a large group exchanges many of a slice."""
        return self.limit is None or self.guarantee.unit == "record"

    @property
    def shift(self) -> float | None:
        """Mu of all the data, where there is one: an exchange is two steps."""
        mu = self.guarantee.mu
        return None if mu is None else mu * (2 if self.swaps and self.whole else 1)


@dataclass(frozen=True)
class Total:
    """What releases come to together, of all the data (of the slice, where no more is claimed).

    guarantee: with mu where all are Gaussian; its events are those of the first release.
    curve: pairs of delta and epsilon. composition: by which rule they were added up.
    """

    guarantee: Guarantee
    curve: tuple[tuple[float, float], ...]
    composition: str


def total(parts: Sequence[Part]) -> Total:
    """The sum of releases of one adjacency and unit; the first is the one that states it.

    Epsilon is at the delta of the first, unless only the pairs can be added.
    """
    return _total(tuple(parts))


@lru_cache(maxsize=256)  # every state of a run that is shown states it again
def _total(parts: tuple[Part, ...]) -> Total:
    first = parts[0].guarantee
    shifts = [part.shift for part in parts]
    known = [shift for shift in shifts if shift is not None]
    # The step of two is one of the whole composition: only a sum over all the data takes it.
    two = any(part.swaps and part.whole for part in parts)
    events = tuple(event for part in parts for event in part.guarantee.events)
    mu = None
    if len(known) == len(parts):
        mu = known[0] if len(known) == 1 else math.hypot(*known)
        rule, epsilon, delta = GAUSSIAN, epsilon_of(mu, first.delta), first.delta
        curve = [(d, epsilon_of(mu, d)) for d in DELTAS]
    elif all(map(_composable, parts)):
        rule, delta = LOSSES, first.delta

        def at(d: float) -> float:
            return _losses(events, d, first.adjacency, two)

        epsilon, curve = at(delta), [(d, at(d)) for d in DELTAS]
    else:
        pairs = [_pair(part) for part in parts]
        rule = BASIC
        epsilon, delta = (math.fsum(values) for values in zip(*pairs, strict=True))
        curve = [(delta, epsilon)]
    if len(parts) == 1 and not two:
        epsilon, delta = first.epsilon, first.delta  # what was asked for, and never less
    made = Guarantee(epsilon, delta, first.adjacency, first.unit, first.events, mu)
    return Total(made, tuple((d, float(up(e, 6))) for d, e in curve), rule)


def epsilon_at(parts: Sequence[Part], delta: float) -> float:
    """Epsilon of releases of one adjacency and unit at a ``delta`` that none of them needs to have.

    Those with events are one block, summed exactly; the others' epsilons are added to its own, and
    their deltas are taken from its delta. Infinite where they leave it none.
    """
    pairs, block = [], []
    for part in parts:
        exact = part.shift is not None or _composable(part)
        block.append(part) if exact else pairs.append(_pair(part))
    rest = delta - math.fsum(other for _, other in pairs)
    if rest < 0 or (block and rest == 0):
        return math.inf
    beside = math.fsum(epsilon for epsilon, _ in pairs)
    return beside + (_of_block(tuple(block), rest) if block else 0.0)


@lru_cache(maxsize=256)
def _of_block(parts: tuple[Part, ...], delta: float) -> float:
    shifts = [part.shift for part in parts if part.shift is not None]
    if len(shifts) == len(parts):
        return epsilon_of(math.hypot(*shifts), delta)
    events = tuple(event for part in parts for event in _events(part))
    two = any(part.swaps and part.whole for part in parts)
    return _losses(events, delta, parts[0].guarantee.adjacency, two)


def _events(part: Part) -> tuple[Event, ...]:
    """Its events; of mu-GDP the one Gaussian query that it is no worse than."""
    mu = part.guarantee.mu
    if mu is None:
        return part.guarantee.events
    return (Event(part.name, "Gaussian", sensitivity=1.0, noise_scale=1 / mu),)


def _losses(events: tuple[Event, ...], delta: float, adjacency: Adjacency, two: bool) -> float:
    """Epsilon of all the events by privacy loss distributions; ``two``: of two units."""
    if two:
        return epsilon_of_two(events, delta, grid=GRID)
    return epsilon_declared(events, delta, adjacency, grid=GRID)


def _composable(part: Part) -> bool:
    """Whether its events say all that it cost, in words that the accountant knows."""
    kinds = {event.mechanism for event in part.guarantee.events}
    return bool(kinds) and kinds <= {FULL, SAMPLED}


def _pair(part: Part) -> tuple[float, float]:
    """(epsilon, delta) of all the data by one release alone."""
    own = part.guarantee
    if not (part.swaps and part.whole):
        return own.epsilon, own.delta
    if part.shift is not None:
        return epsilon_of(part.shift, own.delta), own.delta
    if _composable(part):
        return epsilon_of_two(own.events, own.delta, grid=GRID), own.delta
    # Group privacy of two, from the one point that is known.
    return 2 * own.epsilon, min(1.0, (1 + math.exp(min(own.epsilon, 700.0))) * own.delta)


@lru_cache(maxsize=256)
def exceeded(own: Guarantee) -> bool:
    """Whether the events of a release cost more than it says, beyond rounding."""
    if not own.events or not {event.mechanism for event in own.events} <= {FULL, SAMPLED}:
        return own.mu is not None and epsilon_of(own.mu, own.delta) > own.epsilon * _ROUNDING
    if any(event.mechanism == SAMPLED for event in own.events):
        spent = epsilon_declared(own.events, own.delta, own.adjacency, grid=GRID)
        return own.mu is not None or spent > own.epsilon * _ROUNDING
    mu = math.hypot(*(event.count**0.5 / multiplier(event) for event in own.events))
    if own.mu is not None and mu > own.mu * _ROUNDING:
        return True
    return epsilon_of(mu, own.delta) > own.epsilon * _ROUNDING


_ROUNDING = 1 + 1e-6
