"""Parquet files and Hugging Face ``datasets`` saved on disk (extra ``tables``).

Both become an Arrow table: a column of encoded images with a label column, or numeric columns
with public ranges as in ``tables``.
"""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.hashing import bytes_keys
from limbeck.data.sources.arrays import group_numbers
from limbeck.data.sources.base import Parts, Records, Request, Source, SourceStatus
from limbeck.data.sources.images import common_form, decode
from limbeck.data.sources.labels import UNLISTED, numbered
from limbeck.data.sources.tables import label_column, records_of_columns
from limbeck.errors import DatasetError, DataWarning, OptionError

Table = Any  # pyarrow.Table: pyarrow is an extra, so its names cannot stand in annotations


class Parquet(Source):
    """One Parquet file, or a folder of them (files named train*/test* keep that split)."""

    name = "parquet"
    summary = "Parquet file or folder: images or numeric columns (extra: tables)"

    def claims(self, path: Path) -> bool:
        return path.suffix == ".parquet" or bool(_parquet_files(path))

    def status(self, root: Path | None) -> SourceStatus:
        return _status(self, "pyarrow")

    def read(self, path: Path | None, request: Request) -> Parts:
        assert path is not None
        _require("pyarrow", path)
        files = [path] if path.is_file() else _parquet_files(path)
        test = [f for f in files if f.name.startswith("test")]
        rest = [f for f in files if f not in test]
        if not test or not rest:
            return Parts(_records(_read_parquet(files), path, request)[0])
        private, settled = _records(_read_parquet(rest), path, request)
        return Parts(private, _records(_read_parquet(test), path, settled, private)[0])


class HuggingFace(Source):
    """A Hugging Face ``Dataset`` or ``DatasetDict`` written with ``save_to_disk``."""

    name = "huggingface"
    summary = "Hugging Face datasets folder made by save_to_disk (extra: tables)"

    def claims(self, path: Path) -> bool:
        return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()

    def status(self, root: Path | None) -> SourceStatus:
        return _status(self, "datasets")

    def read(self, path: Path | None, request: Request) -> Parts:
        assert path is not None
        _require("datasets", path)
        import datasets
        import pyarrow

        try:
            found = datasets.load_from_disk(str(path))
        except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
            raise DatasetError(
                f"{path} cannot be read as a Hugging Face dataset ({_first_line(error)}); save "
                "it again"
            ) from None
        splits = found if isinstance(found, datasets.DatasetDict) else {"train": found}
        if "train" not in splits:
            raise DatasetError(f"{path} has the splits {', '.join(splits)}; one must be 'train'")
        private, settled = _records(_arrow(splits["train"]), path, request)
        if "test" not in splits:
            return Parts(private)
        return Parts(private, _records(_arrow(splits["test"]), path, settled, private)[0])


def _status(source: Source, package: str) -> SourceStatus:
    there = find_spec(package) is not None
    where = "give the path" if there else f"needs {package}: pip install 'limbeck[tables]'"
    return SourceStatus(source.name, source.summary, there, where)


def _require(package: str, path: Path) -> None:
    if find_spec(package) is None:
        raise OptionError(
            f"{path}: reading it needs {package}; install it with pip install 'limbeck[tables]'"
        )


def _parquet_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet")) if folder.is_dir() else []


def _read_parquet(files: list[Path]) -> Table:
    import pyarrow
    import pyarrow.parquet

    tables = []
    for file in files:
        try:
            tables.append(pyarrow.parquet.read_table(file))
        except (OSError, pyarrow.ArrowException) as error:
            raise DatasetError(
                f"{file} is damaged or no Parquet file ({_first_line(error)}); write it again"
            ) from None
    try:
        return pyarrow.concat_tables(tables)
    except pyarrow.ArrowException:
        raise DatasetError(
            f"{files[0].parent}: its {len(files)} Parquet files have different columns; give one"
        ) from None


