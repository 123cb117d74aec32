"""A comparison that is planned: run what is missing, sum it up, write the pages."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from limbeck import types
from limbeck.audit import plan
from limbeck.audit.chunks import DELTA, Audited
from limbeck.audit.evidence import Estimate
from limbeck.audit.provenance import form, machine, summary, versions
from limbeck.audit.result import Audit
from limbeck.audit.session import Progress
from limbeck.audit.store import Store
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.experiments.company import matched, reference
from limbeck.experiments.comparison import (
    COMPARISON,
    Comparison,
    Match,
    Tried,
    common_fpr,
    summed_up,
)
from limbeck.experiments.members import FOLDER, Member, copied, write_report
from limbeck.experiments.page import PAGE, page
from limbeck.experiments.steps import Steps
from limbeck.files import write_json, write_text
from limbeck.recipe import recipe
from limbeck.workers import pool

SEARCH, MATCHED = "dp-sgd-search", "dp-sgd as accurate as the best condenser"


@dataclass(frozen=True)
class Machines:
    """Where runs are computed: as of an audit."""

    workers: int | None = None
    memory: int | None = None
    cluster: str | None = None


HERE = Machines()


@dataclass(frozen=True, eq=False)
class Comparing:
    """A comparison that is planned and hashed, and not yet run.

    candidates: DP-SGD at each epsilon of the list; empty where company is refused.
    notes: what of the company cannot be had, and why.
    """

    plan: plan.Plan
    test: LabeledDataset
    device: str
    members: tuple[Member, ...]
    candidates: tuple[tuple[float, Member], ...]
    notes: tuple[str, ...]

    @cached_property
    def described(self) -> dict[str, Any]:
        """The plan that all mechanisms share, and its hash: more may join in the same folder."""
        described = self.members[0].session.described
        shared = {k: v for k, v in described.items() if k not in ("hash", "audited")}
        return {**shared, "hash": plan.digest(shared)}

    def estimate(self, store: str | Path, *, overwrite: bool = False) -> dict[str, float]:
        """CPU-seconds by name of what ``store`` holds no finished audit of.

        From a trial of a few seconds each. DP-SGD is expected to be audited at its last epsilon.
        Raises StoreError where ``store`` holds another comparison, unless ``overwrite``.
        """
        Store(store).holds_another(self.described["hash"], overwrite=overwrite)
        found = {
            member.name: member.session.estimate()[member.name].cpu_seconds
            for member in self.members
            if member.finished(Path(store)) is None
        }
        if self.candidates and not any(m.finished(Path(store)) for _, m in self.candidates):
            last = self.candidates[-1][1]
            once = last.session.estimate()[last.name]
            found[SEARCH] = once.run * len(self.candidates) * self.plan.preset.utility_runs
            found[MATCHED] = once.cpu_seconds
        return found

    def execute(
        self,
        store: str | Path,
        *,
        machines: Machines = HERE,
        overwrite: bool = False,
        expected: Mapping[str, float] | None = None,
        progress: Progress | None = None,
    ) -> Comparison:
        """Run what ``store`` does not hold yet; write the pages and ``comparison.json``.

        overwrite: replace a comparison under another plan. expected: CPU-seconds by name, of
        ``estimate``, so that progress is a share of the time.
        """
        root = Path(store)
        self._begin(Store(root), overwrite)
        names = [*(m.name for m in self.members), *((SEARCH, MATCHED) if self.candidates else ())]
        steps = Steps(names, expected, progress)
        audits = {m: self._audit(m, m.name, root, machines, steps) for m in self.members}
        match = None
        if self.candidates:
            match, chosen = self._matched(audits, root, machines, steps)
            if chosen is not None:
                audits[chosen] = self._audit(chosen, MATCHED, root, machines, steps)
        found = self._summed_up(audits, root, match)
        for member in audits:
            write_report(member, audits, root)
        write_json(root / COMPARISON, found.model_dump(mode="json"))
        write_text(root / PAGE, page(found))
        steps.end()
        return found

    def _begin(self, kept: Store, overwrite: bool) -> None:
        another = kept.holds_another(self.described["hash"], overwrite=overwrite)
        kept.begin(self.described, overwrite=overwrite)
        if another:
            for name in (FOLDER, SEARCH):
                shutil.rmtree(kept.folder / name, ignore_errors=True)

    def _audit(
        self, member: Member, step: str, root: Path, machines: Machines, steps: "Steps"
    ) -> Audit:
        with steps.step(step, member.name) as heard:
            done = member.finished(root)
            return done or member.session.execute(
                root / member.folder,
                **vars(machines),
                overwrite=True,  # a damaged audit of this name, if there is any
                progress=lambda share, _: heard(share),
            )

    def _matched(
        self,
        audits: Mapping[Member, Audit],
        root: Path,
        machines: Machines,
        steps: "Steps",
    ) -> tuple[Match, Member | None]:
        """DP-SGD over its list, and the one to audit; None where none fits or it is there."""
        given = {
            member.name: (member.mechanism, audit.subject.utility.plain())
            for member, audit in audits.items()
            if member.role == "given"
        }
        name = reference(given)
        tried = []
        with steps.step(SEARCH, SEARCH) as heard:
            for _, member in self.candidates:
                tried.append(self._utility(member, root / SEARCH, machines))
                heard(len(tried) / len(self.candidates))
        at = matched(given[name][1], tried)
        found = Match(
            reference=name,
            wanted=Estimate.of(given[name][1]),
            tried=tuple(
                Tried(epsilon=epsilon, utility=Estimate.of(one))
                for (epsilon, _), one in zip(self.candidates, tried, strict=True)
            ),
            chosen=None if at is None else self.candidates[at][0],
        )
        if at is None:
            return found, None
        chosen = self.candidates[at][1]
        there = any(recipe(m.mechanism) == recipe(chosen.mechanism) for m in audits)
        return found, None if there else chosen

    def _utility(self, member: Member, place: Path, machines: Machines) -> types.Estimate:
        """Accuracy over the runs without canaries, and nothing else."""
        store = Store(place)
        store.begin(self.described, overwrite=True)
        short = Audited("subject", member.name, member.mechanism, 0)
        with pool(machines.workers or os.cpu_count() or 1, cluster=machines.cluster) as run:
            found = member.session.scheduler.signals(short, store, run, lambda _: None)
        return types.Estimate.of_mean(found["accuracy"].tolist())

    def _summed_up(
        self, audits: Mapping[Member, Audit], root: Path, match: Match | None
    ) -> Comparison:
        fpr = common_fpr([audit.subject for audit in audits.values()])
        releases = {m: made for m in audits if (made := m.example(root)) is not None}
        notes, copies = list(self.notes), {}
        try:
            copies = copied(self.plan, self.test, releases) if releases else {}
        except OptionError as error:
            notes.append(f"Copying was not compared: {error}.")
        rows = [
            member.row(root, audit, fpr, copies.get(member, ())) for member, audit in audits.items()
        ]
        marked, dominance = summed_up(rows, fpr, len(self.plan.data.classes))
        return Comparison(
            plan_hash=self.described["hash"],
            plan=summary(self.plan, DELTA),
            dataset=form(self.plan.data),
            fpr=fpr,
            dominance=dominance,
            rows=marked,
            match=match,
            notes=tuple(notes),
            machine=machine(self.device),
            versions=versions(),
        )
