"""Which data a source is: the place it was given by, and a keyed hash of what lies there.

The place is known before a record is read. The hashes are of the bytes of a file (of all files of a
folder, in any order and by any name), and of all records as they were read, in any order, so that a
copy elsewhere or in another format is the same data. An edited copy is not.

The key never leaves the owner's folder: without it nobody can try guessed records on a hash.
"""

import hmac
from collections.abc import Iterator, Sequence
from pathlib import Path

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError

_BLOCK = 1 << 20


def place(source: str | Path) -> str:
    """A named source by its name, a path as an absolute one, links resolved.

    The same for every option of reading: label, size, split, slice, folder of a named source.
    """
    from limbeck.data.sources import is_named

    if is_named(source):
        return str(source)
    return str(Path(source).expanduser().resolve())


def content_hashes(
    key: bytes, where: str, parts: Sequence[LabeledDataset], *, whole: bool
) -> tuple[str, ...]:
    """Hashes by which a copy is recognised.

    where: as ``place`` gives it. parts: together all records, where ``whole``: a slice has no hash
    of its records.
    """
    found: list[str] = []
    path = Path(where)
    if path.is_absolute() and path.exists():
        files = sorted(_of_file(key, file) for file in _files(path))
        found.append("bytes:" + hmac.digest(key, b"".join(files), "sha256").hex())
    if whole:
        records = sorted(hmac.digest(key, one, "sha256") for one in _records(parts))
        found.append("records:" + hmac.digest(key, b"".join(records), "sha256").hex())
    return tuple(found)


def _records(parts: Sequence[LabeledDataset]) -> Iterator[bytes]:
    for part in parts:
        for record in part.inputs.detach().cpu().contiguous().numpy():
            yield record.tobytes()


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _of_file(key: bytes, path: Path) -> bytes:
    digest = hmac.new(key, digestmod="sha256")
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); mend it") from None
    return digest.digest()
