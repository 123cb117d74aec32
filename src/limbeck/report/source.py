"""What a report is made from: an audit folder, read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from limbeck.audit.evidence import Evidence
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import StoreError


@dataclass(frozen=True)
class Source:
    """Evidence, and what stands beside it in the folder.

    preview: PNG of the synthetic set, for folders that hold no release.
    """

    evidence: Evidence
    cost: Mapping[str, Any] | None = None
    synthetic: SyntheticDataset | None = None
    preview: bytes | None = None


def load(folder: str | Path) -> Source:
    """What an audit folder holds for a report; StoreError names the file that is amiss."""
    root = Path(folder)
    evidence_file = root / "evidence.json"
    if not evidence_file.is_file():
        raise StoreError(f"{root}: no evidence.json in this folder; give an audit's folder")
    try:
        evidence = Evidence.model_validate_json(evidence_file.read_text(encoding="utf-8"))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise StoreError(
            f"{evidence_file}: not evidence this version can read ({where}: {first['msg']}); "
            "run the audit again"
        ) from None
    except UnicodeDecodeError:
        raise StoreError(f"{evidence_file}: not UTF-8 text; run the audit again") from None
    return Source(evidence, _cost(root / "cost.json"), *pictures(root))


def pictures(folder: Path | None) -> tuple[SyntheticDataset | None, bytes | None]:
    """The release and the preview that an audit folder holds."""
    if folder is None:
        return None, None
    release = folder / "release"
    synthetic = SyntheticDataset.load(release) if release.is_dir() else None
    previews = [p for p in (folder / "preview.png", release / "preview.png") if p.is_file()]
    return synthetic, previews[0].read_bytes() if previews else None


def _cost(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        cost = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise StoreError(f"{file}: not JSON; delete it or run the audit again") from None
    if not isinstance(cost, dict):
        raise StoreError(f"{file}: not a JSON object; delete it or run the audit again")
    return cost
