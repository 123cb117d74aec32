"""How ``limbeck audit`` ends: the report, the limits, and what was found in a few lines."""

import math

from limbeck.audit.evidence import Evidence, Subject
from limbeck.audit.finished import SetAudit
from limbeck.audit.gate import gate
from limbeck.audit.inference.trials import Strong
from limbeck.audit.result import Audit
from limbeck.cli import console
from limbeck.report import report


def conclude(
    done: Audit | SetAudit,
    max_tpr: tuple[float, float] | None,
    max_epsilon: float | None,
    *,
    strong: Strong | None = None,
    as_json: bool,
) -> int:
    """Write the report, print the verdict and a sentence for each limit; the gate's exit code.

    strong: what the strong adversary found, which describes and decides no limit.
    """
    page = report(done.folder, done.folder / "report.html")
    code, sentences = gate(done.evidence, max_tpr, max_epsilon)
    if as_json:
        console.document(
            {
                "exit_code": code,
                "limits": list(sentences),
                "audit": str(done.folder),
                "report": str(page),
                "evidence": done.evidence.model_dump(mode="json"),
                "cost": done.cost,
                **({} if strong is None else {"strong": strong.to_json()}),
            }
        )
        return code
    console.result(done.evidence.verdict.headline)
    for sentence in (*sentences, *done.evidence.verdict.reasons):
        console.result(f"- {sentence}")
    if strong is not None:
        console.result(f"- {strong.sentence}")
    if isinstance(done, Audit):
        _compare(done.evidence)
    console.result(f"\nreport  {page}")
    return code


def _compare(evidence: Evidence) -> None:
    """A line for each mechanism."""
    planted = any(attack.group == "canary" for attack in evidence.subjects[0].attacks)
    group, where = ("canary", "canaries") if planted else ("ordinary", "records")
    console.result("")
    console.table(
        ["audited", "accuracy", f"strongest AUC on {where}", "epsilon at least"],
        [
            [
                subject.role.replace("-", " "),
                _measured(subject.utility.value, console.percent(subject.utility.plain())),
                _strongest(subject, group),
                _measured(subject.epsilon_lower.value, f"{subject.epsilon_lower.value:.2g}"),
            ]
            for subject in evidence.subjects
        ],
    )


def _measured(value: float, text: str) -> str:
    return "not measured" if math.isnan(value) else text


def _strongest(subject: Subject, group: str) -> str:
    found = [a.auc.plain() for a in subject.attacks if a.group == group]
    if not found:
        return "none"
    auc = max(found, key=lambda auc: auc.value)
    return f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
