"""Guarantees in words: what is protected, from whom, by how much, through which events.

The facts, and ``entry``'s names for them, are those of the registry of deployments that OpenDP
keeps (github.com/opendp/deployments-registry-data: variant, privacy unit and parameters, deployment
model, mechanisms, unprotected quantities). Unit of privacy, central model, and the unbounded and
bounded forms of neighbours are the vocabulary of NIST SP 800-226.
"""

import math
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

from limbeck.privacy.digits import pair, up
from limbeck.types import Adjacency, Event, Guarantee, Unit

_NEIGHBOURS: dict[Adjacency, str] = {
    "add-remove": "with and without any one {unit} (unbounded): their number is private too",
    "replace-one": "that differ in any one {unit} (bounded): their number is public",
}
_UNPROTECTED = (
    "shape of a record",
    "names of the classes",
    "whether mirroring keeps the label",
    "whether records have groups",
    "name of the data",
    "options of the method",
)
_LITTLE = 20.0
_LIKELY = 1e-3
_SAFE = 1.1

DELTA = 1e-5
"""Of a guarantee where nothing is said; fit for 35,111 units."""


def in_words(guarantee: Guarantee, further: Sequence[str] = ()) -> list[str]:
    """A guarantee as sentences for people, the claim first and each noisy event last.

    further: sentences that stand between the two. Numbers are rounded up.
    """
    claimed = pair(guarantee.epsilon, guarantee.delta)
    lines = [
        f"{claimed}-differential privacy in the central model",
        f"unit of privacy: {guarantee.unit}; neighbours: {_neighbours(guarantee)}",
        *([f"also {up(guarantee.mu)}-GDP"] if guarantee.mu is not None else []),
        *further,
        *map(_event, guarantee.events),
    ]
    if guarantee.epsilon > _LITTLE:
        lines.append(
            f"an epsilon above {_LITTLE:g} promises next to nothing: only attacks speak for it"
        )
    if guarantee.delta >= _LIKELY:
        lines.append(
            f"a delta of {up(guarantee.delta)} would let any one {guarantee.unit} be published "
            f"outright with that chance: a good one is far below 1 over their number"
        )
    return lines


def entry(guarantee: Guarantee) -> dict[str, Any]:
    """The facts of one release as the registry of deployments names them, in JSON values."""
    known = list(_UNPROTECTED)
    if guarantee.adjacency == "replace-one":
        known.append(f"number of {guarantee.unit}s")
    return {
        "dp_variant": "Approximate DP",
        "privacy_unit": guarantee.unit,
        "privacy_unit_details": f"neighbours: {_neighbours(guarantee)}",
        "privacy_parameters": {"epsilon": guarantee.epsilon, "delta": guarantee.delta},
        "deployment_model": "Central",
        "release_type": "One release",
        "data_source_type": "Static",
        "mechanisms": sorted({event.mechanism for event in guarantee.events}),
        "unprotected_quantities": known,
    }


def fit_for(delta: float) -> int:
    """The most units for which ``delta`` is below their number^-1.1; a fact about delta alone."""
    most: int = math.floor(delta ** (-1 / _SAFE))
    while most > 0 and delta >= most**-_SAFE:
        most -= 1
    return most


def delta_for(records: int) -> float:
    """A delta that is fit for ``records`` units, a public bound: 1e-5, or less for many."""
    safe = Context(prec=1, rounding=ROUND_FLOOR).plus(Decimal(records**-_SAFE))
    return min(DELTA, float(safe))


def doubt_of_delta(delta: float, records: int) -> str | None:
    """What is wrong with a delta that is not below ``records``^-1.1, a public bound; or None."""
    most = records**-_SAFE
    if delta < most:
        return None
    return (
        f"delta {up(delta)} is not below {records}^-{_SAFE} = {most:.2g}: publishing one "
        "of so many records outright would nearly satisfy it; ask for a smaller delta"
    )


def doubt_of_number(delta: float, units: int, unit: Unit) -> str | None:
    """What is wrong with a delta for so many units, which are private: they are not printed."""
    most = fit_for(delta)
    if units <= most:
        return None
    return (
        f"delta {up(delta)} is fit for {most:,} {unit}s at most, and these data have more: ask for "
        "a smaller --delta, or say a public bound with --public-records"
    )


def _neighbours(guarantee: Guarantee) -> str:
    return "datasets " + _NEIGHBOURS[guarantee.adjacency].format(unit=guarantee.unit)


def _event(event: Event) -> str:
    times = "" if event.count == 1 else f", {event.count} times"
    sampled = "" if event.rate == 1 else f", each on a Poisson sample at rate {event.rate:g}"
    return (
        f"event: {event.name}{times}: {event.mechanism} of noise "
        f"{event.noise_scale / event.sensitivity:.4g} times the sensitivity{sampled}"
    )
