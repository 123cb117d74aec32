"""Dong, Zhao and Lyu 2022: does condensing protect for free, and Carlini et al.'s objections.

Condensers and generators under one plan: mislabelled canaries and ordinary records in or out of
every run by fair coins, the same network trained on whatever each mechanism releases. Beside them
stand what the objections ask for: a random subset of the same size, DP-SGD, and the canaries. How
far one record's removal moves images and networks is measured on its own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from limbeck.data.dataset import LabeledDataset
from limbeck.experiments import dong2022_claims as claims
from limbeck.experiments import removal
from limbeck.experiments.attacked import FPR, Attacked
from limbeck.experiments.bench import Bench, BenchStudy, Entry
from limbeck.experiments.claims import percent
from limbeck.experiments.dong2022_claims import (
    CONDENSERS,
    DM_NOISE,
    DM_REAL,
    DP_SGD,
    EPSILON,
    FULL,
    GENERATORS,
    SUBSET,
)
from limbeck.experiments.stand_in import open_data
from limbeck.experiments.study import Conclusion, Found, Table, Task
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import build
from limbeck.workers import cpu_seconds

KEY = "dong2022"
REMOVAL = "one record removed"


@dataclass(frozen=True)
class Size:
    """How much is done.

    ipc: of condensers and the random subset; generated: images per class that generators release.
    options: of methods by their registered name. trainer: of the network on released sets.
    repeats: records that are taken away, one after the other.
    """

    records: int | None
    runs: int
    utility_runs: int
    ipc: int
    generated: int
    options: Mapping[str, Mapping[str, Any]]
    trainer: Mapping[str, Any]
    dp_sgd: Mapping[str, Any]
    grid: removal.Grid = field(default_factory=removal.Grid)
    repeats: int = 12
    ordinary: int = 300
    chunk: int = 4


LAPTOP = Size(
    records=2_000,
    runs=16,
    utility_runs=4,
    ipc=10,
    generated=50,
    options={
        "dm": {"width": 16, "steps": 60},
        "dsa": {"width": 16, "networks": 2, "outer": 10},
        "kip": {"steps": 300, "batch": 500},
        "gs-wgan": {"epsilon": EPSILON},
        "dp-merf": {"epsilon": EPSILON},
        "dp-sinkhorn": {"epsilon": EPSILON},
    },
    trainer={"network": "convnet2", "width": 16},
    dp_sgd={"level": "epsilon-10", "width": 8},
)
GPU = Size(
    records=None,
    runs=64,
    utility_runs=10,
    ipc=50,
    generated=500,
    options={
        "dm": {"form": "minibatch", "steps": 20_000, "learning_rate": 1.0, "schedule": "constant"},
        "dsa": {"networks": 1000, "outer": 50, "inner": 10, "batch": 256, "learning_rate": 0.1},
        "kip": {"kernel": "convolutional", "depth": 3},
        "cgan": {"steps": 20_000, "width": 64},
        "gs-wgan": {"shards": 1_000, "steps": 2_000, "epsilon": EPSILON},
        "dp-merf": {"steps": 10_000, "features": 10_000, "epsilon": EPSILON},
        "dp-sinkhorn": {"steps": 5_000, "epsilon": EPSILON},
    },
    trainer={"network": "convnet3", "recipe": "reference"},
    dp_sgd={"level": "epsilon-10"},
    grid=removal.Grid((1_000, 3_000, 10_000, 30_000), (1, 5, 20, 50), 10, 300),
    repeats=32,
    ordinary=2_000,
    chunk=1,
)


@dataclass(frozen=True, eq=False)
class Dong2022(BenchStudy):
    """The study; see the module."""

    paper: str = KEY
    grid: removal.Grid = field(default_factory=removal.Grid)
    repeats: int = 12

    def described(self) -> dict[str, Any]:
        return {**super().described(), "grid": asdict(self.grid)}

    def tasks(self) -> tuple[Task, ...]:
        size = self.bench.chunk
        rows = range(self.repeats)
        chunks = [tuple(rows[at : at + size]) for at in range(0, self.repeats, size)]
        return (*super().tasks(), *(Task(REMOVAL, chunk) for chunk in chunks))

    def perform(self, task: Task) -> dict[str, np.ndarray]:
        if task.group != REMOVAL:
            return super().perform(task)
        data, seed = _without_canaries(self.bench), self.bench.made.seed
        rows = [removal.effects(data, self.grid, row, seed) for row in task.rows]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def seconds(self, group: str) -> float:
        if group != REMOVAL:
            return super().seconds(group)
        started = cpu_seconds()
        self.perform(Task(REMOVAL, (0,)))
        return cpu_seconds() - started

    def conclude(self, found: Found) -> Conclusion:
        bench = self.bench
        attacked = {name: Attacked.of(bench, found[name]) for name in bench.entries}
        all_of = (
            *claims.of_attacks(attacked),
            *claims.of_worth(attacked),
            *claims.of_images(found, bench.made.runs),
            *claims.of_removal(found[REMOVAL], self.grid),
            *claims.of_objections(attacked),
        )
        return Conclusion(all_of, (self._table(attacked, found), self._slopes(found)))

    def _slopes(self, found: Found) -> Table:
        effects, names = found[REMOVAL], ("images", "start", "weights", "losses")
        rows = [
            (name, *(str(claims.exponent(effects, self.grid, f"{name} by {by}")) for by in "nm"))
            for name in names
        ]
        columns = ("what moves", "exponent of n", "exponent of m")
        return Table("When one record is removed, with 95% intervals", columns, tuple(rows))

    def _table(self, attacked: Mapping[str, Attacked], found: Found) -> Table:
        columns = (
            "mechanism",
            "accuracy",
            "canary AUC",
            f"canaries found at {FPR:.0%} FPR",
            "at 1% FPR",
            "ordinary AUC",
            "advantage of the loss",
            "CPU seconds a run",
        )
        rows = []
        for name, one in attacked.items():
            figures = (str(one.canaries), percent(one.found), percent(one.low_fpr))
            averages = (str(one.ordinary), "" if one.loss is None else percent(one.loss))
            rows.append((name, percent(one.accuracy), *figures, *averages, self.spent(found, name)))
        return Table("With 95% intervals over records and runs", columns, tuple(rows))


def _without_canaries(bench: Bench) -> LabeledDataset:
    """The records that are like each other, as the theory has them."""
    others = np.setdiff1d(np.arange(len(bench.made.data)), bench.made.canary)
    return bench.made.data.select(others.tolist())


def study(scale: str, *, data: str | None = None, device: str = "cpu") -> Dong2022:
    """The study at "laptop" or "gpu" scale."""
    size = {"laptop": LAPTOP, "gpu": GPU}[scale]
    wanted = ("digits",) if scale == "laptop" else ("fashion-mnist",)
    private, test, remark = open_data(wanted, paper="fashion-mnist", given=data, limit=size.records)
    network = build("standard", dict(size.trainer), "trainer")

    def condensed(method: str, **more: Any) -> Entry:
        options = {**size.options.get(method, {}), **more}
        return Entry(Pipeline(build(method, options, "synthesizer"), network))

    entries = {
        FULL: Entry(Pipeline(None, network.for_many_records())),
        SUBSET: condensed("random-subset", ipc=size.ipc),
        CONDENSERS[0]: condensed("dsa", ipc=size.ipc, init="real"),
        DM_REAL: condensed("dm", ipc=size.ipc, init="real"),
        DM_NOISE: condensed("dm", ipc=size.ipc, init="noise"),
        CONDENSERS[3]: condensed("kip", ipc=size.ipc, init="real"),
        **{name: condensed(method, ipc=size.generated) for name, method in GENERATORS.items()},
        DP_SGD: Entry(Pipeline(None, build("dp-sgd", dict(size.dp_sgd), "trainer"))),
    }
    bench = Bench.of(
        private,
        test,
        entries,
        runs=size.runs,
        utility_runs=size.utility_runs,
        ordinary=size.ordinary,
        device=device,
        chunk=size.chunk,
    )
    size.grid.fits(_without_canaries(bench))
    told = (
        remark,
        "Networks trained on KIP's images learn less than the kernel regression they are made for.",
    )
    return Dong2022(bench, told, device, grid=size.grid, repeats=size.repeats)
