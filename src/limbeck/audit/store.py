"""Where an audit keeps what it has computed: one file per finished chunk, under its key.

The key is a hash of everything that determines the content, so that a changed option can never
find the signals of another; a file is written whole or not at all, so that a killed audit goes on
where it stopped. Signals are private: they stay in the audit's ``private`` folder.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from limbeck.errors import StoreError
from limbeck.files import write_json, write_safetensors

PLAN, EVIDENCE, COST, REPORT = "plan.json", "evidence.json", "cost.json", "report.html"
PREVIEW, RELEASE = "preview.png", "release"
PRIVATE = "private"
RISKS = f"{PRIVATE}/risks.json"
STRONG = f"{PRIVATE}/strong.json"


class Store:
    """The folder of one audit."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._private = self.folder / PRIVATE

    def begin(self, plan: Mapping[str, Any], *, overwrite: bool) -> None:
        """Keep ``plan`` here, or go on with it; StoreError when the folder holds another one's."""
        another = self.holds_another(plan["hash"], overwrite=overwrite)
        try:
            if another:
                self._clear()
            self._private.mkdir(parents=True, exist_ok=True)
            # All of it is computed from private data without noise.
            self.folder.chmod(0o700)
            self._private.chmod(0o700)
            for leftover in self._private.glob(".tmp-*"):
                leftover.unlink()  # what a killed audit was writing
        except OSError as error:
            raise StoreError(
                f"{self.folder} cannot be written ({error.strerror}); choose another folder"
            ) from None
        write_json(self.folder / PLAN, plan)

    def holds_another(self, plan_hash: str, *, overwrite: bool) -> bool:
        """Whether another plan's results lie here; StoreError if so, unless ``overwrite``."""
        try:
            another = (self.folder / PLAN).exists() and not self._holds(plan_hash)
        except StoreError:
            if overwrite:
                return True
            raise StoreError(
                f"{self.folder / PLAN} is damaged or cannot be read; choose another folder, or "
                "replace what is there (--force, overwrite=True)"
            ) from None
        if another and not overwrite:
            raise StoreError(
                f"{self.folder} holds the audit of another plan (other data, options, seed or "
                "library versions); choose another folder, or replace what is there (--force, "
                "overwrite=True)"
            )
        return another

    def _holds(self, plan_hash: str) -> bool:
        written = self.read_json(PLAN)
        return isinstance(written, dict) and written.get("hash") == plan_hash

    def _clear(self) -> None:
        """Remove everything that an earlier audit left here, and nothing else."""
        for name in (EVIDENCE, COST, REPORT, PREVIEW, PLAN):
            (self.folder / name).unlink(missing_ok=True)
        for folder in (self._private, self.folder / RELEASE):
            if folder.is_dir():
                shutil.rmtree(folder)

    def has(self, key: str) -> bool:
        """Whether the chunk of this key is finished."""
        return self._path(key).exists()

    def write(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store a finished chunk; never replaced by a part of another."""
        write_safetensors(self._path(key), tensors, private=True)

    def read(self, key: str) -> dict[str, Tensor]:
        """The chunk of this key; StoreError when it is damaged."""
        path = self._path(key)
        try:
            tensors: dict[str, Tensor] = load_file(path)
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"{path} cannot be read ({error}); delete it and run the audit again"
            ) from None
        return tensors

    def write_json(self, name: str, value: Any) -> Path:
        """Write one of the audit's JSON files; what is in ``private`` its owner alone can read."""
        return write_json(self.folder / name, value, private=name.startswith(PRIVATE))

    def read_json(self, name: str) -> Any:
        """Read one of the audit's JSON files; StoreError when it is missing or damaged."""
        path = self.folder / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            raise StoreError(
                f"{self.folder} has no {name}: it is no finished audit; run 'limbeck audit' first"
            ) from None
        except ValueError:
            raise StoreError(f"{path} is damaged; run the audit again") from None

    def _path(self, key: str) -> Path:
        return self._private / f"{key}.safetensors"


def as_tensors(values: Mapping[str, Any]) -> dict[str, Tensor]:
    """NumPy arrays as tensors, for writing."""
    return {name: torch.as_tensor(value) for name, value in values.items()}
