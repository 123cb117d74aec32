"""What was spent of a dataset, and whether a release still fits under the total that was set."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from limbeck.owner.sheet import Entry, SetTotal
from limbeck.privacy.composition import Part, epsilon_at, total
from limbeck.privacy.digits import pair, up
from limbeck.privacy.gaussian import epsilon_of, mu_of
from limbeck.privacy.words import DELTA
from limbeck.types import Adjacency, Guarantee, Unit

_ROUNDING = 1 + 1e-9  # of an epsilon that was found by iteration
_HALVINGS = 14  # of the total: what is less than 1 in 16,000 of it is nothing


@dataclass(frozen=True)
class Spent:
    """What releases of one unit and adjacency come to.

    epsilon, delta: by basic composition: each added up.
    parts: of all of them, for the exact sum.
    """

    unit: Unit
    adjacency: Adjacency
    releases: int
    epsilon: float
    delta: float
    parts: tuple[Part, ...]

    def exactly(self, delta: float) -> float:
        """Epsilon at ``delta``, as tightly as is known; infinite where there is none."""
        return epsilon_at(self.parts, delta) if self.parts else 0.0


def spent(entries: Sequence[Entry], unit: Unit, adjacency: Adjacency) -> Spent:
    """The sum of those entries that protect this unit under this adjacency."""
    counted = [entry for entry in entries if countable(entry, unit, adjacency)]
    parts = tuple(part for entry in counted for part in entry.parts or ())
    pairs = [total([part]).guarantee for part in parts]
    # As the numbers were written: 0.7 and 1.3 are 2.
    epsilon = sum((Decimal(repr(one.epsilon)) for one in pairs), Decimal())
    delta = sum((Decimal(repr(one.delta)) for one in pairs), Decimal())
    return Spent(unit, adjacency, len(counted), float(epsilon), float(delta), parts)


def kinds(entries: Sequence[Entry]) -> list[tuple[Unit, Adjacency]]:
    """The units and adjacencies that there are sums of, those of the first entry first."""
    found = (
        (part.guarantee.unit, part.guarantee.adjacency)
        for entry in entries
        for part in entry.parts or ()
        if part.whole
    )
    return list(dict.fromkeys(found))


def countable(entry: Entry, unit: Unit, adjacency: Adjacency) -> bool:
    """Whether an entry adds up with others of this kind: it has a guarantee about all the data."""
    return entry.parts is not None and all(
        part.whole and (part.guarantee.unit, part.guarantee.adjacency) == (unit, adjacency)
        for part in entry.parts
    )


def refusal(allowed: SetTotal, before: Sequence[Entry], entry: Entry) -> str | None:
    """Why a release does not fit under the total, in one line; None where it does."""
    if entry.parts is None:
        return "it has no guarantee, so that no total holds of it; ask for one with --epsilon"
    for part in entry.parts:
        own = part.guarantee
        if (own.unit, own.adjacency) != (allowed.unit, allowed.adjacency):
            return (
                f"it protects each {own.unit} under {own.adjacency}, the total is of each "
                f"{allowed.unit} under {allowed.adjacency}, and the two do not add up; ask for the "
                "unit and adjacency of the total"
            )
        if not part.whole:
            return (
                "it is about a slice of the groups (--limit) and not about all of the data, so "
                "that it does not add up with others; leave --limit out"
            )
    already = spent(before, allowed.unit, allowed.adjacency)
    both = spent([*before, entry], allowed.unit, allowed.adjacency)
    if _fits(allowed, both):
        return None
    room = left(allowed, already)
    what = f"an epsilon of at most {up(room[0])} fits" if room[0] > 0 else "nothing is left"
    return (
        f"the total of {pair(allowed.epsilon, allowed.delta)} that was set would be exceeded: "
        f"with this one {_come_to(allowed, both)}; {what}"
    )


def left(allowed: SetTotal, already: Spent) -> tuple[float, float]:
    """The largest epsilon, of a release with Gaussian noise, that still fits, and its delta.

    Rounded down; 0 where none does. Delta is the usual one, or what there is left of it.
    """
    if allowed.composition == "basic":
        epsilon = Decimal(repr(allowed.epsilon)) - Decimal(repr(already.epsilon))
        delta = Decimal(repr(allowed.delta)) - Decimal(repr(already.delta))
        if epsilon <= 0 or delta <= 0:
            return 0.0, 0.0
        return _down(float(epsilon)), min(DELTA, float(delta))
    usual = min(DELTA, allowed.delta)

    def fits(epsilon: float) -> bool:
        parts = (*already.parts, _gaussian(epsilon, usual, allowed))
        return epsilon_at(parts, allowed.delta) <= allowed.epsilon * _ROUNDING

    # The whole total, stated at the delta of releases.
    low, high = 0.0, epsilon_of(mu_of(allowed.epsilon, allowed.delta), usual)
    if fits(high):
        return _down(high), usual
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return _down(low), usual


def _gaussian(epsilon: float, delta: float, allowed: SetTotal) -> Part:
    mu = mu_of(epsilon, delta)
    return Part("next", Guarantee(epsilon, delta, allowed.adjacency, allowed.unit, (), mu))


def _fits(allowed: SetTotal, found: Spent) -> bool:
    if allowed.composition == "basic":
        return found.epsilon <= allowed.epsilon and found.delta <= allowed.delta
    return found.exactly(allowed.delta) <= allowed.epsilon * _ROUNDING


def _come_to(allowed: SetTotal, found: Spent) -> str:
    come = "1 release comes" if found.releases == 1 else f"{found.releases} releases come"
    if allowed.composition == "basic":
        return f"{come} to {pair(found.epsilon, found.delta)}"
    return f"{come} to {up(found.exactly(allowed.delta))} at delta {up(allowed.delta)}"


def _down(value: float) -> float:
    """Four significant digits, and no more than it was."""
    if value == 0:
        return value
    step = Decimal(1).scaleb(Decimal(repr(value)).adjusted() - 3)
    return float(Decimal(repr(value)) // step * step)
