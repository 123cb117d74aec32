"""Output: results on stdout, the rest on stderr. Rich is imported when a table is drawn."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.types import Estimate


def result(text: str) -> None:
    """Print a result, as it is, on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print a remark on stderr."""
    sys.stderr.write(text + "\n")


def error(text: str) -> None:
    """Print one line on stderr that says what is wrong."""
    note(f"error: {' '.join(text.split())}")


def document(values: Mapping[str, Any]) -> None:
    """Print the one JSON document of ``--json``; NaN and infinity, which JSON lacks, are null."""
    result(json.dumps(_finite(values), indent=2, allow_nan=False, ensure_ascii=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def facts(rows: Mapping[str, str]) -> None:
    """Print names and values in two columns on stdout; values keep their lines."""
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        result(f"{name:<{width}}  {value}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        drawn.add_column(column, no_wrap=place == 0, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


def duration(seconds: float) -> str:
    """A duration in the units a reader would choose."""
    if seconds < 1:
        return "under a second"
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def percent(estimate: Estimate) -> str:
    """A rate on paper: percent, with its interval where it has one."""
    if math.isnan(estimate.low):
        return f"{estimate.value:.1%}"
    return f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"
