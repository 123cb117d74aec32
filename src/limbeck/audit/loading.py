"""Finished audits of either kind, read back from their folders."""

from collections.abc import Mapping
from pathlib import Path

from limbeck.audit.finished import SetAudit
from limbeck.audit.result import Audit
from limbeck.audit.store import EVIDENCE, Store


def load(folder: str | Path) -> Audit | SetAudit:
    """The audit in ``folder``, of a mechanism or of a finished set; StoreError if there is none."""
    written = Store(folder).read_json(EVIDENCE)
    is_set = isinstance(written, Mapping) and written.get("kind") == "finished-set"
    return SetAudit.load(folder) if is_set else Audit.load(folder)
