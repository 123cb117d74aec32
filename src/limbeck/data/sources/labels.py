"""Labels as numbers: each by its class's name or place in a list that is public, or in the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.sources.base import Request
from limbeck.errors import DatasetError
from limbeck.types import ClassesFrom

UNLISTED = -1
"""The number of a record whose label is none of the classes, where a guarantee is to be claimed."""


@dataclass(frozen=True)
class Labels:
    """numbers: int64 (n,), places in ``classes``, or ``UNLISTED``. origin: of the names."""

    numbers: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    origin: ClassesFrom


def numbered(
    labels: NDArray[Any], known: tuple[str, ...] | None, request: Request, where: str
) -> Labels:
    """Labels (n,) of integers or words as places in the list of classes.

    known: the classes in the order in which integers count them, where the data come with a list.
    The classes are ``request.classes`` where given, else ``known``, else what the labels are.
    Integers without a list of the data's own stand for names that are all integers themselves,
    and otherwise for places in the list, from 0.

    DatasetError names the first record whose label is none of the classes; where a guarantee is to
    be claimed, such records are numbered ``UNLISTED``.
    """
    if labels.dtype.kind not in "iuUS":
        raise DatasetError(f"{where}: labels are {labels.dtype}; give integers or words")
    if labels.dtype.kind in "iu":
        labels = labels.astype(np.int64)  # small types cannot hold UNLISTED
    _require_distinct(known, where)
    words = labels.astype(str) if labels.dtype.kind in "US" else None
    listed = request.classes or known
    if listed is None:
        return _as_found(labels, words, where)
    if words is None and request.classes is not None:
        words = _words(labels, known, request.classes)
    if words is not None:
        places = _looked_up(words, listed)
    else:
        places = np.where((labels >= 0) & (labels < len(listed)), labels, UNLISTED)
    strange = np.flatnonzero(places == UNLISTED)
    if len(strange) and not request.guaranteed:
        first = int(strange[0])
        label = str(labels[first]) if words is None else str(words[first])
        raise DatasetError(f"{where}: {unlisted(f'label {label!r} of record {first}', listed)}")
    origin: ClassesFrom = "list" if request.classes is not None else "source"
    return Labels(torch.from_numpy(places), listed, origin)


def unlisted(what: str, classes: Sequence[str]) -> str:
    """The error for a label, named by ``what``, that is none of the classes."""
    shown = ", ".join(map(repr, classes[:5])) + (", ..." if len(classes) > 5 else "")
    return (
        f"{what} is none of the {len(classes)} classes ({shown}); correct the label or the list "
        "of classes"
    )


def _require_distinct(classes: tuple[str, ...] | None, where: str) -> None:
    if classes is not None and len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise DatasetError(
            f"{where}: two classes are called {twice!r}; give each a name of its own"
        )


def _words(
    labels: NDArray[Any], known: tuple[str, ...] | None, classes: tuple[str, ...]
) -> NDArray[Any] | None:
    """The names that integers stand for; None where they are places in ``classes``."""
    if known is None:
        by_name = all(name.removeprefix("-").isdecimal() for name in classes)
        return labels.astype(str) if by_name else None
    inside = (labels >= 0) & (labels < len(known))
    # A number that the data's own list does not have stays as it is, and is found in no list.
    return np.where(inside, np.array(known)[np.where(inside, labels, 0)], labels.astype(str))


def _looked_up(words: NDArray[Any], classes: tuple[str, ...]) -> NDArray[Any]:
    """The place of each word in the list, or ``UNLISTED``."""
    names = np.array(classes)
    order = np.argsort(names, kind="stable")
    at = order[np.searchsorted(names, words, sorter=order).clip(max=len(names) - 1)]
    return np.where(names[at] == words, at, UNLISTED)


def _as_found(labels: NDArray[Any], words: NDArray[Any] | None, where: str) -> Labels:
    """Labels that name their classes themselves: all words, or 0 to the highest number."""
    if words is not None:
        names, at = np.unique(words, return_inverse=True)
        return Labels(torch.from_numpy(at), tuple(names.tolist()), "data")
    numbers = torch.from_numpy(labels)
    if len(numbers) == 0:
        raise DatasetError(f"{where}: no record, and no list of classes; give records or the list")
    first, last = int(numbers.min()), int(numbers.max())
    if first < 0:
        raise DatasetError(
            f"{where}: labels ({len(numbers)}) range from {first} to {last}; number the classes "
            "from 0"
        )
    if last >= len(numbers):
        raise DatasetError(
            f"{where}: the highest label is {last}, but there are {len(numbers)} records; number "
            "the classes from 0 without gaps, or list them"
        )
    return Labels(numbers, tuple(map(str, range(last + 1))), "data")
