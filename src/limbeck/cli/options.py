"""Options that several commands share, each defined once.

A command declares a parameter of one of these dataclasses; ``expand`` puts the fields in its
place, as options of their own, and hands the command the dataclass. Options that stand alone are
types that a parameter is annotated with.
"""

import csv
import dataclasses
import functools
import inspect
import json
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from limbeck import registry
from limbeck.cli import console
from limbeck.errors import DataWarning, OptionError

if TYPE_CHECKING:
    import limbeck.data.dataset


PrivateData = Annotated[str, typer.Option(metavar="DATA", help="The private data.")]
ControlData = Annotated[
    str | None,
    typer.Option(
        metavar="DATA", help="Like private data, but not in it; the part kept out if left out."
    ),
]


@dataclass(frozen=True)
class Common:
    """Options of every command."""

    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.")
    ] = False
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of every random choice outside privacy noise.")
    ] = 0
    device: Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1, mps.")] = (
        "auto"
    )

    def torch_device(self) -> str:
        """The device to compute on; OptionError when torch cannot use it here."""
        import torch

        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError, NotImplementedError):
            usable = [
                "cpu",
                *(f"cuda:{i}" for i in range(torch.cuda.device_count())),
                *(["mps"] if torch.backends.mps.is_available() else []),
            ]
            raise OptionError(
                f"--device {self.device}: torch cannot use it here; there is: {', '.join(usable)}"
            ) from None
        return self.device


