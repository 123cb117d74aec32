"""CelebA: aligned photographs of faces, an attribute file, and who is in each picture.

Reads the published layout [Liu 2015]: ``list_attr_celeba.txt`` (a count, the 40 names, then one
line of -1 and 1 per image), the images in ``img_align_celeba/`` or beside it, and where present
``identity_CelebA.txt`` (the person of each image: the groups) and ``list_eval_partition.txt``
(0: train, which is private; 2: test; 1, validation, is left out).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.hashing import bytes_keys
from limbeck.data.sources.base import Parts, Records, Request, Source, SourceStatus
from limbeck.data.sources.images import decode
from limbeck.data.sources.labels import UNLISTED, numbered
from limbeck.data.sources.places import cache_folder
from limbeck.errors import DatasetError, OptionError

_ATTRIBUTES = "list_attr_celeba.txt"
_IDENTITY = "identity_CelebA.txt"
_PARTITION = "list_eval_partition.txt"
_IMAGES = ("img_align_celeba", "Img/img_align_celeba", "images", ".")
_SIZE = 64


class CelebA(Source):
    """Faces with one of 40 attributes as the label, centre-cropped; 3x64x64 unless told."""

    name = "celeba"
    summary = "202,599 faces, 40 attributes (say which is the label), groups: persons (Liu 2015)"
    named = True

    def claims(self, path: Path) -> bool:
        return _home([path]) is not None

    def status(self, root: Path | None) -> SourceStatus:
        home = _home(_places(root))
        where = (
            str(home)
            if home
            else f"not found; place {_ATTRIBUTES} and images in {_places(root)[0]}"
        )
        return SourceStatus(self.name, self.summary, home is not None, where)

    def read(self, path: Path | None, request: Request) -> Parts:
        places = _places(path or request.root)
        home = _home(places)
        if home is None:
            raise DatasetError(
                f"celeba: {places[0]} lacks {_ATTRIBUTES}; its licence forbids automatic download: "
                "place that file and img_align_celeba/ there"
            )
        names, attributes, values = _attributes(home / _ATTRIBUTES)
        column = _column(request.label, attributes)
        known = (f"not {attributes[column]}", attributes[column])
        has = (values[:, column] == 1).astype(np.int64)
        labels = numbered(has, known, request, str(home / _ATTRIBUTES))
        people = _numbers_of(home / _IDENTITY, names)
        split = _numbers_of(home / _PARTITION, names)
        folder = _image_folder(home, names[0])
        form = Request(size=request.size or _SIZE, channels=request.channels or 3)

        def records(chosen: NDArray[np.int64]) -> Records:
            def read(index: Tensor) -> Tensor:
                files = [folder / str(name) for name in names[chosen[index.numpy()]]]
                return decode(files, list(map(str, files)), form, crop=True)

            def keys() -> Tensor:  # of the names of the images, which are theirs alone
                return bytes_keys(str(name).encode() for name in names[chosen])

            groups = None if people is None else torch.from_numpy(people[chosen])
            own = labels.numbers[torch.from_numpy(chosen)]
            found = Records(own, labels.classes, read, keys, groups, labels.origin)
            return found.usable(own != UNLISTED, str(home / _ATTRIBUTES))

        if split is None:
            return Parts(records(np.arange(len(names))), mirror=True)
        private, test = np.flatnonzero(split == 0), np.flatnonzero(split == 2)
        if len(private) == 0 or len(test) == 0:
            raise DatasetError(
                f"{home / _PARTITION} marks {len(private)} images as training (0) and {len(test)} "
                "as test (2); correct it or remove it"
            )
        return Parts(records(private), records(test), mirror=True)


def _places(root: Path | None) -> list[Path]:
    return [root, root / "celeba"] if root is not None else [cache_folder("celeba")]


def _home(places: list[Path]) -> Path | None:
    folders = [folder for place in places for folder in (place, place / "Anno")]
    return next((f for f in folders if (f / _ATTRIBUTES).is_file()), None)


def _column(label: str | None, attributes: list[str]) -> int:
    if label not in attributes:
        raise OptionError(
            f"celeba: label is {label!r}; say which attribute is the label, such as "
            f"label='Male', one of {', '.join(attributes)}"
        )
    return attributes.index(label)


def _image_folder(home: Path, first: str) -> Path:
    bases = [home, home.parent] if home.name == "Anno" else [home]
    for folder in (base / name for base in bases for name in _IMAGES):
        if (folder / first).is_file():
            return folder
    raise DatasetError(f"celeba: {home} lacks img_align_celeba/{first}; place the images there")


def _attributes(path: Path) -> tuple[NDArray[Any], list[str], NDArray[np.int64]]:
    """File names (n,), attribute names, and their values (n, attributes) of -1 and 1."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    attributes = lines[1].split() if len(lines) > 2 else []
    cells = _cells(lines[2:], 1 + len(attributes), path)
    try:
        values = cells[:, 1:].astype(np.int64)
    except ValueError:
        values = np.zeros((0, 0), np.int64)
    announced = lines[0].strip() if lines else ""
    if not attributes or not np.isin(values, (-1, 1)).all() or announced != str(len(values)):
        raise DatasetError(
            f"{path} is cut short or damaged: it announces {announced or 'no'} images and holds "
            f"{len(values)} with values -1 or 1; fetch it again"
        )
    return cells[:, 0], attributes, values


def _numbers_of(path: Path, names: NDArray[Any]) -> NDArray[np.int64] | None:
    """The number that a file of ``image number`` lines gives each of ``names``; None: no file."""
    if not path.is_file():
        return None
    cells = _cells(path.read_text(encoding="utf-8", errors="replace").splitlines(), 2, path)
    order = np.argsort(cells[:, 0], kind="stable")
    at = order[np.searchsorted(cells[:, 0], names, sorter=order).clip(max=len(cells) - 1)]
    if (cells[at, 0] != names).any():
        missing = names[cells[at, 0] != names][0]
        raise DatasetError(f"{path} has no line for {missing}; it is cut short: fetch it again")
    try:
        numbers: NDArray[np.int64] = cells[at, 1].astype(np.int64)
    except ValueError as error:
        raise DatasetError(
            f"{path} holds a value that is no number ({error}); fetch it again"
        ) from None
    return numbers


def _cells(lines: list[str], width: int, path: Path) -> NDArray[Any]:
    """Lines of ``width`` words each as an array of words (n, width)."""
    rows = [line.split() for line in lines if line.strip()]
    if not rows or any(len(row) != width for row in rows):
        raise DatasetError(
            f"{path} is cut short or damaged: its lines should have {width} words each; fetch it "
            "again"
        )
    return np.array(rows, dtype=np.str_)
