"""CSV tables: numeric columns scaled by public ranges, one column the label.

The ranges come from ``value_range`` (the same for every column) or from ``NAME.ranges.toml`` or
``NAME.ranges.json`` beside the table: one ``column = [lowest, highest]`` per input. They must be
public knowledge (an age lies in 0 to 120); ranges taken from the data would leak its extremes.
Values outside their range are clipped to it.
"""

import csv
import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.sources.arrays import from_arrays, rescale
from limbeck.data.sources.base import Parts, Records, Request, Source, SourceStatus
from limbeck.errors import DatasetError, OptionError

Ranges = Mapping[str, tuple[float, float]]
_LABELS = ("label", "labels", "class", "target", "y")


class CsvTable(Source):
    """A CSV or TSV file with a header line: numeric columns, and a label column of any words."""

    name = "csv"
    summary = "CSV or TSV with a header, a label column, and public ranges of the others"

    def claims(self, path: Path) -> bool:
        return path.suffix in (".csv", ".tsv")

    def status(self, root: Path | None) -> SourceStatus:
        return SourceStatus(self.name, self.summary, True, "give the file")

    def read(self, path: Path | None, request: Request) -> Parts:
        assert path is not None
        return Parts(records_of_columns(_columns(path), path, request))


def records_of_columns(
    columns: Mapping[str, NDArray[Any]],
    path: Path,
    request: Request,
    classes: tuple[str, ...] | None = None,
) -> Records:
    """Records (n, inputs) in [0, 1] of a table's columns, in the order of the columns.

    DatasetError names a column that is missing, not numeric, has gaps, or has no public range.
    """
    label = label_column(list(columns), path, request)
    if request.group is not None and request.group not in columns:
        raise OptionError(
            f"{path} has no column {request.group!r} for group; it has {_listed(columns)}"
        )
    ranges = read_ranges(path)
    inputs = [
        name
        for name in columns
        if name not in (label, request.group) and (ranges is None or name in ranges)
    ]
    absent = set(ranges or {}) - set(columns)
    if absent:
        raise DatasetError(
            f"{path} lacks the column {min(absent)!r} of its ranges file; it has {_listed(columns)}"
        )
    if not inputs:
        raise DatasetError(f"{path} has no column beside the label {label!r}; add inputs")
    if ranges is None and request.value_range is None:
        raise DatasetError(
            f"{path}: the public ranges of {len(inputs)} columns are unknown; give value_range, or "
            f"write {path.stem}.ranges.toml beside it with lines such as {inputs[0]} = [0, 100]"
        )
    scaled = []
    for name in inputs:
        low, high = ranges[name] if ranges is not None else request.value_range or (0.0, 1.0)
        values = _numbers(columns[name], name, path, lenient=request.guaranteed)
        if not request.guaranteed and (values.min() > high or values.max() < low):
            raise DatasetError(
                f"{path}: every value of column {name!r} lies outside its public range {low:g} to "
                f"{high:g} ({values.min():g} to {values.max():g}); correct the range"
            )
        scaled.append(rescale(values, low, high))
    plain = Request(
        size=request.size,
        channels=request.channels,
        classes=request.classes,
        guaranteed=request.guaranteed,
    )
    return from_arrays(
        np.stack(scaled, 1),
        columns[label],
        where=str(path),
        request=plain,
        classes=classes,
        groups=None if request.group is None else columns[request.group],
    )


def label_column(names: Sequence[str], path: Path, request: Request) -> str:
    """The column named as the label, or the one of a customary name."""
    if request.label is not None:
        if request.label not in names:
            raise OptionError(f"{path} has no column {request.label!r}; it has {_listed(names)}")
        return request.label
    usual = [name for name in _LABELS if name in names]
    if len(usual) != 1:
        raise OptionError(
            f"{path}: which column is the label? say label=NAME; it has {_listed(names)}"
        )
    return usual[0]


def read_ranges(path: Path) -> Ranges | None:
    """The public ranges written beside the table, or None; DatasetError when they are malformed."""
    for suffix, parse in ((".ranges.toml", tomllib.loads), (".ranges.json", json.loads)):
        beside = path.with_name(path.stem + suffix)
        if not beside.is_file():
            continue
        try:
            written = dict(parse(beside.read_text(encoding="utf-8")))
            ranges = {str(k): (float(low), float(high)) for k, (low, high) in written.items()}
        except (ValueError, TypeError) as error:
            raise DatasetError(
                f"{beside} is not a table of ranges ({error}); write lines such as age = [0, 120]"
            ) from None
        empty = [k for k, (low, high) in ranges.items() if not low < high]
        if empty:
            raise DatasetError(
                f"{beside}: the range of {empty[0]!r} is empty; give lowest, highest"
            )
        return ranges
    return None


def _columns(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a CSV file as arrays of text, by name."""
    delimiter = "\t" if path.suffix == ".tsv" else ","
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter), [])
            if len(set(header)) != len(header) or not all(name.strip() for name in header):
                raise DatasetError(
                    f"{path} has a header with empty or repeated names; name each column once"
                )
            rest = [line for line in file if line.strip()]
        if not rest:
            raise DatasetError(f"{path} has no line of values after its header; add records")
        cells = np.loadtxt(
            rest, dtype=str, delimiter=delimiter, quotechar='"', comments=None, ndmin=2
        )
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text ({error.reason}); convert it") from None
    except ValueError as error:
        raise DatasetError(f"{path} cannot be read as a table ({_first_line(error)})") from None
    if cells.shape[1] != len(header):
        raise DatasetError(
            f"{path} has {len(header)} names in its header and {cells.shape[1]} values a line; "
            "make them agree"
        )
    names = [name.strip() for name in header]
    return {name: np.char.strip(cells[:, i]) for i, name in enumerate(names)}


def _numbers(
    column: NDArray[Any], name: str, path: Path, *, lenient: bool = False
) -> NDArray[np.float64]:
    """The column as numbers; ``lenient``: what is none becomes NaN, and is no error."""
    if lenient:
        return np.array([_number(value) for value in column.tolist()], dtype=np.float64)
    if column.dtype.kind in "US":
        gaps = int((column == "").sum())
        if gaps:
            raise DatasetError(
                f"{path}: column {name!r} is empty in {gaps} of {len(column)} records; fill or "
                "remove them first"
            )
    try:
        values = column.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise DatasetError(
            f"{path}: column {name!r} is not numeric ({_plainly(error)}); encode it as numbers, "
            "or leave it out of the ranges file"
        ) from None
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DatasetError(
            f"{path}: column {name!r} holds NaN or infinity in {bad} of {len(values)} records; "
            "fill or remove them first"
        )
    return values


def _number(value: Any) -> float:
    try:
        return float(value)
    except (ValueError, TypeError):
        return math.nan


def _plainly(error: Exception) -> str:
    """NumPy's message with the value that it is about as it stands in the table."""
    return re.sub(r"np\.str_\((.*)\)", r"\1", _first_line(error))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    shown = list(names)
    return ", ".join(map(repr, shown[:8])) + (", ..." if len(shown) > 8 else "")
