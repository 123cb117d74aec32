"""What to compare, as a file: the data, one audit plan, and the mechanisms by name.

``docs/compare.md`` describes every key.
"""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from limbeck import registry
from limbeck.audit.presets import PRESETS, Name, Preset
from limbeck.data import LabeledDataset, load, read
from limbeck.data.canaries import Kind
from limbeck.errors import LimbeckError, OptionError
from limbeck.mechanism.base import Mechanism
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import build
from limbeck.train.base import Trainer
from limbeck.train.named import named_trainer

LONGEST_NAME = 80
FULL_DATA = "none"
"""The method that condenses nothing: the trainer alone, on the private data."""

Count = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """Base of every part of a spec: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Part):
    """Where the records come from: the data options of the command line, and nothing else.

    source: a name of ``limbeck data``, a file or a folder. test: real test data; the part kept
        out of the source if not given. range: public (low, high) of the values.
    """

    source: str
    test: str | None = None
    limit: Count | None = None
    size: Count | None = None
    channels: Annotated[int, Field(ge=1, le=3)] | None = None
    label: str | None = None
    range: tuple[float, float] | None = None
    group: str | None = None
    mirror: bool | None = None
    root: Path | None = None
    classes: tuple[str, ...] | None = None
    test_share: Annotated[float, Field(ge=0.01, le=0.99)] = 0.2
    split_seed: Annotated[int, Field(ge=0)] = 0

    def load(self) -> tuple[LabeledDataset, LabeledDataset]:
        """The private and the test records."""
        how = {
            **self.model_dump(exclude={"source", "test", "limit", "range", "split_seed"}),
            "value_range": self.range,
            "seed": self.split_seed,
        }
        private, held_out = load(self.source, limit=self.limit, **how)
        if self.test is not None and self.test != self.source:
            held_out = read(self.test, **how)
        return private, held_out


class Plan(Part):
    """The one audit that all mechanisms undergo: a preset's sizes, or others in their place."""

    preset: Name = "quick"
    runs: Annotated[int, Field(ge=4)] | None = None
    utility_runs: Annotated[int, Field(ge=2)] | None = None
    canaries: Count | None = None
    ordinary: Annotated[int, Field(ge=0)] | None = None
    control: Annotated[int, Field(ge=2)] | None = None
    views: Annotated[int, Field(ge=1, le=18)] | None = None
    networks: Count | None = None
    canary: Kind = "mislabelled"
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def sizes(self) -> Preset:
        """The sizes of the audit, company included: all are run as often."""
        given = self.model_dump(exclude={"preset", "canary", "seed"}, exclude_none=True)
        sizes = dataclasses.replace(PRESETS[self.preset], **given)
        return dataclasses.replace(sizes, company_runs=sizes.runs)


