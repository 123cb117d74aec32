"""What an audit found, in the few lines that ``limbeck audit`` ends with."""

from collections.abc import Sequence
from pathlib import Path

from limbeck.audit.evidence import Evidence, Subject
from limbeck.cli import console


def show(evidence: Evidence, limits: Sequence[str], page: Path) -> None:
    """Print the verdict, a sentence for each limit, a line for each mechanism, and the report."""
    console.result(evidence.verdict.headline)
    for sentence in (*limits, *evidence.verdict.reasons):
        console.result(f"- {sentence}")
    console.result("")
    console.table(
        ["audited", "accuracy", "strongest AUC on canaries", "epsilon at least"],
        [
            [
                subject.role.replace("-", " "),
                console.percent(subject.utility.plain()),
                _strongest(subject),
                f"{subject.epsilon_lower.value:.2g}",
            ]
            for subject in evidence.subjects
        ],
    )
    console.result(f"\nreport  {page}")


def _strongest(subject: Subject) -> str:
    found = [a.auc.plain() for a in subject.attacks if a.group == "canary"]
    if not found:
        return "none"
    auc = max(found, key=lambda auc: auc.value)
    return f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
