"""Guarantees in words: what is protected, from whom, by how much, through which events.

The facts are those of the registry of deployments that OpenDP keeps (model, flavour, parameters,
unit, neighbours, mechanisms), the vocabulary is that of NIST SP 800-226.
"""

from limbeck.types import Adjacency, Event, Guarantee

_NEIGHBOURS: dict[Adjacency, str] = {
    "add-remove": "with and without any one {unit}, so that their number is private too",
    "replace-one": "that differ in any one {unit}, so that their number is public",
}
_LITTLE = 20.0
_SAFE = 1.1


def in_words(guarantee: Guarantee) -> list[str]:
    """A guarantee as sentences for people, the claim first and each noisy event last."""
    neighbours = _NEIGHBOURS[guarantee.adjacency].format(unit=guarantee.unit)
    lines = [
        f"({guarantee.epsilon:.4g}, {guarantee.delta:g})-differential privacy in the central model",
        f"unit of privacy: {guarantee.unit}; neighbours: datasets {neighbours}",
        *([f"also {guarantee.mu:.4g}-GDP"] if guarantee.mu is not None else []),
        *map(_event, guarantee.events),
    ]
    if guarantee.epsilon > _LITTLE:
        lines.append(
            f"an epsilon above {_LITTLE:g} promises next to nothing: only attacks speak for it"
        )
    return lines


def doubt_of_delta(guarantee: Guarantee, records: int) -> str | None:
    """What is wrong with a delta that is not below ``records``^-1.1, a public bound; or None."""
    most = records**-_SAFE
    if guarantee.delta < most:
        return None
    return (
        f"delta {guarantee.delta:g} is not below {records}^-{_SAFE} = {most:.2g}: publishing one "
        "of so many records outright would nearly satisfy it; ask for a smaller delta"
    )


def _event(event: Event) -> str:
    times = "" if event.count == 1 else f", {event.count} times"
    sampled = "" if event.rate == 1 else f", each on a Poisson sample at rate {event.rate:g}"
    return (
        f"event: {event.name}{times}: {event.mechanism} of noise "
        f"{event.noise_scale / event.sensitivity:.4g} times the sensitivity{sampled}"
    )
