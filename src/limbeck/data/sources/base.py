"""What every data source offers: records that are listed first and read only where chosen."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError


@dataclass(frozen=True)
class Request:
    """How the caller wants the data; sources that an option does not concern ignore it.

    size: images are resized to size x size pixels. channels: 1 or 3.
    label: the column (tables) or attribute (CelebA) that is the label. group: the column that
    says whose record it is. value_range: the public (lowest, highest) value of every input.
    mirror: whether a mirrored image keeps its label; None leaves it to the source.
    root: folder that holds the files of a named source.
    """

    size: int | None = None
    channels: int | None = None
    label: str | None = None
    group: str | None = None
    value_range: tuple[float, float] | None = None
    mirror: bool | None = None
    root: Path | None = None

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


@dataclass(frozen=True)
class Records:
    """Labelled records whose inputs are read when asked for, so that a slice costs a slice.

    labels: int64 (n,). inputs(index): float32 in [0, 1], (k, *feature_shape), of those records.
    keys(): int64 (n,), a hash of each record's content alone, equal for equal records.
    groups: int64 (n,), a number that follows from the group's own name.
    """

    labels: Tensor
    classes: tuple[str, ...]
    inputs: Callable[[Tensor], Tensor]
    keys: Callable[[], Tensor]
    groups: Tensor | None = None

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
            self.inputs(index), self.labels[index], self.classes, groups, mirror, name, limit
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
