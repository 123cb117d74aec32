"""What every data source offers: records that are listed first and read only where chosen."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DataWarning, OptionError
from limbeck.types import ClassesFrom


@dataclass(frozen=True)
class Request:
    """How the caller wants the data; sources that an option does not concern ignore it.

    size: images are resized to size x size pixels. channels: 1 or 3.
    label: the column (tables) or attribute (CelebA) that is the label. group: the column that
    says whose record it is. value_range: the public (lowest, highest) value of every input.
    mirror: whether a mirrored image keeps its label; None leaves it to the source.
    root: folder that holds the files of a named source.
    classes: the names of the classes, in order; None leaves them to the source, or to the data.
    guaranteed: a guarantee will be claimed of what is made of the records: one that cannot be used
    is left out, with a warning, where it is an error otherwise.
    """

    size: int | None = None
    channels: int | None = None
    label: str | None = None
    group: str | None = None
    value_range: tuple[float, float] | None = None
    mirror: bool | None = None
    root: Path | None = None
    classes: tuple[str, ...] | None = None
    guaranteed: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise OptionError(
                f"size is {self.size}; give the side of an image in pixels, such as 32"
            )
        if self.channels not in (None, 1, 3):
            raise OptionError(f"channels is {self.channels}; give 1 (grey) or 3 (colour)")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            low, high = self.value_range
            raise OptionError(f"value_range is ({low}, {high}); the first must be the smaller one")
        if self.classes is not None:
            _require_names(self.classes)


def _require_names(classes: tuple[str, ...]) -> None:
    if not classes or not all(name.strip() for name in classes):
        raise OptionError("classes: one has no name; give each a name, such as cat,dog")
    twice = next((name for name in classes if classes.count(name) > 1), None)
    if twice is not None:
        raise OptionError(f"classes: {twice!r} is listed twice; give each class once")


@dataclass(frozen=True)
class Records:
    """Labelled records whose inputs are read when asked for, so that a slice costs a slice.

    labels: int64 (n,). inputs(index): float32 in [0, 1], (k, *feature_shape), of those records.
    keys(): int64 (n,), a hash of each record's content alone, equal for equal records.
    groups: int64 (n,), a number that follows from the group's own name.
    origin: where the names of the classes come from.
    """

    labels: Tensor
    classes: tuple[str, ...]
    inputs: Callable[[Tensor], Tensor]
    keys: Callable[[], Tensor]
    groups: Tensor | None = None
    origin: ClassesFrom = "data"

    @cached_property
    def units(self) -> Tensor:
        """What each record's coins are keyed on, int64 (n,): its group, or else its content."""
        return self.keys() if self.groups is None else self.groups

    def take(
        self, index: Tensor, name: str, mirror: bool, limit: int | None = None
    ) -> LabeledDataset:
        """The records at ``index`` as a checked dataset; ``limit``: as it says of a slice."""
        groups = None if self.groups is None else self.groups[index]
        return LabeledDataset(
            inputs=self.inputs(index),
            labels=self.labels[index],
            classes=self.classes,
            groups=groups,
            mirror=mirror,
            name=name,
            limit=limit,
            classes_from=self.origin,
        )

    def usable(self, usable: Tensor, where: str) -> "Records":
        """The records where ``usable``, a bool mask; a warning says how many are left out."""
        lost = int((~usable).sum())
        if lost == 0:
            return self
        warnings.warn(
            f"{where}: {lost} of {len(usable)} records cannot be used (a label that is none of the "
            "classes, a value or group that is missing or out of range) and are left out",
            DataWarning,
            stacklevel=2,
        )
        kept = usable.nonzero()[:, 0]
        return replace(
            self,
            labels=self.labels[kept],
            inputs=lambda index: self.inputs(kept[index]),
            keys=lambda: self.keys()[kept],
            groups=None if self.groups is None else self.groups[kept],
        )

    def everything(self) -> Tensor:
        """The index of every record."""
        return torch.arange(len(self.labels))


@dataclass(frozen=True)
class Parts:
    """What a source holds: its records, and its own test records where it has some."""

    private: Records
    test: Records | None = None
    mirror: bool = False


@dataclass(frozen=True)
class SourceStatus:
    """One line of ``limbeck data``: what the source is, and whether and where it is reachable."""

    name: str
    summary: str
    reachable: bool
    where: str


class Source(ABC):
    """One kind of data. Listing it in ``sources.SOURCES`` is all that adding one takes.

    named: whether ``name`` alone finds the data (``load("digits")``), or a path is needed.
    """

    name: str
    summary: str
    named: bool = False

    @abstractmethod
    def claims(self, path: Path) -> bool:
        """Whether the file or folder looks like this source's format, judged by names alone."""

    @abstractmethod
    def status(self, root: Path | None) -> SourceStatus:
        """Whether and where the data can be had now; reads no record."""

    @abstractmethod
    def read(self, path: Path | None, request: Request) -> Parts:
        """List the records at ``path``, or of the named source; DatasetError in one line."""
