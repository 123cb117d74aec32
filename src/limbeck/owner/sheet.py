"""One dataset's file: what it is known by, what was spent of it, and what may be in all."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from limbeck.errors import OptionError, StoreError
from limbeck.files import write_json
from limbeck.owner.folder import unusable
from limbeck.privacy.composition import Part
from limbeck.privacy.owed import on_card, part_from
from limbeck.types import Adjacency, Unit

SCHEMA = 1

Composition = Literal["basic", "exact"]
"""How releases add up: epsilons and deltas each, or by mu^2 and privacy loss distributions."""

State = Literal["entered", "done", "failed"]
"""All three are spent: noise may have been drawn, and seen, before a run failed or was killed."""


@dataclass(frozen=True)
class SetTotal:
    """What all releases of a dataset may come to; releases of another unit or adjacency none."""

    epsilon: float
    delta: float
    unit: Unit = "record"
    adjacency: Adjacency = "add-remove"
    composition: Composition = "basic"
    time: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < math.inf:
            raise OptionError(f"--epsilon {self.epsilon:g}: give a number above 0, such as 2")
        if not 0 < self.delta < 1:
            raise OptionError(f"--delta {self.delta:g}: give a number between 0 and 1, as 1e-5")


@dataclass(frozen=True)
class Entry:
    """One release.

    parts: what it costs of its own; None: nothing bounds it, for it has no guarantee.
    source: the data as they were given. limit: of a slice. output: where the release went.
    """

    id: str
    time: str
    command: str
    method: str
    source: str
    parts: tuple[Part, ...] | None
    limit: int | None = None
    output: str | None = None
    state: State = "entered"


@dataclass(frozen=True)
class Sheet:
    """What is kept of one dataset.

    sources: every place it was given by. contents: keyed hashes of what lay there. totals: in the
    order in which they were set; the last one holds.
    """

    id: str
    name: str | None = None
    sources: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    totals: tuple[SetTotal, ...] = ()
    entries: tuple[Entry, ...] = field(default=())

    @property
    def total(self) -> SetTotal | None:
        """The total that holds now."""
        return self.totals[-1] if self.totals else None

    @property
    def title(self) -> str:
        """What to call it on the terminal."""
        return self.name or self.sources[0]

    def without(self, entry: str) -> "Sheet":
        """A copy that lacks the entry of this id."""
        return replace(self, entries=tuple(one for one in self.entries if one.id != entry))

    def save(self, folder: Path) -> None:
        """Write it whole or not at all; StoreError where that is not allowed."""
        path = folder / f"{self.id}.json"
        try:
            write_json(path, self._to_json(), private=True)
        except OSError as error:
            raise unusable(path, error) from None

    def _to_json(self) -> dict[str, Any]:
        values = asdict(self)
        for entry, written in zip(self.entries, values["entries"], strict=True):
            parts = entry.parts
            written["parts"] = None if parts is None else [on_card(part) for part in parts]
        return {"schema": SCHEMA, **values}


def read(path: Path) -> Sheet:
    """The file at ``path``; StoreError, naming it, where it is damaged: never a fresh start."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["schema"] != SCHEMA:
            raise StoreError(
                f"{path} is of schema {values['schema']!r:.20}, this limbeck knows {SCHEMA}; "
                "use the version that wrote it"
            )
        if values["id"] != path.stem:
            raise ValueError(f"id is {values['id']!r:.40}")
        return _sheet(values)
    except OSError as error:
        raise unusable(path, error) from None
    except (KeyError, TypeError, ValueError, AttributeError, OptionError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(
            f"{path} is damaged ({type(error).__name__}: {reason:.60}): what was spent is not "
            "known; restore it from a backup"
        ) from None


def _sheet(values: Mapping[str, Any]) -> Sheet:
    sources = _texts(values["sources"])
    if not sources:
        raise ValueError("no source")
    return Sheet(
        str(values["id"]),
        _text_or_none(values["name"]),
        sources,
        _texts(values["contents"]),
        tuple(_total(one) for one in values["totals"]),
        tuple(_entry(one) for one in values["entries"]),
    )


def _total(values: Mapping[str, Any]) -> SetTotal:
    made = SetTotal(**values)
    for value, known in (
        (made.unit, Unit),
        (made.adjacency, Adjacency),
        (made.composition, Composition),
    ):
        if value not in get_args(known):
            raise ValueError(f"a total has {value!r:.40}")
    return made


def _entry(values: Mapping[str, Any]) -> Entry:
    parts = values["parts"]
    if values["state"] not in get_args(State):
        raise ValueError(f"state is {values['state']!r:.40}")
    made = Entry(**{**values, "parts": None if parts is None else tuple(map(part_from, parts))})
    if made.parts == ():
        raise ValueError("an entry has no part")
    return made


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise TypeError(f"{values!r:.40} is no list of texts")
    return tuple(values)


def _text_or_none(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value
