"""Guarantees in words: what is protected, from whom, by how much, through which events.

The facts, and ``entry``'s names for them, are those of the registry of deployments that OpenDP
keeps (github.com/opendp/deployments-registry-data: variant, privacy unit and parameters, deployment
model, mechanisms, unprotected quantities). Unit of privacy, central model, and the unbounded and
bounded forms of neighbours are the vocabulary of NIST SP 800-226.
"""

from collections.abc import Mapping
from typing import Any

from limbeck.types import Adjacency, Event, Guarantee

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


def in_words(guarantee: Guarantee) -> list[str]:
    """A guarantee as sentences for people, the claim first and each noisy event last."""
    lines = [
        f"({guarantee.epsilon:.4g}, {guarantee.delta:g})-differential privacy in the central model",
        f"unit of privacy: {guarantee.unit}; neighbours: {_neighbours(guarantee)}",
        *([f"also {guarantee.mu:.4g}-GDP"] if guarantee.mu is not None else []),
        *map(_event, guarantee.events),
    ]
    if guarantee.epsilon > _LITTLE:
        lines.append(
            f"an epsilon above {_LITTLE:g} promises next to nothing: only attacks speak for it"
        )
    if guarantee.delta >= _LIKELY:
        lines.append(
            f"a delta of {guarantee.delta:g} would let any one {guarantee.unit} be published "
            f"outright with that chance: a good one is far below 1 over their number"
        )
    return lines


def besides(owed: Mapping[str, Any]) -> str:
    """What a release owes besides its own guarantee: that of another which it starts from."""
    stated = (owed.get("epsilon"), owed.get("delta"))
    pair = ", ".join(f"{v:.4g}" if isinstance(v, int | float) else "unknown" for v in stated)
    return (
        f"besides the ({pair}) of the private release that it starts from: where that was made of "
        "the same people, both add up"
    )


def of_slice(limit: int) -> str:
    """What is claimed where the private records were a slice of the data."""
    return (
        f"the claim is about the {limit} records (at most) that were kept of the data, and not "
        "about which were kept"
    )


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


def doubt_of_delta(guarantee: Guarantee, records: int) -> str | None:
    """What is wrong with a delta that is not below ``records``^-1.1, a public bound; or None."""
    most = records**-_SAFE
    if guarantee.delta < most:
        return None
    return (
        f"delta {guarantee.delta:g} is not below {records}^-{_SAFE} = {most:.2g}: publishing one "
        "of so many records outright would nearly satisfy it; ask for a smaller delta"
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
