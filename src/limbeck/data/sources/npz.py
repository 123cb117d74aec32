"""NumPy archives: ``inputs`` and ``labels``, and what may stand beside them."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.sources.arrays import from_arrays
from limbeck.data.sources.base import Parts, Request, Source, SourceStatus
from limbeck.errors import DatasetError


class NpzFile(Source):
    """``inputs``, ``labels``; optionally ``classes``, ``groups``, ``test_inputs``, ``test_labels``.

    Arrays of Python objects are refused: reading them would run code stored in the file.
    """

    name = "npz"
    summary = "NumPy .npz with inputs and labels (optionally classes, groups, test_inputs, ...)"

    def claims(self, path: Path) -> bool:
        return path.suffix == ".npz"

    def status(self, root: Path | None) -> SourceStatus:
        return SourceStatus(self.name, self.summary, True, "give the file")

    def read(self, path: Path | None, request: Request) -> Parts:
        assert path is not None
        arrays = read_archive(path)
        missing = {"inputs", "labels"} - set(arrays)
        if missing:
            raise DatasetError(
                f"{path} holds {', '.join(sorted(arrays)) or 'nothing'} and lacks "
                f"{min(missing)!r}; save it with np.savez(path, inputs=..., labels=...)"
            )
        named = arrays.get("classes")
        known = None if named is None else tuple(map(str, named.tolist()))
        private = from_arrays(
            arrays["inputs"],
            arrays["labels"],
            where=str(path),
            request=request,
            classes=known,
            groups=arrays.get("groups"),
        )
        if "test_inputs" not in arrays:
            return Parts(private)
        if "test_labels" not in arrays:
            raise DatasetError(f"{path} holds test_inputs without test_labels; add them")
        test = from_arrays(
            arrays["test_inputs"],
            arrays["test_labels"],
            where=f"{path} (test)",
            request=request,
            classes=known if request.classes is not None else private.classes,
        )
        return Parts(private, test)


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of an archive by name; DatasetError where it is damaged or holds objects."""
    if not zipfile.is_zipfile(path):
        raise DatasetError(f"{path} is no .npz archive, or is cut short; write it again")
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            key = entry.removesuffix(".npy")
            try:
                with archive.open(entry) as file:
                    arrays[key] = np.lib.format.read_array(file, allow_pickle=False)
            except (ValueError, EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
                if "Object arrays" in str(error):
                    raise DatasetError(
                        f"{path}: {key!r} holds Python objects, which are never loaded; save it as "
                        "an array of numbers"
                    ) from None
                raise DatasetError(
                    f"{path}: {key!r} is damaged ({error}); write it again"
                ) from None
    return arrays
