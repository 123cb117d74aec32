"""Folders of images by class: ``root/class/image``, perhaps under ``train/`` and ``test/``."""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from limbeck.data.hashing import bytes_keys
from limbeck.data.sources.base import Parts, Records, Request, Source, SourceStatus
from limbeck.data.sources.images import common_form, decode
from limbeck.data.sources.labels import unlisted
from limbeck.errors import DatasetError, DataWarning
from limbeck.types import ClassesFrom


class ImageFolder(Source):
    """One sub-folder per class, named as the class; hidden files and folders are passed over.

    A root whose only sub-folders are ``train`` and ``test`` (each with class folders) is taken
    as already split. Images may differ in mode and, where ``size`` is told, in size.
    """

    name = "folder"
    summary = "folder with one sub-folder of images per class, any sizes and modes"

    def claims(self, path: Path) -> bool:
        return path.is_dir()

    def status(self, root: Path | None) -> SourceStatus:
        return SourceStatus(self.name, self.summary, True, "give the folder")

    def read(self, path: Path | None, request: Request) -> Parts:
        assert path is not None
        if not _is_split(path):
            return Parts(_records(path, request, None)[0])
        private, settled = _records(path / "train", request, None)
        if not (path / "test").is_dir():
            return Parts(private)
        return Parts(private, _records(path / "test", settled, private.classes)[0])


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise DatasetError(
            f"{folder} cannot be listed ({error.strerror}); check its rights"
        ) from None


def _is_split(root: Path) -> bool:
    folders = {p.name for p in _visible(root) if p.is_dir()}
    if "train" not in folders or not folders <= {"train", "test"}:
        return False
    return any(p.is_dir() for p in _visible(root / "train"))


def _records(
    root: Path, request: Request, classes: tuple[str, ...] | None
) -> tuple[Records, Request]:
    """The images under ``root``, and the request with the form that they all have."""
    entries = _visible(root)
    stray = next((p for p in entries if not p.is_dir()), None)
    if stray is not None:
        raise DatasetError(
            f"{stray} lies beside the class folders and belongs to no class; move or remove it"
        )
    found = tuple(p.name for p in entries)
    if not found and request.classes is None:
        raise DatasetError(
            f"{root} has no class folders; arrange the images as {root.name}/<class>/<image>"
        )
    names = request.classes or classes or found
    strange = set(found) - set(names)
    if strange and request.classes is not None and not request.guaranteed:
        raise DatasetError(unlisted(f"{root}: the folder {min(strange)!r}", names))
    if strange and request.classes is None:
        raise DatasetError(
            f"{root} has a class {min(strange)!r} that the training folder lacks; correct its name"
        )
    by_class = {name: _files(root / name) for name in found if name in names}
    empty = next((name for name, files in by_class.items() if not files), None)
    if empty is not None and request.classes is None and not request.guaranteed:
        raise DatasetError(
            f"{root / empty} is an empty class (0 images); add images, remove the folder, or list "
            "the classes"
        )
    for name in sorted(strange):
        warnings.warn(
            f"{root / name}: the name is none of the {len(names)} classes; its images are left out",
            category=DataWarning,
            stacklevel=2,
        )
    files = [file for name in by_class for file in by_class[name]]
    numbers = [names.index(name) for name in by_class for _ in by_class[name]]
    labels = torch.tensor(numbers, dtype=torch.int64)
    shown = [str(file) for file in files]
    settled = common_form(files, shown, request)

    def read(index: Tensor) -> Tensor:
        chosen = index.tolist()
        return decode([files[i] for i in chosen], [shown[i] for i in chosen], settled)

    def keys() -> Tensor:
        return bytes_keys(file.read_bytes() for file in files)

    origin: ClassesFrom = "data" if request.classes is None else "list"
    return Records(labels, names, read, keys, origin=origin), settled


def _files(folder: Path) -> list[Path]:
    """All visible files of one class, also those in sub-folders, in a fixed order."""
    files = []
    for entry in _visible(folder):
        files += _files(entry) if entry.is_dir() else [entry]
    return files