@dataclass(frozen=True)
class DataOptions:
    """How to read a dataset; the same options give the same records in every command."""

    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Use a random slice of this many private records."),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Resize images to SIZE x SIZE."),
    ] = None
    channels: Annotated[
        int | None,
        typer.Option(min=1, max=3, help="Convert images: 1 grey, 3 colour."),
    ] = None
    label: Annotated[
        str | None,
        typer.Option(help="Column or attribute that holds the label."),
    ] = None
    value_range: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="LOW:HIGH",
            help="Public range of the values, scaled to [0, 1].",
        ),
    ] = None
    group: Annotated[
        str | None,
        typer.Option(help="Column that says whose record it is."),
    ] = None
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME...",
            help="Names of all classes, in order, whatever the data hold; or @FILE, one a line.",
        ),
    ] = None
    mirror: Annotated[
        bool | None,
        typer.Option(
            help="Whether a mirrored image keeps its label; the source's own answer if left out."
        ),
    ] = None
    root: Annotated[
        Path | None,
        typer.Option("--data-root", help="Folder with the files of a named source."),
    ] = None
    test_share: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=0.99,
            help="Share kept for testing where the data has no test part of its own.",
        ),
    ] = 0.2
    split_seed: Annotated[
        int,
        typer.Option(min=0, help="Seed of that split and of --limit."),
    ] = 0

    def load(
        self, source: str, *, guaranteed: bool = False
    ) -> "tuple[limbeck.data.dataset.LabeledDataset, limbeck.data.dataset.LabeledDataset]":
        """The private and the test records of DATA.

        guaranteed: for a method with a guarantee: what is left out for it is said on stderr.
        """
        from limbeck.data import load

        with _warnings_as_notes():
            return load(source, limit=self.limit, guaranteed=guaranteed, **self._reading())

    def read(
        self,
        source: str,
        part: Literal["test", "private"] = "test",
        *,
        guaranteed: bool = False,
    ) -> "limbeck.data.dataset.LabeledDataset":
        """One part of DATA, or all of a file that is not split; --limit is for the private part."""
        from limbeck.data import read

        limit = self.limit if part == "private" else None
        with _warnings_as_notes():
            return read(source, part=part, limit=limit, guaranteed=guaranteed, **self._reading())

    def _reading(self) -> dict[str, Any]:
        return {
            "test_share": self.test_share,
            "seed": self.split_seed,
            "size": self.size,
            "channels": self.channels,
            "label": self.label,
            "group": self.group,
            "value_range": self.range(),
            "mirror": self.mirror,
            "root": self.root,
            "classes": self.class_names(),
        }

    def class_names(self) -> list[str] | None:
        """The names of --classes; OptionError when there are none, or the file cannot be read.

        Names are separated as in a CSV file: one that has a comma stands in double quotes.
        """
        if self.classes is None:
            return None
        if not self.classes.startswith("@"):
            return [name.strip() for name in next(csv.reader([self.classes]), [])]
        path = Path(self.classes[1:]).expanduser()
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(
                f"--classes {self.classes}: {path} cannot be read as UTF-8 text ({error}); give a "
                "file with one name a line"
            ) from None
        return [line.strip() for line in lines if line.strip()]

    def range(self) -> tuple[float, float] | None:
        """The public range as numbers; OptionError when it is not two of them in order."""
        if self.value_range is None:
            return None
        try:
            low, high = (float(part) for part in self.value_range.split(":"))
        except ValueError:
            low, high = 0.0, 0.0
        if not low < high:
            raise OptionError(f"--range {self.value_range}: write LOW:HIGH, for example 0:255")
        return low, high

    def split(self) -> dict[str, Any]:
        """What decides which records are kept out, for the card of what the others are used for.

        A file's records draw their coins by what they hold, scaled values and labels included.
        """
        ends = self.range()
        return {
            "test_share": self.test_share,
            "split_seed": self.split_seed,
            "group": self.group,
            "label": self.label,
            "range": None if ends is None else list(ends),
        }

    def flags(self) -> list[str]:
        """These options as command-line words, without those left at their defaults."""
        spelled = {"value_range": "--range", "root": "--data-root"}
        words: list[str] = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            name = spelled.get(field.name, "--" + field.name.replace("_", "-"))
            if isinstance(value, bool):
                words.append(name if value else name.replace("--", "--no-", 1))
            elif value != field.default:
                words += [name, str(value)]
        return words


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Warnings of the loaders go to stderr as remarks, without a place in the source code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        yield
    for one in caught:
        if issubclass(one.category, DataWarning):
            console.note(f"warning: {one.message}")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def expand(command: Callable[..., int]) -> Callable[..., int]:
    """The command as Typer sees it: every shared dataclass replaced by its fields."""
    groups: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if isinstance(group, type) and dataclasses.is_dataclass(group):
            groups[parameter.name] = group
            parameters += inspect.signature(group).parameters.values()
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def run(**given: Any) -> int:
        made = {
            name: group(**{f.name: given.pop(f.name) for f in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        try:
            return command(**given, **made)
        except KeyboardInterrupt:
            raise typer.Abort from None  # the parser would turn it into a bare exit code

    by_word = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    run.__signature__ = inspect.Signature(by_word)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in by_word}
    return run


def assignments(words: Sequence[str], flag: str = "--set") -> dict[str, Any]:
    """The options of ``--set name=value``; values are JSON, and plain words are text."""
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (equals and name.isidentifier()):
            raise OptionError(f"{flag} {word}: write name=value, for example {flag} steps=200")
        if name in values:
            raise OptionError(f"{flag} {name}: given twice")
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return values


def method_options(
    name: str, kind: registry.Kind, words: Sequence[str], shortcuts: dict[str, Any]
) -> dict[str, Any]:
    """Options of method ``name`` from ``--set`` and from shortcuts such as ``--ipc``.

    A shortcut of None was not given. OptionError when the method has no such option, or when
    both forms give it.
    """
    values = assignments(words)
    known = {f.name for f in dataclasses.fields(registry.load(name, kind))}
    for option, value in shortcuts.items():
        if value is None:
            continue
        if option not in known:
            raise OptionError(
                f"--{option}: {name} has no such option; it has: {', '.join(sorted(known))}"
            )
        if option in values:
            raise OptionError(f"--{option} and --set {option}: give one of them")
        values[option] = value
    return values


def shell(*words: str | Path) -> str:
    """Words as a command that can be pasted into a shell."""
    return shlex.join(str(w) for w in words)
