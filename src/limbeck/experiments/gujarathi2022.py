"""Gujarathi and Gandhi 2022: condensed data against an attack by shadow models.

The attacker's half of the data trains ten networks on random members; one support vector machine
per class learns from their softmax answers whom they were trained on, and judges networks that
were trained on the other half, on all of the members or on what was condensed of them. That the
shadow networks see real data while the target sees condensed data is the paper's own choice.

Unlike the paper, members are drawn by independent fair coins (exactly half gives held-out bits
away), and the target is drawn many times: these runs then are each other's references for LiRA,
which sees the same data through the whole mechanism.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from limbeck import coins
from limbeck.audit import cost
from limbeck.audit.arrays import Arrays
from limbeck.audit.plan import array_digest
from limbeck.experiments import rates
from limbeck.experiments.both_attacks import FPR, Answers, Judged, called_members
from limbeck.experiments.claims import percent
from limbeck.experiments.gujarathi2022_claims import ALL, KEY, condensed_to, of_attacks, subset_of
from limbeck.experiments.stand_in import open_data
from limbeck.experiments.study import SPENT, Conclusion, Found, Study, Table, Task
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import build, recipe
from limbeck.types import Estimate

SHADOW = "the attacker's shadow networks"


@dataclass(frozen=True)
class Size:
    """How much is done.

    records: of both halves together, None for all. pixels: of a side, None for the images' own.
    shadows: the attacker's networks. runs: targets.
    epochs, small_epochs: of a training on real data, and on a condensed set or a random subset.
    width: maps of the network's layers. dc: options of the condenser. rows_per_class: shadow
    answers that each support vector machine learns from, a side; None for all.
    """

    records: int | None
    pixels: int | None
    shadows: int
    runs: int
    epochs: int
    small_epochs: int
    width: int
    dc: Mapping[str, Any]
    rows_per_class: int | None
    ipcs: tuple[int, ...] = (10, 50)
    chunk: int = 2


LAPTOP = Size(
    records=6_000,
    pixels=14,
    shadows=10,
    runs=12,
    epochs=40,
    small_epochs=100,
    width=28,
    dc={"init": "real", "networks": 6, "outer": 20, "inner": 3, "width": 16},
    rows_per_class=150,
)
GPU = Size(
    records=None,
    pixels=None,
    shadows=10,
    runs=32,
    epochs=100,
    small_epochs=100,
    width=28,
    # The published loops of DC: 1,000 networks of width 128, outer and inner steps by ipc.
    dc={"networks": 1000, "width": 128, "batch": 256, "learning_rate": 0.1, "network_rate": 0.01},
    rows_per_class=3_000,
    chunk=1,
)
_SHORT = (
    "DC starts from real images and asks 6 networks: from noise, as in the published code, it is "
    "below a random subset after so few."
)
_LOOPS = {1: (1, 1), 10: (10, 50), 50: (50, 10)}


@dataclass(frozen=True, eq=False)
class Gujarathi2022(Study):
    """The study on given data; see the module."""

    private: Arrays
    test: Arrays
    size: Size
    remarks: tuple[str, ...] = ()
    device: str = "cpu"
    seed: int = 0
    paper: str = KEY

    @cached_property
    def _targets(self) -> dict[str, Pipeline]:
        found = {ALL: Pipeline(None, self._trainer(self.size.epochs))}
        small = self._trainer(self.size.small_epochs)
        for ipc in self.size.ipcs:
            subset = build("random-subset", {"ipc": ipc}, "synthesizer")
            found[subset_of(ipc)] = Pipeline(subset, small)
            found[condensed_to(ipc)] = Pipeline(self._condenser(ipc), small)
        half = self._half(first=True)
        return {name: pipeline.resolve(half) for name, pipeline in found.items()}

    def _trainer(self, epochs: int) -> Any:
        options = {"recipe": "adam", "epochs": epochs, "width": self.size.width}
        return build("standard", {"network": "tanh-cnn", **options}, "trainer")

    def _condenser(self, ipc: int) -> Any:
        options = dict(self.size.dc)
        if "outer" not in options and ipc in _LOOPS:
            options["outer"], options["inner"] = _LOOPS[ipc]
        return build("dc", {"ipc": ipc, **options}, "synthesizer")

    def _half(self, *, first: bool) -> Any:
        """The target's records (the first half) or the attacker's."""
        data = self.private.dataset()
        middle = len(data) // 2
        return data.select(torch.arange(middle) if first else torch.arange(middle, len(data)))

    def _members(self, group: str) -> Bool[np.ndarray, "rows records"]:
        shadow = group == SHADOW
        records = len(self._half(first=not shadow))
        # All targets share their coins, so that their figures can be compared run by run.
        draws = coins.numpy_generator(self.seed, KEY, "shadow" if shadow else "target")
        return draws.random((self.size.shadows if shadow else self.size.runs, records)) < 0.5

    def described(self) -> dict[str, Any]:
        return {
            "paper": KEY,
            "size": {**asdict(self.size), "dc": dict(self.size.dc)},
            "data": [array_digest(part.inputs) for part in (self.private, self.test)],
            "labels": [array_digest(part.labels) for part in (self.private, self.test)],
            "targets": {name: recipe(target) for name, target in self._targets.items()},
            "seed": self.seed,
            "device": self.device,
        }

    def tasks(self) -> tuple[Task, ...]:
        groups = {SHADOW: self.size.shadows} | dict.fromkeys(self._targets, self.size.runs)
        return tuple(
            Task(group, tuple(range(start, min(start + self.size.chunk, rows))))
            for group, rows in groups.items()
            for start in range(0, rows, self.size.chunk)
        )

    def perform(self, task: Task) -> dict[str, np.ndarray]:
        shadow = task.group == SHADOW
        mechanism = self._targets[ALL if shadow else task.group]
        half, test = self._half(first=not shadow), self.test.dataset()
        rows = list(task.rows)
        seeds = [coins.derive(self.seed, KEY, task.group, row) for row in rows]
        membership = torch.from_numpy(self._members(task.group)[rows])
        logits, accuracy = [], []
        for release in mechanism.run_many(half, membership, seeds, device=self.device):
            assert release.classifier is not None
            logits.append(release.classifier.logits(half.inputs).numpy())
            accuracy.append(release.classifier.accuracy(test))
        return {"logits": np.stack(logits), "accuracy": np.array(accuracy)}

    def seconds(self, group: str) -> float:
        half = self._half(first=group != SHADOW)
        pipeline = self._targets[ALL if group == SHADOW else group]
        # Half of the records are members.
        tried = cost.trial(pipeline, half.select(torch.arange(0, len(half), 2)), self.device)
        return tried.reading + tried.run

    def conclude(self, found: Found) -> Conclusion:
        shadow, names = found[SHADOW]["logits"], list(self._targets)
        attacker = self._half(first=False).labels.numpy()
        called = called_members(
            Answers(shadow, attacker, self._members(SHADOW)),
            {name: self._answers(found, name) for name in names},
            rows_per_class=self.size.rows_per_class,
            seed=self.seed,
        )
        judged = {
            name: Judged.of(called[name], self._answers(found, name), found[name]["accuracy"])
            for name in names
        }
        spent = {name: float(found[name][SPENT].mean()) for name in judged}
        stated = of_attacks(judged, self._members(ALL), self.size.ipcs)
        return Conclusion(stated, (self._table(judged, spent),))

    def _answers(self, found: Found, name: str) -> Answers:
        labels = self._half(first=True).labels.numpy()
        return Answers(found[name]["logits"], labels, self._members(name))

    def _table(self, judged: Mapping[str, Judged], spent: Mapping[str, float]) -> Table:
        columns = (
            "trained on",
            "accuracy",
            "SVM precision",
            "SVM recall",
            "SVM accuracy",
            "LiRA AUC",
            f"LiRA TPR at {FPR:.0%} FPR",
            "CPU seconds a run",
        )
        rows = []
        for name, one in judged.items():
            inside = self._members(name)
            figures = (
                Estimate.of_mean(one.accuracies.tolist()),
                rates.share(inside, one.called),
                rates.share(one.called, inside),
                one.accuracy,
            )
            words = (*map(percent, figures), str(one.auc), percent(one.tpr))
            rows.append((name, *words, f"{spent[name]:.1f}"))
        return Table("With 95% intervals, over records and runs", columns, tuple(rows))


def study(scale: str, *, data: str | None = None, device: str = "cpu") -> Gujarathi2022:
    """The study at "laptop" or "gpu" scale, on MNIST where it is within reach."""
    size = {"laptop": LAPTOP, "gpu": GPU}[scale]
    private, test, remark = open_data(
        ("mnist", "fashion-mnist"),
        paper="mnist",
        given=data,
        limit=size.records,
        size=size.pixels,
        at_least=16,
    )
    # Answers on a few thousand test records tell accuracies to half a point.
    few = test.select(torch.arange(0, len(test), max(1, len(test) // 2_000)))
    told: tuple[str, ...] = (
        remark,
        "Members are drawn by fair coins, not exactly half of the records, and the target is drawn "
        f"{size.runs} times instead of once.",
    )
    if scale == "laptop":
        told = (*told, _SHORT)
    return Gujarathi2022(Arrays.of(private), Arrays.of(few), size, told, device)
