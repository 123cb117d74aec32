"""Options of the commands that can ask for a formal guarantee."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck import registry
from limbeck.cli import console
from limbeck.errors import OptionError
from limbeck.types import Adjacency, Unit

if TYPE_CHECKING:
    import limbeck.data.dataset


@dataclass(frozen=True)
class GuaranteeOptions:
    """The guarantee asked for; none where nothing is said and the method gives none by itself."""

    epsilon: Annotated[
        float | None, typer.Option(help="Ask for a formal guarantee of this epsilon.")
    ] = None
    delta: Annotated[
        float | None, typer.Option(help="Its delta (1e-5, or less for many --public-records).")
    ] = None
    adjacency: Annotated[
        Adjacency | None, typer.Option(help="Neighbours: add-remove one unit, or replace-one.")
    ] = None
    public_records: Annotated[
        int | None,
        typer.Option(min=1, help="A public bound on the number of records; delta is chosen by it."),
    ] = None

    def __post_init__(self) -> None:
        if self.epsilon is not None and not 0 < self.epsilon < math.inf:
            raise OptionError(f"--epsilon {self.epsilon:g}: give a number above 0, such as 1")
        if self.delta is not None and not 0 < self.delta < 1:
            raise OptionError(
                f"--delta {self.delta:g}: give a number between 0 and 1, such as 1e-5"
            )

    def asked(self, words: Sequence[str] = ()) -> dict[str, Any]:
        """The options as a method knows them; None where nothing was said.

        words: of ``--set``, which may say delta too.
        """
        delta, said = self.delta, any(word.partition("=")[0] == "delta" for word in words)
        if delta is None and self.public_records is not None and not said:
            from limbeck.privacy.words import delta_for

            delta = delta_for(self.public_records)
        return {"epsilon": self.epsilon, "delta": delta, "adjacency": self.adjacency}

    def form_of(self, name: str, words: Sequence[str]) -> tuple[str, list[str]]:
        """The method that is run, and its ``--set`` words, where synthesizer ``name`` is named.

        Another one than named where a guarantee is asked for that only its private form gives.
        OptionError where it has none.
        """
        method = registry.methods("synthesizer").get(name)
        if self._given is None or method is None or not method.private_form:
            self.require_form(name)
            return name, list(words)
        if self._given == "public_records":
            raise OptionError(
                f"--public-records: {name} gives no guarantee whose delta it could judge unless "
                "--epsilon asks for one"
            )
        form, *added = method.private_form.split()
        given = {word.partition("=")[0] for word in words}
        kept = [word for word in added if word.partition("=")[0] not in given]
        console.note(f"{name} with a guarantee is {' '.join((form, *kept))}")
        return form, [*kept, *words]

    def require_form(self, name: str, kind: registry.Kind = "synthesizer") -> None:
        """OptionError when a guarantee is asked of method ``name``, which cannot give one."""
        known = registry.methods(kind)
        if self._given is None or name not in known or known[name].guarantee != "none":
            return  # loading it will refuse an unknown name
        able = [m.name for m in known.values() if m.guarantee != "none" or m.private_form]
        there = f"{kind}s that have: {', '.join(able)}" if able else f"no {kind} has one yet"
        flag = "--" + self._given.replace("_", "-")
        raise OptionError(f"{flag}: {name} has no form with a formal guarantee; {there}")

    @property
    def _given(self) -> str | None:
        """The first option by which a guarantee is asked for."""
        given = (name for name, value in dataclasses.asdict(self).items() if value is not None)
        return next(given, None)

    def warn(
        self, claim: Mapping[str, Any] | None, private: "limbeck.data.dataset.LabeledDataset"
    ) -> None:
        """Say on stderr, to the data's owner alone, what is wrong with the claim for these data.

        How many records there are decides a warning, which is why none of it is ever written into
        a release or a JSON document.
        """
        if claim is None or "delta" not in claim:
            return
        from limbeck.privacy.words import doubt_of_delta, doubt_of_number

        unit: Unit = claim.get("unit", "record")
        groups = private.groups if unit == "group" else None
        units = len(private) if groups is None else len(groups.unique())
        if self.public_records is None:
            doubt = doubt_of_number(claim["delta"], units, unit)
        else:
            doubt = doubt_of_delta(claim["delta"], self.public_records)
            if units > self.public_records:
                doubt = f"the data have more {unit}s than the --public-records given; correct it"
        if doubt is not None:
            console.note(f"warning: {doubt}")
        if unit == "record" and private.groups is not None:
            console.note(
                "warning: the data say which records are one person's, and each is protected alone "
                "(unit=record): whoever has several is protected less; leave unit out"
            )


def number_of_records(
    claim: Mapping[str, Any] | None, private: "limbeck.data.dataset.LabeledDataset"
) -> int | None:
    """The number of private records; None where the claim is that it is private."""
    hidden = claim is not None and claim.get("adjacency") != "replace-one"
    return None if hidden else len(private)


def can_guarantee(name: str, kind: registry.Kind) -> bool:
    """Whether the method named has a formal guarantee: data are then loaded so as to keep it."""
    known = registry.methods(kind)
    return name in known and known[name].guarantee != "none"


def advise_on_classes(card: Mapping[str, Any]) -> None:
    """Suggest --classes where a guarantee is claimed with classes that were read off the data."""
    if card.get("classes_from") == "data":
        console.note(
            "the names of the classes were read off the data and are published: if a class may "
            "have few records, list them all beforehand with --classes NAME,NAME..."
        )


def origin(claim: Mapping[str, Any] | None, private: "limbeck.data.dataset.LabeledDataset") -> str:
    """What a release was made of, for the terminal; without the number where it is private."""
    number = number_of_records(claim, private)
    records = "records (their number is private)" if number is None else f"{number} records"
    return f"{private.name}, {records}, {len(private.classes)} classes"
