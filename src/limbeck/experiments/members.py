"""One mechanism of a comparison: where its audit lies, and what of it enters the table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from limbeck.audit import plan
from limbeck.audit.evidence import Estimate, Evidence
from limbeck.audit.images.copying import Reference
from limbeck.audit.images.embedders import random_embed
from limbeck.audit.images.measures import L2, Embedding
from limbeck.audit.inference.verdict import verdict
from limbeck.audit.result import Audit
from limbeck.audit.session import Session
from limbeck.audit.store import PREVIEW, REPORT, Store
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.experiments.company import Role, is_subset, size, undefended
from limbeck.experiments.comparison import Copies, Cost, Leak, Row, strongest
from limbeck.files import write_text
from limbeck.mechanism.base import Mechanism
from limbeck.recipe import recipe
from limbeck.report import render
from limbeck.workers import one_thread

FOLDER = "mechanisms"


@dataclass(frozen=True, eq=False)
class Member:
    """One mechanism, planned: its name, why it is there, and its audit."""

    name: str
    role: Role
    session: Session

    @property
    def mechanism(self) -> Mechanism:
        """The mechanism, its options filled in."""
        return self.session.audited[0].mechanism

    @property
    def folder(self) -> str:
        """Of its audit, within the comparison's: a name to read, and a hash to tell it apart."""
        words = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40]
        mark = plan.digest({"name": self.name, "plan": self.session.described["hash"]})[:8]
        return f"{FOLDER}/{'-'.join(filter(None, (words, mark)))}"

    def finished(self, root: Path) -> Audit | None:
        """The audit that ``root`` holds of this very plan, if it is finished."""
        return self.session.finished(root / self.folder)

    def example(self, root: Path) -> SyntheticDataset | None:
        """The set that one run without canaries released, if it released one."""
        store = Store(root / self.folder)
        return self.session.scheduler.example(self.session.audited[0], store)

    def row(self, root: Path, audit: Audit, fpr: float, copies: tuple[Copies, ...]) -> Row:
        """What the comparison shows of its finished audit."""
        subject, claim = audit.subject, audit.subject.claim
        spent = audit.cost["subjects"][subject.title]
        best, model, images = (strongest(subject, images=which) for which in (None, False, True))
        assert best is not None, "every plan has canaries, and attacks on them"
        store = Store(root / self.folder)
        return Row(
            name=self.name,
            role=self.role,
            recipe=recipe(self.mechanism),
            folder=self.folder,
            holds_real_records=subject.holds_real_records,
            runs=subject.runs,
            utility=subject.utility,
            model=None if model is None else Leak.of(model, fpr),
            images=None if images is None else Leak.of(images, fpr),
            strongest=Leak.of(best, fpr),
            copies=copies,
            guarantee=subject.guarantee,
            refuted=None if claim is None or claim.epsilon is None else claim.refuted,
            epsilon_lower=subject.epsilon_lower,
            delta=subject.delta,
            outcome=audit.evidence.verdict.outcome,
            cautions=tuple(f.sentence for f in subject.flags if f.severity == "warning"),
            cost=Cost(
                release_seconds=self.session.scheduler.release_cost(self.session.audited[0], store),
                audit_seconds=spent["cpu_seconds"],
                peak_mib=spent["peak_memory_mib"],
            ),
        )


def copied(
    made: plan.Plan, test: LabeledDataset, releases: Mapping[Member, SyntheticDataset]
) -> dict[Member, tuple[Copies, ...]]:
    """How near each release comes to the records that it was made from, and to test records.

    OptionError where every record has a near-duplicate on the other side.
    """
    inside = torch.ones(len(made.data), dtype=torch.bool)
    inside[torch.from_numpy(made.canary)] = False  # runs without canaries made the releases
    measures = (L2(), Embedding(random_embed(test.shape, seed=made.seed)))
    with one_thread():
        reference = Reference(made.data.select(inside), test, measures)
        return {
            member: tuple(
                Copies(measure=d.measure, closer=Estimate.of(d.closer), expected=d.expected)
                for d in reference.distances(release)
            )
            for member, release in releases.items()
        }


def write_report(member: Member, audits: Mapping[Member, Audit], root: Path) -> None:
    """The mechanism's own page, beside the random subset of its size and the full data."""
    found = {member: audits[member]}
    subjects, same = [audits[member].subject], size(member.mechanism)
    for other, audit in audits.items():
        one, seen = other.mechanism, {subject.role for subject in subjects}
        if other is member:
            continue
        for role, fits in (
            ("random-subset", is_subset(one, same) and not is_subset(member.mechanism, same)),
            ("full-data", undefended(one) and not undefended(member.mechanism)),
        ):
            if fits and role not in seen:
                subjects.append(audit.subject.model_copy(update={"role": role}))
                found[other] = audit
    own = audits[member].evidence
    shown: Evidence = own.model_copy(
        update={"subjects": tuple(subjects), "verdict": verdict(subjects)}
    )
    spent = {k: v for audit in found.values() for k, v in audit.cost["subjects"].items()}
    folder = root / member.folder
    picture = folder / PREVIEW
    content = render(
        shown,
        cost={"machine": audits[member].cost["machine"], "subjects": spent},
        preview=picture.read_bytes() if picture.is_file() else None,
    )
    write_text(folder / REPORT, content)
