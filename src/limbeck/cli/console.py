"""Output: results on stdout, the rest on stderr; plain text, since Rich takes long to import."""

import json
import math
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from limbeck.types import Estimate

_NARROWEST = 8  # columns of a table shrink no further


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
        lines = value.replace("\n", "\n" + " " * (width + 2))
        result(f"{name:<{width}}  {lines}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout, as wide as the terminal; cells that are too long wrap."""
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    room = shutil.get_terminal_size().columns - 2 * (len(columns) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    for line in lines:
        cells = [textwrap.wrap(cell, width) for cell, width in zip(line, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
            result("  ".join(padded).rstrip())


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


def forecast(cpu_seconds: Mapping[str, float], workers: int) -> str:
    """The cost in words, before anything runs; from the processor time of each mechanism."""
    total = sum(cpu_seconds.values())
    processes = "1 process" if workers == 1 else f"{workers} processes"
    lines = [
        f"cost: about {duration(total / workers)} with {processes} on an idle machine",
        *(f"  {duration(each)} {what}" for what, each in cpu_seconds.items()),
    ]
    return "\n".join(lines)
