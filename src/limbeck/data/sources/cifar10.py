"""CIFAR-10 in its binary version: records of one label byte and 3x32x32 pixel bytes."""

import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.sources.arrays import from_arrays
from limbeck.data.sources.base import Parts, Records, Request, Source, SourceStatus
from limbeck.data.sources.places import cache_folder, fetch, search
from limbeck.errors import DatasetError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

_ARCHIVE = "cifar-10-binary.tar.gz"
_FOLDER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32
_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


class Cifar10(Source):
    """60,000 colour photographs [Krizhevsky 2009]: train (50000, 3, 32, 32) and test 10,000."""

    name = "cifar10"
    summary = "60,000 photographs, 3x32x32, 10 classes (Krizhevsky 2009)"
    named = True

    def claims(self, path: Path) -> bool:
        return path.name == _ARCHIVE or _batches_in([path, path / _FOLDER]) is not None

    def status(self, root: Path | None) -> SourceStatus:
        place = self._find(root)
        where = str(place) if place else f"download from {URL}"
        return SourceStatus(self.name, self.summary, place is not None, where)

    def read(self, path: Path | None, request: Request) -> Parts:
        place = self._find(path or request.root)
        if place is None and (path or request.root):
            raise DatasetError(
                f"cifar10: {path or request.root} holds neither {_ARCHIVE} nor {_FOLDER}/ with its "
                "six .bin files; correct the folder, or leave it out to use the cache"
            )
        if place is None:
            place = fetch(URL, SHA256, cache_folder(self.name) / _ARCHIVE, name=self.name)
        batches = _from_archive(place) if place.is_file() else _from_folder(place)
        train = np.concatenate([_parse(batches[name], f"{place}: {name}") for name in _TRAIN])
        test = _parse(batches[_TEST], f"{place}: {_TEST}")
        return Parts(_records(train, place, request), _records(test, place, request), mirror=True)

    def _find(self, root: Path | None) -> Path | None:
        """The archive or the folder of batches, whichever is there."""
        if root is not None and root.is_file():
            return root
        bases = [root, root / self.name] if root is not None else [cache_folder(self.name)]
        batches = _batches_in([folder for base in bases for folder in (base, base / _FOLDER)])
        if batches is not None:
            return batches
        archive = search(bases, [(_ARCHIVE,)])
        return archive[0] if archive else None


def _batches_in(folders: list[Path]) -> Path | None:
    found = search(folders, [(name,) for name in (*_TRAIN, _TEST)])
    return found[0].parent if found else None


def _from_folder(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (*_TRAIN, _TEST)}


def _from_archive(archive: Path) -> Mapping[str, bytes]:
    """The six batches, read in memory: nothing of the archive is unpacked to the disk."""
    batches: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                name = Path(member.name).name
                file = tar.extractfile(member) if name in (*_TRAIN, _TEST) else None
                if file is not None:
                    batches[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DatasetError(f"{archive} is cut short or damaged ({error}); fetch it again") from None
    missing = [name for name in (*_TRAIN, _TEST) if name not in batches]
    if missing:
        raise DatasetError(
            f"{archive} lacks {missing[0]}; give the binary version of CIFAR-10, {_ARCHIVE}"
        )
    return batches


def _parse(batch: bytes, where: str) -> NDArray[np.uint8]:
    """Records (n, 3073) of one batch."""
    if not batch or len(batch) % _RECORD:
        raise DatasetError(
            f"{where} has {len(batch)} bytes, not a multiple of {_RECORD} (one record); it is cut "
            "short: fetch it again"
        )
    return np.frombuffer(batch, dtype=np.uint8).reshape(-1, _RECORD)


def _records(batch: NDArray[np.uint8], place: Path, request: Request) -> Records:
    images = batch[:, 1:].reshape(-1, 3, 32, 32)
    return from_arrays(images, batch[:, 0], where=str(place), request=request, classes=_CLASSES)
