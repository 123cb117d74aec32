"""The report on one finished set: shorter than that on a mechanism, as less can be said."""

import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment

from limbeck.audit.finished import SetAudit
from limbeck.audit.set_evidence import SetEvidence
from limbeck.audit.store import EVIDENCE
from limbeck.report.share import LEFT_OUT, scrubbed


def found(source: object) -> SetEvidence | None:
    """The evidence on a finished set that ``source`` is, carries or (a folder) holds, if any."""
    if isinstance(source, SetAudit):
        return source.evidence
    if isinstance(source, SetEvidence):
        return source
    if not isinstance(source, (str, Path)) or not _is_of_a_set(Path(source) / EVIDENCE):
        return None
    return SetAudit.load(source).evidence


def render(environment: Environment, evidence: SetEvidence, *, share: bool = False) -> str:
    """The page's HTML. share: aggregates only."""
    return environment.get_template("finished.html.j2").render(
        evidence=_aggregates(evidence) if share else evidence,
        share=share,
    )


def _is_of_a_set(file: Path) -> bool:
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # whoever reads it as evidence of a mechanism says what is wrong with it
    return isinstance(written, Mapping) and written.get("kind") == "finished-set"


def _aggregates(evidence: SetEvidence) -> SetEvidence:
    """Without seeds, hashes, exact counts, and what rests on few or single records."""
    attacks = tuple(
        attack.model_copy(update={"operating": tuple(p for p in attack.operating if p.resolvable)})
        for attack in evidence.attacks
    )
    forms = {name: scrubbed(getattr(evidence, name)) for name in ("plan", "release", "dataset")}
    return evidence.model_copy(
        update={
            **forms,
            "control": scrubbed(evidence.control),
            "plan_hash": LEFT_OUT,
            "attacks": attacks,
            "nearness": tuple(n.model_copy(update={"quantiles": {}}) for n in evidence.nearness),
            # The first two tell of the strongest attack and of the split; the rest counts records.
            "verdict": evidence.verdict.model_copy(
                update={"reasons": evidence.verdict.reasons[:2]}
            ),
        }
    )