def _short(key: str) -> BeforeValidator:
    """``"name"`` as short for ``{key = "name"}``."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class Classifier(Part):
    """A registered trainer, or the standard one with the network of that name."""

    method: str
    options: dict[str, Any] = {}

    def build(self, *, many_records: bool = False) -> Trainer:
        """The trainer; many_records: for the private data themselves."""
        return named_trainer(self.method, self.options, many_records=many_records)


class Entry(Part):
    """One mechanism: a synthesizer, a trainer or a mechanism of ``limbeck methods``, or "none".

    trainer: what is trained on the synthetic set; the spec's own if not given.
    """

    method: str
    options: dict[str, Any] = {}
    trainer: Annotated[Classifier, _short("method")] | None = None

    def build(self, common: Classifier) -> Mechanism:
        """The mechanism; ``common`` is the trainer of those that name none."""
        classifier = self.trainer or common
        if self.method == FULL_DATA:
            if self.options:
                raise OptionError("method 'none' takes no options: it condenses nothing")
            return Pipeline(None, classifier.build(many_records=True))
        known = registry.methods()
        kind = known[self.method].kind if self.method in known else "synthesizer"
        if kind == "trainer":
            if self.trainer is not None:
                raise OptionError(f"{self.method} is a trainer itself: leave out 'trainer'")
            own = Classifier(method=self.method, options=self.options)
            return Pipeline(None, own.build(many_records=True))
        if kind == "mechanism":
            cls = registry.load(self.method, "mechanism")
            takes = any(field.name == "trainer" for field in dataclasses.fields(cls))
            trained = {"trainer": classifier.build()} if takes else {}
            made: Mechanism = build(self.method, {**trained, **self.options}, "mechanism")
            return made
        return Pipeline(build(self.method, self.options, "synthesizer"), classifier.build())


class Spec(Part):
    """A comparison: data, one audit plan, a common trainer, and mechanisms by name.

    company: whether what every mechanism must be compared with is added (see ``company``).
    dp_sgd: epsilons among which the company's DP-SGD is chosen, at most eight.
    """

    data: Annotated[Data, _short("source")]
    audit: Plan = Plan()
    trainer: Annotated[Classifier, _short("method")] = Classifier(method="convnet3")
    company: bool = True
    dp_sgd: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=8)
    ] = (1.0, 3.0, 10.0, 30.0)
    mechanisms: Annotated[dict[str, Entry], Field(min_length=1)]

    @field_validator("mechanisms")
    @classmethod
    def _printable(cls, mechanisms: dict[str, Entry]) -> dict[str, Entry]:
        for name in mechanisms:
            if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
                raise ValueError(
                    f"a mechanism's name is one line of 1 to {LONGEST_NAME} characters, not "
                    f"{name!r:.100}"
                )
        return mechanisms

    @classmethod
    def load(cls, path: str | Path) -> "Spec":
        """Read a TOML file; OptionError in one line that names the file and the key."""
        try:
            written = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise OptionError(f"{path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise OptionError(f"{path}: not UTF-8 text; save it as such") from None
        except tomllib.TOMLDecodeError as error:
            raise OptionError(f"{path}: not TOML: {error}") from None
        try:
            return cls.of(written)
        except OptionError as error:
            raise OptionError(f"{path}: {error}") from None

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> "Spec":
        """The spec of plain values; OptionError names the first key that is amiss."""
        try:
            return cls.model_validate(written)
        except ValidationError as error:
            raise OptionError(_told(error)) from None

    def build(self) -> dict[str, Mechanism]:
        """Every mechanism by its name; OptionError names the one that cannot be."""
        try:
            self.trainer.build()
        except LimbeckError as error:
            raise OptionError(f"trainer: {error}") from None
        built = {}
        for name, entry in self.mechanisms.items():
            try:
                built[name] = entry.build(self.trainer)
            except LimbeckError as error:
                raise OptionError(f"mechanisms.{name}: {error}") from None
        return built


def _told(error: ValidationError) -> str:
    """The first fault in one line: where, what, and which keys there are.

    A key that does not exist comes first: it is why another is missing.
    """
    faults = error.errors()
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    where = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_part(fault["loc"][:-1]).model_fields)
        return f"{where}: there is no such key; there are: {known}"
    if fault["type"] == "missing":
        return f"{where}: this key is needed"
    if fault["type"] == "model_type":
        known = ", ".join(_part(fault["loc"]).model_fields)
        return f"{where}: give a table with the keys {known} (given: {fault['input']!r:.60})"
    if fault["type"] == "too_short":
        return f"{where}: name at least one"
    said = re.sub(r"^Value error, ", "", fault["msg"])
    return f"{where}: {said[0].lower()}{said[1:]} (given: {fault['input']!r:.60})"


def _part(path: tuple[int | str, ...]) -> type[Part]:
    """The part of a spec that ``path`` leads to."""
    parts: dict[str, type[Part]] = {"data": Data, "audit": Plan, "trainer": Classifier}
    if path[:1] == ("mechanisms",):
        return Classifier if path[2:3] == ("trainer",) else Entry
    return parts[str(path[0])] if path else Spec
