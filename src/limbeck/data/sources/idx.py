"""MNIST and Fashion-MNIST in the IDX format, and folders of IDX files in general.

IDX [LeCun]: two zero bytes, the type (8: unsigned byte), the number of axes, each axis as a
big-endian 32-bit integer, then the values. Files may be gzipped.
"""

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.sources.arrays import from_arrays
from limbeck.data.sources.base import Parts, Records, Request, Source, SourceStatus
from limbeck.data.sources.places import cache_folder, fetch, search
from limbeck.errors import DatasetError

_STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_FILES = tuple((f"{stem}.gz", stem, stem.replace("-idx", ".idx")) for stem in _STEMS)


class IdxSource(Source):
    """Four IDX files under a name: train and test, images and labels."""

    named = True

    def __init__(
        self,
        name: str,
        summary: str,
        *,
        url: str,
        sha256: tuple[str, str, str, str],
        classes: tuple[str, ...],
        mirror: bool,
        also: tuple[str, ...],
    ) -> None:
        """``sha256``: of the gzipped files under ``url``. ``also``: further places to look."""
        self.name = name
        self.summary = summary
        self.url = url
        self.sha256 = sha256
        self.classes = classes
        self.mirror = mirror
        self.also = also

    def claims(self, path: Path) -> bool:
        return False  # a path alone does not say whose images they are: see IdxFolder

    def status(self, root: Path | None) -> SourceStatus:
        found = search(self._folders(root), _FILES)
        where = str(found[0].parent) if found else f"download from {self.url}"
        return SourceStatus(self.name, self.summary, found is not None, where)

    def read(self, path: Path | None, request: Request) -> Parts:
        root = path or request.root
        paths = search(self._folders(root), _FILES)
        if paths is None and root is not None:
            raise DatasetError(
                f"{self.name}: {root} lacks the four files {_STEMS[0]}[.gz], ...; correct the "
                "folder, or leave it out to use the cache"
            )
        if paths is None:
            folder = cache_folder(self.name)
            paths = [
                fetch(f"{self.url}/{stem}.gz", digest, folder / f"{stem}.gz", name=self.name)
                for stem, digest in zip(_STEMS, self.sha256, strict=True)
            ]
        return _parts(paths, request, self.classes, self.mirror)

    def _folders(self, root: Path | None) -> list[Path]:
        if root is not None:
            return [root, root / self.name]
        return [cache_folder(self.name), *map(Path, self.also)]


class IdxFolder(Source):
    """Any folder that holds the four IDX files; classes are named by their numbers."""

    name = "idx"
    summary = "folder of IDX files named as MNIST's, gzipped or not"

    def claims(self, path: Path) -> bool:
        return search([path], _FILES[:2]) is not None

    def status(self, root: Path | None) -> SourceStatus:
        return SourceStatus(self.name, self.summary, True, "give the folder")

    def read(self, path: Path | None, request: Request) -> Parts:
        assert path is not None
        paths = search([path], _FILES) or search([path], _FILES[:2])
        if paths is None:
            raise DatasetError(f"{path} lacks {_STEMS[0]} or {_STEMS[1]}; add the files")
        return _parts(paths, request, None, mirror=False)


FASHION_MNIST = IdxSource(
    "fashion-mnist",
    "70,000 pictures of clothes, 1x28x28, 10 classes (Xiao 2017, arXiv 1708.07747)",
    url="https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    sha256=(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    mirror=True,
    also=("/usr/share/datasets/fashion-mnist",),  # Debian's dataset-fashion-mnist
)

MNIST = IdxSource(
    "mnist",
    "70,000 handwritten digits, 1x28x28, 10 classes (LeCun 1998)",
    url="https://ossci-datasets.s3.amazonaws.com/mnist",
    sha256=(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    classes=tuple("0123456789"),
    mirror=False,
    also=(),
)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of one IDX file of unsigned bytes; DatasetError when damaged or of another kind."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is cut short or damaged ({error}); fetch it again") from None
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or raw[3] == 0:
        raise DatasetError(
            f"{path} is not an IDX file of unsigned bytes (it begins {raw[:4].hex() or 'empty'}, "
            "not 000008); check where it comes from"
        )
    axes = raw[3]
    values = len(raw) - 4 - 4 * axes
    shape = np.frombuffer(raw[4 : 4 + 4 * axes], dtype=">u4").tolist() if values >= 0 else []
    if values < 0 or values != prod(shape):
        announced = "x".join(map(str, shape)) or f"{axes} axes of"
        raise DatasetError(
            f"{path} announces {announced} bytes and holds {max(values, 0)}; it is "
            "cut short or damaged: fetch it again"
        )
    array: NDArray[Any] = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)
    return array


def _parts(
    paths: list[Path], request: Request, classes: tuple[str, ...] | None, mirror: bool
) -> Parts:
    private = _records(paths[0], paths[1], request, classes)
    if len(paths) < 4:
        return Parts(private, mirror=mirror)
    known = classes if request.classes is not None else private.classes
    return Parts(private, _records(paths[2], paths[3], request, known), mirror)


def _records(
    images: Path, labels: Path, request: Request, classes: tuple[str, ...] | None
) -> Records:
    return from_arrays(
        read_idx(images), read_idx(labels), where=str(images), request=request, classes=classes
    )
