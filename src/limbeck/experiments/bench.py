"""Mechanisms under one plan: the same canaries, coins and seeds, and all that their releases tell.

What three of the papers need of each release is read here: signals of the observed records,
accuracy, how near the images come to members, whether the image that one began as is its nearest
record, and which canaries are in it as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from limbeck.audit import cost, plan
from limbeck.audit import views as query
from limbeck.audit.attacks.base import SIGNALS, MembershipAttack, Observed, Signal
from limbeck.audit.images.copying import copying
from limbeck.audit.images.embedders import random_embed
from limbeck.audit.images.measures import L2, Embedding, Measure, euclidean
from limbeck.audit.inference import roc
from limbeck.audit.presets import Preset
from limbeck.audit.signals import observe
from limbeck.data.canaries import Kind
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.experiments.forced import Starts, forcing, numbered, traced
from limbeck.experiments.study import Found, Study, Task, Values
from limbeck.mechanism.base import Mechanism
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import recipe
from limbeck.synthesize.condense.base import Condenser


@dataclass(frozen=True)
class Entry:
    """One mechanism of a bench. forced: half of its IN canaries are put into its start."""

    mechanism: Mechanism
    forced: bool = False


@dataclass(frozen=True, eq=False)
class Bench:
    """The plan, the test records that accuracy is measured on, and the mechanisms by name."""

    made: plan.Plan
    test: LabeledDataset
    entries: Mapping[str, Entry]
    device: str = "cpu"
    chunk: int = 4

    @classmethod
    def of(
        cls,
        private: LabeledDataset,
        test: LabeledDataset,
        entries: Mapping[str, Entry],
        *,
        runs: int,
        utility_runs: int = 3,
        canaries: int = 500,
        ordinary: int = 0,
        control: int = 300,
        kind: Kind = "mislabelled",
        device: str = "cpu",
        chunk: int = 4,
        seed: int = 0,
    ) -> "Bench":
        """A bench whose plan is drawn from ``seed``; canaries are at most 5% of the records."""
        sizes = Preset(runs, 0, utility_runs, canaries, ordinary, control, views=1)
        views = query.choose(1, private.shape, mirror=private.mirror)
        made = plan.make(numbered(private), test, views, preset=sizes, canary_kind=kind, seed=seed)
        resolved = {
            name: replace(entry, mechanism=entry.mechanism.resolve(made.data))
            for name, entry in entries.items()
        }
        # A couple of thousand answers tell an accuracy to half a point.
        few = test.select(torch.arange(0, len(test), max(1, len(test) // 2_000)))
        return cls(made, few, resolved, device, chunk)

    def described(self) -> dict[str, Any]:
        """JSON values that determine what every task yields."""
        return {
            "plan": self.made.described(),
            "test": self.test.fingerprint(),
            "mechanisms": {
                name: {"recipe": recipe(entry.mechanism), "forced": entry.forced}
                for name, entry in self.entries.items()
            },
            "device": self.device,
        }

    def tasks(self) -> tuple[Task, ...]:
        """The rows of every mechanism in chunks."""
        rows = range(len(self.made.membership))
        chunks = [tuple(rows[at : at + self.chunk]) for at in range(0, len(rows), self.chunk)]
        return tuple(Task(name, chunk) for name in self.entries for chunk in chunks)

    def seconds(self, name: str) -> float:
        """CPU-seconds of one run, from a short trial."""
        mechanism = self.entries[name].mechanism
        if not isinstance(mechanism, Pipeline):
            return cost.estimate(mechanism, self.made, self.test, 1, self.device).run
        tried = cost.trial(mechanism, self.made.data, self.device)
        return tried.reading / self.chunk + tried.run

    @cached_property
    def _starts(self) -> dict[int, Starts]:
        return {}

    def starts(self, name: str) -> Starts:
        """What a forced entry's runs start from."""
        ipc = int(self._condenser(name).ipc)
        if ipc not in self._starts:
            self._starts[ipc] = Starts.draw(self.made, ipc)
        return self._starts[ipc]

    def arms(
        self, name: str
    ) -> tuple[Bool[np.ndarray, "runs canaries"], Bool[np.ndarray, "runs canaries"]]:
        """Members that were in an entry's start, and members that were kept out of it."""
        forced = np.zeros_like(self.inside)
        if self.entries[name].forced:
            forced = self.starts(name).forced[: self.made.runs]
        return forced, self.inside & ~forced

    def _condenser(self, name: str) -> Condenser:
        mechanism = self.entries[name].mechanism
        assert isinstance(mechanism, Pipeline) and isinstance(mechanism.synthesizer, Condenser)
        return mechanism.synthesizer

    def perform(self, task: Task) -> dict[str, np.ndarray]:
        """Run a mechanism on the task's rows and read off each release."""
        made, rows, entry = self.made, list(task.rows), self.entries[task.group]
        seeds = [made.seeds[row] for row in rows]
        mechanism, starts = entry.mechanism, None
        if entry.forced:
            starts = self.starts(task.group)
            by_seed = dict(zip(seeds, rows, strict=True))
            begun = forcing(self._condenser(task.group), starts, by_seed)
            assert isinstance(mechanism, Pipeline)
            mechanism = Pipeline(begun, mechanism.trainer)
        membership = torch.from_numpy(made.membership[rows])
        queries = made.queries
        found: dict[str, list[Any]] = {"signals": [], "accuracy": []}
        releases = mechanism.run_many(made.data, membership, seeds, device=self.device)
        for row, release in zip(rows, releases, strict=True):
            assert release.classifier is not None, "every mechanism here ends in a classifier"
            signals = observe(release.classifier, queries.inputs, queries.labels, made.views)
            found["signals"].append(signals)
            found["accuracy"].append(release.classifier.accuracy(self.test))
            if release.synthetic is not None:
                seen = self._seen(release.synthetic, row)
                if starts is not None:
                    images = release.synthetic.inputs
                    seen["traced"] = traced(
                        made.data, starts.allowed[row], images, starts.ipc, made.seeds[row]
                    )
                for key, value in seen.items():
                    found.setdefault(key, []).append(value)
        return {key: np.stack([np.asarray(v) for v in values]) for key, values in found.items()}

    @cached_property
    def _measures(self) -> tuple[Measure, ...]:
        return L2(), Embedding(random_embed(self.made.data.shape, seed=0))

    def _seen(self, release: SyntheticDataset, row: int) -> dict[str, Any]:
        """How near the images come to this row's members, and the canaries kept as they are."""
        made = self.made
        members = made.data.select(torch.from_numpy(made.membership[row]))
        seen = copying(release, members, made.control, self._measures).measured
        canaries = made.data.inputs[torch.from_numpy(made.canary)].flatten(1)
        kept = (euclidean(canaries, release.inputs.cpu().flatten(1)) == 0).any(1)
        return {
            "explicit": np.array([one.explicit_privacy for one in seen]),
            "closer": np.array([one.closer.value - one.expected for one in seen]),
            "kept": kept.numpy(),
        }

    @property
    def inside(self) -> Bool[np.ndarray, "runs canaries"]:
        """Which canaries are members of which run."""
        return self.made.membership[: self.made.runs][:, self.made.canary]

    def observed(self, values: Values, group: plan.Group, signal: Signal = "margin") -> Observed:
        """What an attack reads of one group of records of one mechanism."""
        made = self.made
        here = np.array(made.groups)
        members = made.membership[: made.runs]
        chosen = {"canary": made.canary, "canary-true": made.canary, "ordinary": made.ordinary}
        signals = values["signals"][: made.runs, :, SIGNALS.index(signal)]
        return Observed(
            signals[:, :, here == group],
            members[:, chosen[group]],
            population=signals[:, :, here == "control"],
        )

    def scores(
        self,
        values: Values,
        attack: MembershipAttack,
        group: plan.Group = "canary",
        signal: Signal = "margin",
    ) -> Float[np.ndarray, "runs records"]:
        """An attack's scores, each run judged with the others as references."""
        return attack.score(self.observed(values, group, signal))

    def trials(
        self, values: Values, attack: MembershipAttack, group: plan.Group = "canary"
    ) -> roc.Trials:
        """The same with who was a member, for AUC and rates."""
        observed = self.observed(values, group)
        return roc.Trials(attack.score(observed), observed.membership)

    def utility(self, values: Values) -> Float[np.ndarray, " runs"]:
        """Accuracies of the runs without any canary."""
        return values["accuracy"][self.made.runs :]


@dataclass(frozen=True, eq=False)
class BenchStudy(Study):
    """A study that is a bench; a subclass says which ``paper`` and concludes."""

    bench: Bench
    remarks: tuple[str, ...] = ()
    device: str = "cpu"

    def described(self) -> dict[str, Any]:
        return {"paper": self.paper, **self.bench.described()}

    def tasks(self) -> tuple[Task, ...]:
        return self.bench.tasks()

    def perform(self, task: Task) -> dict[str, np.ndarray]:
        return self.bench.perform(task)

    def seconds(self, group: str) -> float:
        return self.bench.seconds(group)

    def spent(self, found: Found, name: str) -> str:
        """CPU-seconds of one run of a mechanism, printed."""
        return f"{float(found[name]['cpu_seconds'].mean()):.1f}"
