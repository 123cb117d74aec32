"""A planned audit, executed: shadow runs, what they leaked, and what is kept of it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from limbeck.audit import cost, plan
from limbeck.audit.attacks.base import SIGNALS, MembershipAttack
from limbeck.audit.attacks.choice import STANDARD
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.chunks import CONTROL_EPSILON, DELTA, Audited, Scheduler
from limbeck.audit.evidence import Evidence, Looks, Released, Subject
from limbeck.audit.images.kept import shares_kept
from limbeck.audit.images.signals import kinds
from limbeck.audit.images.starts import found_starts
from limbeck.audit.inference import judge
from limbeck.audit.inference.exposure import Exposure, exposures
from limbeck.audit.inference.intervals import LEVEL
from limbeck.audit.inference.sequential import WHOLE, level_within
from limbeck.audit.inference.shadows import TRUE_LABEL, Shadows
from limbeck.audit.inference.verdict import leak_shown, verdict
from limbeck.audit.provenance import form, machine, summary, versions, without_paths
from limbeck.audit.released import attack_release
from limbeck.audit.result import Audit
from limbeck.audit.store import COST, EVIDENCE, PREVIEW, RISKS, Store
from limbeck.data.dataset import LabeledDataset
from limbeck.data.preview import png
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError, StoreError
from limbeck.files import write_bytes
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import recipe
from limbeck.train.base import Classifier
from limbeck.types import Estimate
from limbeck.workers import Run, one_thread, peak_memory, pool

Progress = Callable[[float, str], None]
"""Called with the finished share of the work in [0, 1] and what is being done."""


@dataclass(frozen=True, eq=False)
class Session:
    """An audit that is planned and hashed, and not yet run."""

    plan: plan.Plan
    audited: tuple[Audited, ...]
    test: LabeledDataset
    device: str
    described: Mapping[str, Any]
    released: SyntheticDataset | None = None
    attacks: tuple[MembershipAttack, ...] = STANDARD

    @property
    def scheduler(self) -> Scheduler:
        """What runs the plan's chunks."""
        softmax = any("softmax" in attack.reads for attack in self.attacks)
        return Scheduler(self.plan, self.described["hash"], self.test, self.device, softmax)

    def estimate(self) -> dict[str, cost.Estimated]:
        """CPU-seconds of each mechanism by title, from a trial of a few seconds each."""
        return {
            one.title: cost.estimate(
                one.mechanism,
                self.plan,
                self.test,
                one.runs + self.plan.preset.utility_runs,
                self.device,
            )
            for one in self.audited
        }

    def finished(self, store: str | Path) -> "Audit | None":
        """The audit that ``store`` holds of this very plan, if it is finished."""
        try:
            found = Audit.load(store)
        except StoreError:
            return None
        return found if found.evidence.plan_hash == self.described["hash"] else None

    def execute(
        self,
        store: str | Path,
        *,
        workers: int | None = None,
        memory: int | None = None,
        cluster: str | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> "Audit":
        """Run what the store does not hold yet, judge, and write the evidence.

        workers: processes, one per core if None. memory: bytes that they may need together.
        cluster: a Dask scheduler's address. overwrite: replace another plan's audit.
        """
        several = _affordable(workers or os.cpu_count() or 1, memory)
        # A cluster that cannot be reached is refused before anything is written.
        with pool(several, cluster=cluster) as run:
            kept = Store(store)
            kept.begin(self.described, overwrite=overwrite)
            return self._execute(kept, several, run, progress)

    def _execute(self, kept: Store, workers: int, run: Run, progress: Progress | None) -> "Audit":
        total = sum(one.runs + self.plan.preset.utility_runs for one in self.audited)
        done, subjects, costs = 0, [], {}
        classifier = self._released_classifier()
        for one in self.audited:
            started = perf_counter()

            def advance(runs: int, title: str = one.title) -> None:
                nonlocal done
                done += runs
                if progress is not None:
                    progress(done / total, title)

            if progress is not None:
                progress(done / total, one.title)
            for taken, signals in enumerate(self.scheduler.at_looks(one, kept, run, advance), 1):
                looks = _looks(one, taken)
                left = self._left(one, signals)
                judged = self._judge(one, left, signals["accuracy"], classifier, looks)
                if looks is not None and leak_shown(judged):
                    break
            advance(one.runs - judged.runs)  # what is left out is done with
            if one.role == "subject":
                exposed = exposures(left, (LiRA(),), judge.IMAGE_ATTACKS, level=_level(looks))
                kept.write_json(RISKS, [self._risks(exposure) for exposure in exposed])
                risks = tuple(exposure.summary() for exposure in exposed)
                judged = judged.model_copy(update={"risks": risks})
            starts = found_starts(signals, self.plan.data.shape)
            held = shares_kept(signals, left)
            shown = one.mechanism.releases_images
            seen = {"starts": starts, "kept": held, "releases_images": shown}
            subjects.append(judged.model_copy(update=seen))
            if one.role == "subject" and "example_inputs" in signals:
                self._picture(signals, kept)
            costs[one.title] = {
                "cpu_seconds": round(float(signals["cost"][:, 0].sum()), 1),
                "wall_seconds": round(perf_counter() - started, 1),
                "peak_memory_mib": round(float(signals["cost"][:, 1].max()), 1),
            }
        found = Evidence(
            plan_hash=self.described["hash"],
            plan=summary(self.plan, DELTA),
            dataset=form(self.plan.data),
            subjects=tuple(subjects),
            verdict=verdict(tuple(subjects)),
            versions=versions(),
        )
        kept.write_json(EVIDENCE, found.model_dump(mode="json"))
        spent = {"machine": machine(self.device), "workers": workers, "subjects": costs}
        kept.write_json(COST, spent)
        return Audit(found, spent, kept.folder)

    def _picture(self, signals: Mapping[str, np.ndarray], store: Store) -> None:
        """Keep a picture of one run's synthetic set beside the evidence, for the report."""
        inputs = torch.from_numpy(signals["example_inputs"])
        if inputs.dim() == 4:
            labels = torch.from_numpy(signals["example_labels"])
            example = SyntheticDataset(inputs, labels, self.plan.data.classes)
            write_bytes(store.folder / PREVIEW, png(example))

    def _released_classifier(self) -> Classifier | None:
        """The subject's trainer on the very release that the audit is about."""
        subject = self.audited[0].mechanism
        if self.released is None or not isinstance(subject, Pipeline) or subject.trainer is None:
            return None
        with one_thread():
            return subject.trainer.fit(self.released, seed=self.plan.seed, device=self.device)

    def _left(self, one: Audited, signals: Mapping[str, np.ndarray]) -> Shadows:
        """What the shadow runs left, beside the coins that it is judged by."""
        made, runs = self.plan, len(signals["signals"])
        groups = np.array(made.groups)
        coins = made.membership[:runs]
        members = np.zeros((runs, len(groups)), dtype=bool)
        members[:, : len(made.observed)] = coins[:, made.observed]
        strangers = made.units.max() + 1 + np.arange(len(made.control))
        units = [made.units, strangers]
        if made.mislabelled:
            members[:, groups == TRUE_LABEL] = coins[:, made.canary]
            units.append(made.units[: len(made.canary)])
        return Shadows(
            signals=signals["signals"],
            membership=members,
            groups=groups,
            halves=made.halves[:runs],
            control=signals["control"],
            units=np.concatenate(units),
            labels=made.queries.labels.numpy(),
            images=signals.get("images"),
            softmax=signals.get("softmax"),
            image_kinds=kinds(made.data.shape) if "images" in signals else (),
        )

    def _risks(self, exposure: Exposure) -> dict[str, Any]:
        """One group's risks by record, for the data's owner alone."""
        records = self.plan.canary if exposure.group == "canary" else self.plan.ordinary
        columns = {
            name: np.round(getattr(exposure.risk, name), 4).tolist()
            for name in ("value", "low", "high", "hits", "trials")
        }
        told = exposure.summary().model_dump(include={"attack", "signal", "group", "fpr"})
        return {**told, "level": exposure.risk.level, "record": records.tolist(), **columns}

    def _judge(
        self,
        one: Audited,
        shadows: Shadows,
        accuracy: np.ndarray,
        classifier: Classifier | None,
        looks: Looks | None,
    ) -> Subject:
        # The hinge of a record's own view is positive exactly where it is classified right.
        hinges = shadows.signals[:, 0, SIGNALS.index("hinge")]
        right = hinges[:, shadows.groups == "control"] > 0
        target = classifier if one.role == "subject" else None
        released: tuple[Released, ...] = ()
        if target is not None:
            released = attack_release(target, self.plan, shadows)
        return judge.judge(
            shadows,
            title=one.title,
            role=one.role,
            recipe=without_paths(recipe(one.mechanism)),
            holds_real_records=one.mechanism.holds_real_records,
            guarantee=one.mechanism.guarantee,
            stated=one.claim,
            utility=Estimate.of_mean(accuracy.tolist()),
            utility_with_canaries=Estimate.of_mean(right.mean(1).tolist(), _level(looks)),
            seed=self.plan.seed,
            attacks=self.attacks,
            target_utility=None if target is None else target.accuracy(self.test),
            released=released,
            delta=DELTA,
            control_epsilon=CONTROL_EPSILON,
            looks=looks,
        )


def _looks(one: Audited, taken: int) -> Looks | None:
    """What the evidence says of the looks that were declared, if any were."""
    if not one.looks:
        return None
    return Looks(runs=one.steps, taken=taken, share=one.looks[taken - 1].share)


def _level(looks: Looks | None) -> float:
    """Confidence of what is said of the runs at this look."""
    return level_within(LEVEL, WHOLE if looks is None else looks.share)


def _affordable(workers: int, memory: int | None) -> int:
    """How many workers fit into ``memory`` bytes beside this process; OptionError if none does."""
    if memory is None:
        return workers
    each = peak_memory()
    fits = memory // each - 1
    if fits < 1 and memory < each:
        raise OptionError(
            f"memory {memory / 2**30:.1f} GiB is less than the {each / 2**30:.1f} GiB that this "
            "process with its data already needs; allow more, or audit a slice of the data"
        )
    return int(max(1, min(workers, fits)))