def _arrow(dataset: Any) -> Table:
    """The rows of a Hugging Face dataset, after its own selections, with the schema's metadata."""
    import datasets

    table = dataset.with_format("arrow")[:]
    return table.replace_schema_metadata(
        datasets.Features(dataset.features).arrow_schema.metadata or {}
    )


def _records(
    table: Table, path: Path, request: Request, private: Records | None = None
) -> tuple[Records, Request]:
    """The table's records, and the request with the form that all its images have.

    private: those whose test records the table holds: they have the same classes.
    """
    if table.num_rows == 0 and not request.guaranteed:
        raise DatasetError(f"{path} has no row; add records")
    names = list(table.column_names)
    label = label_column(names, path, request)
    if request.group is not None and request.group not in names:
        raise OptionError(f"{path} has no column {request.group!r} for group; it has {names}")
    for name in (label, request.group):
        if name is not None and table.column(name).null_count and request.guaranteed:
            kept = table.filter(table.column(name).is_valid())
            warnings.warn(
                f"{path}: column {name!r} is empty in {table.num_rows - kept.num_rows} of "
                f"{table.num_rows} records, which are left out",
                category=DataWarning,
                stacklevel=2,
            )
            table = kept
        elif name is not None and table.column(name).null_count:
            raise DatasetError(
                f"{path}: column {name!r} is empty in {table.column(name).null_count} of "
                f"{table.num_rows} records; fill or remove them first"
            )
    classes = _class_names(table, label)
    if private is not None and request.classes is None:
        classes = private.classes
    images = next((n for n in names if n != label and _holds_images(table, n)), None)
    if images is not None:
        return _image_records(table, images, label, path, request, classes)
    columns = {name: _values(table, name, path) for name in names}
    return records_of_columns(columns, path, request, classes), request


def _image_records(
    table: Table,
    column: str,
    label: str,
    path: Path,
    request: Request,
    classes: tuple[str, ...] | None,
) -> tuple[Records, Request]:
    import pyarrow

    stored = table.column(column).combine_chunks()
    if pyarrow.types.is_struct(stored.type):
        stored = stored.field("bytes")
    if stored.null_count:
        raise DatasetError(
            f"{path}: column {column!r} lacks the image itself in {stored.null_count} of "
            f"{len(stored)} records; store the encoded bytes"
        )
    names = [f"{path}: {column} of row {i}" for i in range(len(stored))]
    settled = common_form([value.as_py() for value in stored], names, request)
    labels = numbered(_values(table, label, path), classes, request, str(path))
    usable = labels.numbers != UNLISTED

    def read(index: Tensor) -> Tensor:
        chosen = index.tolist()
        return decode([stored[i].as_py() for i in chosen], [names[i] for i in chosen], settled)

    def keys() -> Tensor:
        return bytes_keys(value.as_py() for value in stored)

    groups = None
    if request.group is not None:
        groups, named = group_numbers(_values(table, request.group, path), request, str(path))
        usable &= named
    records = Records(labels.numbers, labels.classes, read, keys, groups, labels.origin)
    return records.usable(usable, str(path)), settled


def _values(table: Table, name: str, path: Path) -> NDArray[Any]:
    """One column as an array of numbers or words; an empty cell becomes NaN."""
    import pyarrow

    column = table.column(name)
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    if pyarrow.types.is_nested(column.type) or pyarrow.types.is_binary(column.type):
        raise DatasetError(
            f"{path}: column {name!r} holds {column.type}, neither numbers nor images; leave it out"
        )
    values: NDArray[Any] = column.to_numpy()
    return values


def _holds_images(table: Table, name: str) -> bool:
    import pyarrow

    kind = table.schema.field(name).type
    if pyarrow.types.is_struct(kind):
        return "bytes" in {field.name for field in kind}
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _class_names(table: Table, label: str) -> tuple[str, ...] | None:
    """The names of a ClassLabel column, which Hugging Face keeps in the schema's metadata."""
    written = (table.schema.metadata or {}).get(b"huggingface")
    if written is None:
        return None
    feature = json.loads(written).get("info", {}).get("features", {}).get(label, {})
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return None if names is None else tuple(map(str, names))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
