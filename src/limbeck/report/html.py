"""The report: one HTML file that needs nothing but a browser, and no network.

``render`` turns evidence into the page's text; ``report`` reads an audit folder and writes the
file. The same evidence gives the same bytes.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pydantic
from jinja2 import Environment, PackageLoader, StrictUndefined

from limbeck.audit import titles
from limbeck.audit.evidence import Attack, Evidence, Operating, Subject
from limbeck.audit.finished import SetAudit
from limbeck.audit.set_evidence import SetEvidence
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import StoreError
from limbeck.files import write_text
from limbeck.report import epsilon_axis, figures, finished, numbers, picture, words
from limbeck.report.share import aggregates

# An FPR the attacker could live with; only where it is not resolvable is a higher one read.
HEADLINE_FPR = 0.01


@runtime_checkable
class Audited(Protocol):
    """Anything that carries evidence, such as ``limbeck.audit.Audit``.

    Where it has them, ``cost``, ``synthetic`` and the pictures in its ``folder`` are used too.
    """

    @property
    def evidence(self) -> Evidence:
        """What the audit found."""
        ...


@dataclass(frozen=True)
class Source:
    """What a report is made from: an audit folder, read.

    preview: PNG of the synthetic set, for folders that hold no release.
    """

    evidence: Evidence
    cost: Mapping[str, Any] | None = None
    synthetic: SyntheticDataset | None = None
    preview: bytes | None = None


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
        synthetic, preview = _pictures(getattr(source, "folder", None))
        synthetic = getattr(source, "synthetic", None) or synthetic
        found = Source(source.evidence, getattr(source, "cost", None), synthetic, preview)
    return render(
        found.evidence,
        cost=found.cost,
        synthetic=found.synthetic,
        preview=found.preview,
        share=share,
    )


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
    return Source(evidence, _cost(root / "cost.json"), *_pictures(root))


def _pictures(folder: Path | None) -> tuple[SyntheticDataset | None, bytes | None]:
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


def headline(subject: Subject, group: str = "canary") -> Attack | None:
    """The attack a subject is judged by: the strongest on these records, by AUC; None if none.

    Chosen on the scores it is shown with, which flatters it: an error on the side of caution.
    """
    attacks = [a for a in subject.attacks if a.group == group]
    known = [a for a in attacks if math.isfinite(a.auc.value)]
    return max(known, key=lambda a: a.auc.value, default=attacks[0] if attacks else None)


def headline_fpr(attacks: Sequence[Attack | None]) -> float:
    """The least nominal FPR from 1% on that all these attacks resolve; 1% where there is none.

    Whether a rate is resolvable depends on counts alone, never on how an attack fared.
    """
    resolved = [
        {p.nominal_fpr for p in a.operating if p.resolvable and p.nominal_fpr >= HEADLINE_FPR}
        for a in attacks
        if a is not None
    ]
    common = set.intersection(*resolved) if resolved else set()
    return min(common, default=HEADLINE_FPR)


def at(attack: Attack | None, fpr: float) -> Operating | None:
    """The attack's resolvable operating point at this nominal FPR; None where there is none."""
    points = attack.operating if attack else ()
    return next((p for p in points if math.isclose(p.nominal_fpr, fpr) and p.resolvable), None)


def flat(values: Mapping[str, Any], *path: str) -> list[tuple[str, str]]:
    """Nested JSON values as (key, text) rows. In a recipe, a method's name stands at its own key.

    >>> flat({"trainer": {"method": "standard", "options": {"epochs": 10}}})
    [('trainer', 'standard'), ('trainer: epochs', '10')]
    """
    rows = []
    for key, value in values.items():
        unnamed = (key == "options" and "method" in values) or (key == "method" and bool(path))
        here = path if unnamed else (*path, key.replace("_", " "))
        if isinstance(value, Mapping) and value:
            rows += flat(value, *here)
        elif not (unnamed and value == {}):
            rows.append((": ".join(here), _text(value)))
    return rows


def _text(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return numbers.plain(value)
    if isinstance(value, (list, tuple)):
        if len(value) > 24:
            return f"{len(value):,} values"
        return ", ".join(_text(v) for v in value)
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)


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
    return [(str(k), _text(v), words.ROLES.get(str(k), "")) for k, v in counts.items()]


def _guarantee(values: Mapping[str, Any] | None) -> str:
    if values is None:
        return "no formal guarantee"
    epsilon, delta = values.get("epsilon"), values.get("delta")
    said = f"ε = {_text(epsilon)}, δ = {_text(delta)}"
    terms = [str(values[k]) for k in ("adjacency", "unit") if k in values]
    return f"{said} ({', per '.join(terms)})" if terms else said


def _data_uri(content: str | bytes, kind: str) -> str:
    raw = content.encode("utf-8") if isinstance(content, str) else content
    return f"data:{kind};base64,{base64.b64encode(raw).decode('ascii')}"


@cache
def environment() -> Environment:
    """What the templates of all pages share: escaping, numbers on paper, plain words."""
    made = Environment(
        loader=PackageLoader("limbeck.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        percent=numbers.percent,
        p_value=numbers.p_value,
        score=numbers.score,
        lower_bound=numbers.lower_bound,
        rate=numbers.rate,
        plain=numbers.plain,
        duration=numbers.duration,
        memory=numbers.memory,
        guarantee=_guarantee,
        data_uri=_data_uri,
        flat=flat,
    )
    made.globals.update(
        words=words,
        signal_title=titles.signal,
        at=at,
        headline=headline,
        swatch=cache(figures.swatch),
        finite=math.isfinite,
    )
    return made
