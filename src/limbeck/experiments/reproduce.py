"""The papers whose claims can be tried again, by key, and what one such trial leaves behind."""

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limbeck.audit.provenance import machine, versions
from limbeck.errors import OptionError
from limbeck.experiments import published
from limbeck.experiments.claims import Claim
from limbeck.experiments.study import SPENT, Study, Table, execute
from limbeck.files import write_json, write_text

Scale = Literal["laptop", "gpu"]
PAPERS = ("dong2022", "gujarathi2022", "kaleidoscope2024", "zhao2025")
CLAIMS, PAGE = "claims.json", "claims.html"


@dataclass(frozen=True)
class Reproduction:
    """What was found of one paper's claims.

    cpu_seconds: by group of work, of all its rows.
    """

    paper: published.Paper
    scale: str
    remarks: tuple[str, ...]
    claims: tuple[Claim, ...]
    tables: tuple[Table, ...]
    cpu_seconds: Mapping[str, float]
    machine: str

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``claims.json``."""
        return {
            "schema_version": 1,
            "paper": {
                "key": self.paper.key,
                "title": self.paper.title,
                "authors": self.paper.authors,
                "venue": self.paper.venue,
                "note": self.paper.note,
            },
            "scale": self.scale,
            "remarks": list(self.remarks),
            "claims": [claim.to_json() for claim in self.claims],
            "tables": [
                {
                    "caption": t.caption,
                    "columns": list(t.columns),
                    "rows": [list(r) for r in t.rows],
                }
                for t in self.tables
            ],
            "cpu_seconds": dict(self.cpu_seconds),
            "machine": self.machine,
            "versions": versions(),
        }


def study(key: str, scale: Scale, *, data: str | None = None, device: str = "cpu") -> Study:
    """The study of the paper ``key`` at ``scale``; nothing runs yet.

    data: a source to use in place of the one chosen (the paper's own where it is within reach).
    OptionError for an unknown key; DatasetError where the data cannot be used.
    """
    if key not in PAPERS:
        raise OptionError(f"no paper is called {key!r}; there are: {', '.join(PAPERS)}")
    module = importlib.import_module(f"limbeck.experiments.{key}")
    made: Study = module.study(scale, data=data, device=device)
    return made


def reproduce(
    planned: Study,
    folder: str | Path,
    *,
    scale: str,
    workers: int | None = None,
    overwrite: bool = False,
    weights: Mapping[str, float] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Reproduction:
    """Run what ``folder`` does not hold yet, judge the claims, and write them and their page.

    Options and errors are those of ``study.execute``; workers None: one a core.
    """
    from limbeck.experiments.claims_page import page

    several = workers or os.cpu_count() or 1
    if planned.device != "cpu":
        several = 1  # one process at a time keeps a GPU busy
    found = execute(
        planned, folder, workers=several, overwrite=overwrite, weights=weights, progress=progress
    )
    conclusion = planned.conclude(found)
    made = Reproduction(
        published.paper(planned.paper),
        scale,
        planned.remarks,
        conclusion.claims,
        conclusion.tables,
        {group: round(float(values[SPENT].sum()), 1) for group, values in found.items()},
        machine(planned.device),
    )
    write_json(Path(folder) / CLAIMS, made.to_json())
    write_text(Path(folder) / PAGE, page(made))
    return made
