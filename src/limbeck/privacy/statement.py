"""What is stated of a private release: one claim about all the data, and what it is made of.

The claim adds up every release that this one rests on, and is about the data as they were given: of
a slice (``--limit``) it is what an exchange of one record in it costs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.privacy import owed
from limbeck.privacy.composition import Part, Total, total
from limbeck.privacy.digits import pair, up
from limbeck.privacy.words import entry, fit_for, in_words
from limbeck.types import Guarantee

Values = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """A release's own part first, then all that it owes.

    grouped: records are protected one by one although the data say which are one person's.
    """

    parts: tuple[Part, ...]
    grouped: bool = False

    @classmethod
    def of(
        cls,
        guarantee: Guarantee,
        *,
        name: str,
        limit: int | None = None,
        owed: Sequence[Part] = (),
        grouped: bool = False,
    ) -> "Statement":
        """Of a release with this guarantee about the records that its method was given."""
        return cls((Part(name, guarantee, limit), *owed), grouped and guarantee.unit == "record")

    @property
    def total(self) -> Total:
        """The claim."""
        return total(self.parts)

    @property
    def claim(self) -> Values:
        """``guarantee`` on a card, in ``--json`` and in the evidence of audits."""
        found, own = self.total, self.parts[0]
        claim = found.guarantee
        return {
            "epsilon": _finite(claim.epsilon),
            "delta": claim.delta,
            "adjacency": claim.adjacency,
            "unit": claim.unit,
            "mu": claim.mu,
            "about": self._about,
            "composition": None if len(self.parts) == 1 else found.composition,
            "own": {"epsilon": own.guarantee.epsilon, "delta": own.guarantee.delta},
            "curve": [{"delta": d, "epsilon": _finite(e)} for d, e in found.curve],
            "fit_for_records": fit_for(claim.delta),
            "releases": [owed.on_card(part) for part in self.parts],
        }

    @property
    def sentences(self) -> list[str]:
        """``in_words`` on a card and on the terminal: the claim first, its events last."""
        found = self.total
        return in_words(found.guarantee, self._further(found))

    @property
    def deployment(self) -> Values:
        """The claim under the names of the registry of deployments."""
        found = entry(self.total.guarantee)
        found["privacy_parameters"]["epsilon"] = self.claim["epsilon"]
        found["privacy_unit_details"] += f"; the claim is about {self._about['records']}"
        if len(self.parts) > 1:
            found["release_type"] = f"{len(self.parts)} releases, one made from another"
        return found

    @property
    def _about(self) -> Values:
        own = self.parts[0]
        kept = {"epsilon": own.guarantee.epsilon, "delta": own.guarantee.delta}
        if own.limit is None:
            return {"records": "all the data", "whole": True, "limit": None, "kept": None}
        if not own.whole:
            records = f"the at most {own.limit} records kept of the data, not which were kept"
        else:
            records = f"all the data, of which at most {own.limit} records were kept"
        kept["mu"] = own.guarantee.mu  # type: ignore[assignment]
        return {"records": records, "whole": own.whole, "limit": own.limit, "kept": kept}

    def _further(self, found: Total) -> list[str]:
        """What there is to say between the claim and its events."""
        own, lines = self.parts[0], []
        if len(self.parts) > 1:
            listed = [_of_slice(part) for part in self.parts]
            lines.append(
                f"the sum of {len(self.parts)} releases ({found.composition}), for people in the "
                f"data of all: {listed[0]} (this one), {', '.join(listed[1:])}"
            )
        if own.limit is not None:
            lines.append(_about_slice(own))
        known = [f"{up(e)} at {d:g}" for d, e in found.curve]
        if len(known) > 1:
            lines.append(f"the whole curve, epsilon at delta: {', '.join(known)}")
        delta = found.guarantee.delta
        units = f"{fit_for(delta):,} {found.guarantee.unit}s"
        lines.append(f"a delta of {up(delta)} is fit for data of at most {units}")
        if self.grouped:
            lines.append(
                "records are protected one by one, though the data say which belong to one person: "
                "whoever has several is protected less"
            )
        return lines


def epsilon_of_claim(guarantee: Mapping[str, Any]) -> tuple[float, str]:
    """Epsilon of a card's claim (infinite where it has no finite one), and it in words."""
    stated, releases = guarantee.get("epsilon"), guarantee.get("releases")
    epsilon = math.inf if stated is None else float(stated)
    count = len(releases) if isinstance(releases, list) else 1
    return epsilon, up(epsilon) + (f" for the sum of {count} releases" if count > 1 else "")


def printed(guarantee: Mapping[str, Any] | None) -> str:
    """The claim of a card in one line, for commands that show it beside something else."""
    if not guarantee:
        return "none"
    epsilon, delta = guarantee.get("epsilon"), guarantee.get("delta")
    if not (isinstance(epsilon, int | float) and isinstance(delta, int | float)):
        return "no finite epsilon"
    releases = guarantee.get("releases")
    count = len(releases) if isinstance(releases, list) else 1
    several = f", the sum of {count} releases" if count > 1 else ""
    return f"{pair(epsilon, delta)}-differential privacy{several}"


def _of_slice(part: Part) -> str:
    stated = total([part]).guarantee
    kept = "" if part.limit is None else f", of at most {part.limit} records kept"
    return f"{pair(stated.epsilon, stated.delta)}{kept} for {part.name}"


def _about_slice(part: Part) -> str:
    own = part.guarantee
    if not part.whole:
        return (
            f"the claim is about the {part.limit} records (at most) that were kept of the data, "
            "and not about which were kept"
        )
    if not part.swaps:
        return f"the claim is about all the data, of which {part.limit} records (at most) were kept"
    return (
        f"the claim is about all the data: of the {part.limit} records (at most) that were kept of "
        f"them it is {pair(own.epsilon, own.delta)}, and one record more exchanges one of these"
    )


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
