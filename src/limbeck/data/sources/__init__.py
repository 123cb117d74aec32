"""Data sources by name, file or folder: ``load`` gives (private, test), ``read`` one dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.division import coin_slice, coin_split
from limbeck.data.sources.base import Parts, Records, Request, Source, SourceStatus
from limbeck.data.sources.celeba import CelebA
from limbeck.data.sources.cifar10 import Cifar10
from limbeck.data.sources.columns import HuggingFace, Parquet
from limbeck.data.sources.digits import Digits
from limbeck.data.sources.folder import ImageFolder
from limbeck.data.sources.idx import FASHION_MNIST, MNIST, IdxFolder
from limbeck.data.sources.npz import NpzFile
from limbeck.data.sources.tables import CsvTable
from limbeck.data.splits import stratified_sample, stratified_split
from limbeck.errors import DatasetError

__all__ = [
    "SOURCES",
    "Request",
    "Source",
    "SourceStatus",
    "available",
    "is_named",
    "listed",
    "load",
    "read",
]

# A path goes to the first source that claims it; any folder may be a folder of images, so last.
SOURCES: tuple[Source, ...] = (
    Digits(),
    FASHION_MNIST,
    MNIST,
    Cifar10(),
    CelebA(),
    IdxFolder(),
    NpzFile(),
    CsvTable(),
    Parquet(),
    HuggingFace(),
    ImageFolder(),
)


def load(
    spec: str | Path,
    *,
    limit: int | None = None,
    test_share: float = 0.2,
    seed: int = 0,
    size: int | None = None,
    channels: int | None = None,
    label: str | None = None,
    group: str | None = None,
    value_range: tuple[float, float] | None = None,
    mirror: bool | None = None,
    root: str | Path | None = None,
    classes: Sequence[str] | None = None,
    guaranteed: bool = False,
) -> tuple[LabeledDataset, LabeledDataset]:
    """(private, test) of a named source (``digits``) or of a file or folder.

    spec: a name of ``SOURCES`` (a folder of that name is reached as ``./name``) or a path.
    limit: keep that many private records, a random slice.
    test_share, seed: where the data have no test part of their own, this share becomes one, never
        separating the records of a group; the slice also follows the seed. Keep the seed the same
        wherever the two parts of the same data are used.
        Of a file or folder each record is put aside by a coin of its own (``data.division``): equal
        records together, and one record more moves no other. A named source is public, and divided
        in the classes' own proportions (``data.splits``).
    size, channels: images become size x size pixels of 1 or 3 channels.
    label, group: the columns (tables) or attribute (CelebA) with the label and the person.
    value_range: the public (lowest, highest) value of every input, scaled to [0, 1]; values
        outside are clipped.
    mirror: whether a mirrored image keeps its label; by default the source's own word, else no.
    root: the folder with a named source's files; by default the cache is searched.
    classes: their names, in order, known without the data; some may have no record. None: the
        source's own list, or else what the labels are (``LabeledDataset.classes_from`` says which).
    guaranteed: a guarantee will be claimed of what is made of the private part. A record whose
        label is none of the classes, or that cannot be used otherwise, is then left out, with a
        warning to the data's owner, and either part may be empty: an error would depend on single
        records.

    DatasetError or OptionError, in one line, when the data cannot be used as given.
    """
    request = _request(size, channels, label, group, value_range, mirror, root, classes, guaranteed)
    name, parts = _parts(spec, request)
    flip = parts.mirror if mirror is None else mirror
    records, test = parts.private, parts.test
    public = _named(spec) is not None
    if test is None:
        kept, held_out = _split(records, test_share, seed, public)
        test = records
    else:
        kept, held_out = records.everything(), test.everything()
    for part, use, other in ((kept, "training", "smaller"), (held_out, "testing", "larger")):
        if len(part) == 0 and not guaranteed:
            raise DatasetError(
                f"{name}: {len(records.labels)} records with test_share {test_share} leave none "
                f"for {use}; give more records or a {other} share"
            )
    if limit is not None:
        kept = _slice(records, kept, limit, seed, public)
    private = records.take(kept, name, flip, limit)
    held = test.take(held_out, f"{name} (test)", flip)
    if held.shape != private.shape:
        raise DatasetError(
            f"{name}: private records have shape {private.shape}, test records {held.shape}; make "
            "them agree (images: say the size)"
        )
    return private, held


def read(
    spec: str | Path,
    *,
    part: Literal["test", "private"] = "test",
    limit: int | None = None,
    test_share: float = 0.2,
    seed: int = 0,
    size: int | None = None,
    channels: int | None = None,
    label: str | None = None,
    group: str | None = None,
    value_range: tuple[float, float] | None = None,
    mirror: bool | None = None,
    root: str | Path | None = None,
    classes: Sequence[str] | None = None,
    guaranteed: bool = False,
) -> LabeledDataset:
    """One dataset: the part to test on, or the private part; all of a file that is not split.

    A named source without its own test part (``digits``) gives the part that ``load`` holds out,
    or keeps, with the same test_share and seed. limit: keep that many records, a random slice.
    Options and errors are otherwise those of ``load``.
    """
    request = _request(size, channels, label, group, value_range, mirror, root, classes, guaranteed)
    name, parts = _parts(spec, request)
    testing = part == "test"
    chosen = parts.test if testing and parts.test is not None else parts.private
    index = chosen.everything()
    if parts.test is None and _named(spec) is not None:
        index = _split(chosen, test_share, seed, public=True)[1 if testing else 0]
    if limit is not None:
        index = _slice(chosen, index, limit, seed, _named(spec) is not None)
    called = f"{name} (test)" if testing else name
    return chosen.take(index, called, parts.mirror if mirror is None else mirror, limit)


def listed(
    spec: str | Path, *, size: int | None = None, channels: int | None = None
) -> tuple[str, Records]:
    """What to call the data, and their records (the training part), read only where chosen.

    Options and errors are those of ``load``.
    """
    name, parts = _parts(spec, Request(size=size, channels=channels))
    return name, parts.private


def is_named(spec: str | Path) -> bool:
    """Whether ``load`` takes it for a named source, and not for a path."""
    return _named(spec) is not None


def available(root: str | Path | None = None) -> list[SourceStatus]:
    """Every source, and whether and where it can be reached now (``root``: look there)."""
    return [source.status(None if root is None else Path(root)) for source in SOURCES]


def _request(
    size: int | None,
    channels: int | None,
    label: str | None,
    group: str | None,
    value_range: tuple[float, float] | None,
    mirror: bool | None,
    root: str | Path | None,
    classes: Sequence[str] | None,
    guaranteed: bool,
) -> Request:
    folder = None if root is None else Path(root)
    names = None if classes is None else tuple(classes)
    return Request(size, channels, label, group, value_range, mirror, folder, names, guaranteed)


def _split(records: Records, share: float, seed: int, public: bool) -> tuple[Tensor, Tensor]:
    """Indices of the private and of the test records."""
    if public:
        return stratified_split(records.labels, share, seed, records.groups)
    return coin_split(records.units, share, seed)


def _slice(records: Records, index: Tensor, limit: int, seed: int, public: bool) -> Tensor:
    """At most ``limit`` of the records at ``index``."""
    if limit >= len(index):
        return index
    if public:
        return index[stratified_sample(records.labels[index], limit, seed)]
    return index[coin_slice(records.units[index], limit, seed)]


def _named(spec: str | Path) -> Source | None:
    if isinstance(spec, Path):
        return None
    return next((source for source in SOURCES if source.named and source.name == spec), None)


def _parts(spec: str | Path, request: Request) -> tuple[str, Parts]:
    """What to call the data, and the parts that its source finds."""
    source = _named(spec)
    if source is not None:
        return source.name, source.read(None, request)
    path = Path(spec).expanduser()
    names = ", ".join(source.name for source in SOURCES if source.named)
    if not path.exists():
        raise DatasetError(
            f"{str(spec)!r} is neither a named source ({names}) nor an existing file or folder; "
            "correct it"
        )
    claimant = next((source for source in SOURCES if source.claims(path)), None)
    if claimant is None:
        raise DatasetError(
            f"{path} is of no known kind; give a folder of images by class, a .npz, .csv, .tsv or "
            f".parquet file, or a named source ({names})"
        )
    return path.stem or str(path), claimant.read(path, request)
