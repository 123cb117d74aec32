"""The report: one HTML file that needs nothing but a browser, and no network.

``render`` turns evidence into the page's text; ``report`` reads an audit folder and writes the
file. The same evidence gives the same bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from limbeck.audit.evidence import Attack, Evidence, Subject
from limbeck.audit.finished import SetAudit
from limbeck.audit.set_evidence import SetEvidence
from limbeck.data.synthetic import SyntheticDataset
from limbeck.files import write_text
from limbeck.report import epsilon_axis, figures, finished, picture, words
from limbeck.report.headline import at, headline, headline_fpr
from limbeck.report.share import aggregates
from limbeck.report.source import Source, load, pictures
from limbeck.report.templates import environment, flat, text


@runtime_checkable
class Audited(Protocol):
    """Anything that carries evidence, such as ``limbeck.audit.Audit``.

    Where it has them, ``cost``, ``synthetic`` and the pictures in its ``folder`` are used too.
    """

    @property
    def evidence(self) -> Evidence:
        """What the audit found."""
        ...


def report(
    source: str | Path | Evidence | Audited | SetEvidence | SetAudit,
    path: str | Path,
    share: bool = False,
) -> Path:
    """Write the report of ``source`` to ``path``, whole or not at all; returns the path.

    source: an audit folder (``evidence.json``, and where there are ``cost.json``, ``release/`` and
        ``preview.png``), evidence itself, or an audit (see ``Audited``). Audits of finished sets
        have a page of their own.
    share: keep aggregates only, for readers outside.
    Raises StoreError when the folder holds no evidence or damaged evidence.
    """
    of_a_set = finished.found(source)
    if of_a_set is not None:
        return write_text(path, finished.render(environment(), of_a_set, share=share))
    return write_text(path, _of_a_mechanism(source, share))


def _of_a_mechanism(source: Any, share: bool) -> str:
    if isinstance(source, (str, Path)):
        found = load(source)
    elif isinstance(source, Evidence):
        found = Source(source)
    else:
        synthetic, preview = pictures(getattr(source, "folder", None))
        synthetic = getattr(source, "synthetic", None) or synthetic
        found = Source(source.evidence, getattr(source, "cost", None), synthetic, preview)
    return render(
        found.evidence,
        cost=found.cost,
        synthetic=found.synthetic,
        preview=found.preview,
        share=share,
    )


def render(
    evidence: Evidence,
    *,
    cost: Mapping[str, Any] | None = None,
    synthetic: SyntheticDataset | None = None,
    preview: bytes | None = None,
    share: bool = False,
) -> str:
    """The report's HTML.

    cost: ``machine`` in words, and by subject title (at the top or under ``subjects``)
        ``cpu_seconds``, ``wall_seconds``, ``peak_memory_mib``.
    synthetic: the released set, for its picture; preview: a PNG of it, used where it is None.
    share: aggregates only; also leaves the picture out, since images are records.
    """
    if share:
        evidence, synthetic, preview = aggregates(evidence), None, None
    subject = evidence.subjects[0]
    strips = picture.strips(synthetic) if synthetic is not None else ()
    groups = _groups(subject)
    foremost = next(iter(groups), "canary")
    heads = [(s, headline(s, foremost)) for s in evidence.subjects]
    common_fpr = headline_fpr([attack for _, attack in heads])
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            evidence=evidence,
            subject=subject,
            share=share,
            machine=(cost or {}).get("machine"),
            cost=(cost or {}).get("subjects", cost or {}),
            heads=heads,
            groups=groups,
            tested=words.TESTED[foremost],
            rocs=_rocs(evidence),
            epsilons=epsilon_axis.of_subject(subject),
            trade_off=figures.trade_off(
                [(s.role, s.utility, p.tpr) for s, a in heads if (p := at(a, common_fpr))],
                common_fpr,
            ),
            fpr=headline_fpr([headline(subject, foremost)]),
            common_fpr=common_fpr,
            synthetic=synthetic,
            strips=strips,
            preview=picture.reencoded(preview) if preview and not strips else None,
            roles=_roles(evidence),
            plan=flat(evidence.plan),
            dataset=flat(evidence.dataset),
        )
    )


def _groups(subject: Subject) -> dict[str, list[Attack]]:
    """The subject's attacks by group of records, canaries first."""
    found = {g: [a for a in subject.attacks if a.group == g] for g in words.GROUPS}
    return {g: attacks for g, attacks in found.items() if attacks}


def _rocs(evidence: Evidence) -> dict[str, str | None]:
    """An ROC figure (SVG text) per group of records that the subject was attacked on."""
    return {
        group: figures.roc([(s.role, a) for s in evidence.subjects if (a := headline(s, group))])
        for group in _groups(evidence.subjects[0])
    }


def _roles(evidence: Evidence) -> list[tuple[str, str, str]]:
    """(role, how many records, what it means), from the plan's ``roles``."""
    roles = evidence.plan.get("roles")
    if not isinstance(roles, Mapping):
        return []
    counts = {k: len(v) if isinstance(v, (list, tuple)) else v for k, v in roles.items()}
    return [(str(k), text(v), words.ROLES.get(str(k), "")) for k, v in counts.items()]
