"""What earlier releases cost, read off their cards, and whether it can be added up."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

from limbeck.errors import OptionError
from limbeck.privacy.composition import Part, exceeded, total
from limbeck.types import Adjacency, Event, Guarantee, Unit

_INSTEAD = "or start from noise or public images"
_ROUNDING = 1 + 1e-6


def on_card(part: Part) -> dict[str, Any]:
    """One release in JSON values, all that is needed to add it to others."""
    values = asdict(part.guarantee)
    return {"name": part.name, "limit": part.limit, **values, "events": list(values["events"])}


def parts_of(card: Mapping[str, Any], where: str) -> tuple[Part, ...]:
    """The releases that the guarantee of a card adds up, its own first.

    OptionError, beginning with ``where``, when there is no guarantee, or the card does not say all
    of it: what it owes is then unknown, and no sum can be stated.
    """
    stated = card.get("guarantee")
    if not isinstance(stated, Mapping) or not stated:
        raise OptionError(
            f"{where}: its card states no guarantee ({stated!r:.40}); start from a release with "
            "one, or from noise"
        )
    listed = stated.get("releases")
    if not isinstance(listed, list) or not listed:
        raise OptionError(
            f"{where}: its card does not list the releases that its guarantee adds up, as cards of "
            f"earlier versions do not; condense it again, {_INSTEAD}"
        )
    try:
        parts = tuple(part_from(one) for one in listed)
        require_addable(parts, where)
        short = float(stated["epsilon"]) > total(parts).guarantee.epsilon * _ROUNDING
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(
            f"{where}: its card's list of releases is damaged ({reason:.80}); condense it again, "
            f"{_INSTEAD}"
        ) from None
    broken = next((part.name for part in parts if exceeded(part.guarantee)), None)
    if broken is not None or short:
        what = f"the events of {broken!r:.40} cost more" if broken else "it claims more"
        raise OptionError(
            f"{where}: its card contradicts itself ({what} than the list of releases says); "
            f"condense it again, {_INSTEAD}"
        )
    return parts


def require_addable(parts: Sequence[Part], where: str) -> None:
    """OptionError, beginning with ``where``, when the first release and another do not add up."""
    first = parts[0].guarantee
    for part in parts[1:]:
        other = part.guarantee
        if (other.unit, other.adjacency) != (first.unit, first.adjacency):
            raise OptionError(
                f"{where}: {part.name} protects each {other.unit} under {other.adjacency}, this "
                f"release each {first.unit} under {first.adjacency}, and the two do not add up; "
                f"ask for the same unit and adjacency, {_INSTEAD}"
            )
    sliced = next((part.name for part in parts if not part.whole), None)
    if sliced is not None and len(parts) > 1:
        raise OptionError(
            f"{where}: {sliced} is about a slice of the groups (--limit) and not about all of the "
            f"data, so that it does not add up with others; leave --limit out, {_INSTEAD}"
        )


def part_from(values: Mapping[str, Any]) -> Part:
    """The release of ``on_card``; ValueError and its like where the values cannot be one."""
    epsilon, delta, mu = values["epsilon"], values["delta"], values["mu"]
    _require(_positive(epsilon), "epsilon", epsilon)
    _require(_positive(delta) and delta < 1, "delta", delta)
    _require(mu is None or _positive(mu), "mu", mu)
    _require(values["adjacency"] in get_args(Adjacency), "adjacency", values["adjacency"])
    _require(values["unit"] in get_args(Unit), "unit", values["unit"])
    limit = values["limit"]
    _require(limit is None or (type(limit) is int and limit > 0), "limit", limit)
    _require(isinstance(values["events"], list), "events", values["events"])
    events = tuple(_event(one) for one in values["events"])
    made = Guarantee(
        float(epsilon), float(delta), values["adjacency"], values["unit"], events, mu and float(mu)
    )
    return Part(str(values["name"]), made, limit)


def _event(values: Mapping[str, Any]) -> Event:
    for name in ("sensitivity", "noise_scale"):
        _require(_positive(values[name]), name, values[name])
    _require(type(values["count"]) is int and values["count"] > 0, "count", values["count"])
    _require(_positive(values["rate"]) and values["rate"] <= 1, "rate", values["rate"])
    return Event(
        str(values["name"]),
        str(values["mechanism"]),
        float(values["sensitivity"]),
        float(values["noise_scale"]),
        values["count"],
        float(values["rate"]),
    )


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def _require(fits: bool, name: str, value: Any) -> None:
    if not fits:
        raise ValueError(f"{name} is {value!r:.40}")
