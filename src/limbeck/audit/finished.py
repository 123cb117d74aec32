"""An audit of one finished set: no generator, no runs, so attacks on its records alone.

The members are compared with control records of the same kind that were not used. That says
something only where the two differ in nothing else, which a classifier that never sees the set is
asked; and it says less than shadow runs would, which the words of the verdict tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.audit import plan
from limbeck.audit.evidence import Estimate
from limbeck.audit.images.copying import close, copying, distinct
from limbeck.audit.images.embedders import random_embed
from limbeck.audit.images.measures import L2, Embedding
from limbeck.audit.images.one_release import calibrated_scores, names
from limbeck.audit.inference import one_set
from limbeck.audit.inference.set_verdict import copies_p_value, set_verdict
from limbeck.audit.provenance import machine, versions
from limbeck.audit.result import evidence_in
from limbeck.audit.set_evidence import Copies, Nearness, SetAttack, SetEvidence
from limbeck.audit.sides import Sides, draw, examine
from limbeck.audit.store import COST, EVIDENCE, Store
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import DatasetError
from limbeck.workers import cpu_seconds, one_thread, peak_memory

FEWEST_MEMBERS, FEWEST_CONTROL = 10, 40
DUPLICATE = 0.02
"""Root mean squared difference up to which two records count as copies."""

PLANTED = 10


@dataclass(frozen=True, eq=False)
class SetAudit:
    """A finished audit of a finished set: its evidence, what it cost, and the folder of both."""

    evidence: SetEvidence
    cost: Mapping[str, Any]
    folder: Path

    @classmethod
    def load(cls, folder: str | Path) -> "SetAudit":
        """Read what ``audit_finished`` wrote; StoreError when it is missing or damaged."""
        store = Store(folder)
        return cls(evidence_in(store, SetEvidence), store.read_json(COST), store.folder)


def audit_finished(
    release: SyntheticDataset,
    members: LabeledDataset,
    control: LabeledDataset,
    *,
    store: str | Path,
    seed: int = 0,
    overwrite: bool = False,
) -> SetAudit:
    """Attack ``release`` alone, and write the evidence to the folder ``store``.

    members: the records that it was made from. control: records of the same kind that were not,
        at least 40; the more there are, the smaller the leak that can be seen. Records with a
        near-duplicate, on either side, are left out. Of a group, one record is attacked.
    seed: of the choice among them and of the public random networks.

    DatasetError where shapes or classes differ or records are too few, StoreError when the folder
    holds another audit, unless ``overwrite``.
    """
    for name, given in (("the set", release), (control.name, control)):
        if (given.shape, given.classes) != (members.shape, members.classes):
            raise DatasetError(
                f"{name} has records of shape {given.shape} and {len(given.classes)} classes, the "
                f"members ({members.name}) {members.shape} and {len(members.classes)}; give all in "
                "the same form"
            )
    described = {
        "schema_version": plan.SCHEMA,
        "release": {"fingerprint": plan.fingerprint(release), "records": len(release)},
        "members": {"fingerprint": members.fingerprint(), "records": len(members)},
        "control": {"fingerprint": control.fingerprint(), "records": len(control)},
        "attacks": list(names(members.shape)),
        "seed": seed,
        "versions": versions(),
    }
    described["hash"] = plan.digest(described)
    started = cpu_seconds()
    with one_thread():
        kept, left = distinct(members, control, DUPLICATE)
        if int(kept.sum()) < FEWEST_MEMBERS or int(left.sum()) < FEWEST_CONTROL:
            raise DatasetError(
                f"{int(kept.sum())} members and {int(left.sum())} control records without a "
                f"near-duplicate (of {len(members)} and {len(control)}, shape "
                f"{members.shape}); give at least {FEWEST_MEMBERS} and {FEWEST_CONTROL}"
            )
        kept_store = Store(store)
        kept_store.begin(described, overwrite=overwrite)
        sides = draw(members.select(kept), control.select(left), seed)
        attacks = _attacks(release, sides, seed)
        split = examine(sides, seed)
        nearness = _nearness(release, members, control, seed)
        copies = _copies(release, members, control, kept, left)
    found = SetEvidence(
        plan_hash=str(described["hash"]),
        plan={
            "attacked": {"members": len(sides.members), "control": len(sides.others)},
            "population": len(sides.population),
            "seed": seed,
        },
        release=_form(release),
        dataset=_form(members),
        control=_form(control),
        attacks=attacks,
        split=split,
        nearness=nearness,
        copies=copies,
        verdict=set_verdict(release.name, attacks, split, nearness, copies),
        versions=versions(),
    )
    kept_store.write_json(EVIDENCE, found.model_dump(mode="json"))
    spent = {
        "machine": machine("cpu"),
        "cpu_seconds": round(cpu_seconds() - started, 1),
        "peak_memory_mib": round(peak_memory() / 2**20, 1),
    }
    kept_store.write_json(COST, spent)
    return SetAudit(found, spent, kept_store.folder)


def _attacks(release: SyntheticDataset, sides: Sides, seed: int) -> tuple[SetAttack, ...]:
    """Every attack on the set, and on the set with members copied into it."""
    inside = len(sides.members)
    records = sides.records
    chosen = sides.members.select(range(min(PLANTED, inside)))
    planted = replace(
        release,
        inputs=torch.cat([release.inputs, chosen.inputs]),
        labels=torch.cat([release.labels, chosen.labels]),
        soft_labels=None,
    )
    scores = calibrated_scores(records, [release, planted], sides.population, seed=seed)
    found = []
    for name, (own, with_copies) in zip(
        names(records.shape), scores.swapaxes(0, 1).astype(np.float64), strict=True
    ):
        members, others = own[:inside], own[inside:]
        auc, p_value = one_set.area(members, others)
        copied, _ = one_set.area(with_copies[: len(chosen)], with_copies[inside:])
        found.append(
            SetAttack(
                name=name,
                auc=Estimate.of(auc),
                operating=one_set.operating(members, others[sides.settles], others[~sides.settles]),
                planted_auc=copied.value,
                p_value=p_value,
            )
        )
    return tuple(found)


def _nearness(
    release: SyntheticDataset, members: LabeledDataset, control: LabeledDataset, seed: int
) -> tuple[Nearness, ...]:
    measures = (L2(), Embedding(random_embed(members.shape, seed=seed)))
    found = copying(release, members, control, measures, duplicate=DUPLICATE)
    return tuple(
        Nearness(
            measure=seen.measure,
            closer=Estimate.of(seen.closer),
            expected=seen.expected,
            quantiles={name: tuple(values) for name, values in seen.quantiles().items()},
        )
        for seen in found.measured
    )


def _copies(
    release: SyntheticDataset,
    members: LabeledDataset,
    control: LabeledDataset,
    kept: Tensor,
    left: Tensor,
) -> Copies:
    """kept, left: the members and the control records that have no near-duplicate."""
    made = LabeledDataset(release.inputs, release.labels, release.classes)
    people, copied = [], []
    for side in (members.select(kept), control.select(left)):
        near, source = close(side, made, DUPLICATE)
        owner = np.arange(len(side)) if side.groups is None else side.groups.numpy()
        people.append(len(np.unique(owner)))
        # One record of the set may lie near two people: it is one copy.
        copied.append(min(len(np.unique(owner[near.numpy()])), int(source.sum())))
    return Copies(
        distance=DUPLICATE,
        of_members=_held(made, members, control),
        of_control=_held(made, control, members),
        near_duplicates=(int((~kept).sum()), int((~left).sum())),
        p_value=copies_p_value(*copied, *people),
    )


def _held(made: LabeledDataset, side: LabeledDataset, other: LabeledDataset) -> int:
    """How many records of a side, and of no other, the set holds; twins of one side included.

    They take no part in the test, but a set that holds them is no set in which nothing was seen.
    """
    near, _ = close(side, made, DUPLICATE)
    if not bool(near.any()):
        return 0
    shared, _ = close(side.select(near), other, DUPLICATE)
    return int((~shared).sum())


def _form(data: LabeledDataset | SyntheticDataset) -> dict[str, Any]:
    return {
        "name": data.name,
        "records": len(data),
        "shape": list(data.shape),
        "classes": list(data.classes),
    }
