"""Zhao and Zhang 2025: does training on synthetic data protect, against DP-SGD.

Coresets, condensers and what else is made of private data, under one plan with mislabelled
canaries. In condensation from real images half of the IN canaries are forced into the start and
the others kept out of it. LiRA reads the canaries under the wrong label that they carry and under
their true one: a set that copies images hides the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.data import available
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError
from limbeck.experiments import rates
from limbeck.experiments import zhao2025_claims as claims
from limbeck.experiments.attacked import FPR, Attacked
from limbeck.experiments.bench import Bench, BenchStudy, Entry
from limbeck.experiments.claims import percent
from limbeck.experiments.stand_in import open_data
from limbeck.experiments.study import Conclusion, Found, Table
from limbeck.experiments.zhao2025_claims import (
    CORESETS,
    DATA_FREE,
    DIFFUSION,
    DM_FOREIGN,
    DM_NOISE,
    DM_REAL,
    DP_SGD,
    FROM_IMAGES,
    KEY,
    MTT_REAL,
    UNDEFENDED,
)
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import build


@dataclass(frozen=True)
class Size:
    """How much is done. share: of each class's records that a coreset keeps."""

    records: int | None
    runs: int
    utility_runs: int
    canaries: int
    ipc: int
    share: float
    options: Mapping[str, Mapping[str, Any]]
    trainer: Mapping[str, Any]
    coreset_trainer: Mapping[str, Any]
    dp_sgd: Mapping[str, Any]
    chunk: int = 4


LAPTOP = Size(
    records=2_000,
    runs=16,
    utility_runs=4,
    canaries=100,
    ipc=10,
    share=0.4,
    options={
        "dm": {"width": 16, "steps": 60},
        "mtt": {"width": 8, "steps": 30, "expert_count": 2, "batch": 20},
        "diffusion": {"steps": 200, "jumps": 10},
        "forgetting": {"networks": 1},
        "data-free-distillation": {},
    },
    trainer={"network": "convnet2", "width": 16},
    coreset_trainer={"network": "convnet2", "width": 16, "recipe": "full", "steps": 300},
    dp_sgd={"level": "epsilon-10", "width": 8},
)
GPU = Size(
    records=None,
    runs=32,
    utility_runs=5,
    canaries=500,
    ipc=50,
    share=0.4,
    options={
        "dm": {"form": "minibatch", "steps": 20_000, "learning_rate": 1.0, "schedule": "constant"},
        "mtt": {"width": 128, "steps": 5_000, "expert_count": 100},
        "diffusion": {"steps": 100_000, "width": 128, "jumps": 50},
        "forgetting": {"networks": 4, "epochs": 30},
        "data-free-distillation": {"steps": 50_000, "batch": 256, "width": 64},
    },
    trainer={"network": "resnet18", "recipe": "reference"},
    coreset_trainer={"network": "resnet18", "recipe": "full", "steps": 20_000},
    dp_sgd={"level": "high", "network": "resnet18-group"},
    chunk=1,
)


@dataclass(frozen=True, eq=False)
class Zhao2025(BenchStudy):
    """The study; see the module."""

    paper: str = KEY

    def conclude(self, found: Found) -> Conclusion:
        bench = self.bench
        attacked = {name: Attacked.of(bench, found[name]) for name in bench.entries}
        all_of = (
            *claims.of_starts(bench, attacked),
            *claims.of_labels(bench, found, attacked),
            *claims.of_coresets(bench, found, attacked),
            *claims.of_other_releases(attacked),
            *claims.of_dp_sgd(attacked),
        )
        return Conclusion(all_of, (self._table(attacked, found),))

    def _table(self, attacked: Mapping[str, Attacked], found: Found) -> Table:
        columns = (
            "mechanism",
            "accuracy",
            "canary AUC",
            f"found at {FPR:.0%} FPR",
            "at 1% FPR",
            f"found at {FPR:.0%} FPR, true label",
            "canaries kept as they are",
            "CPU seconds a run",
        )
        rows = []
        for name, one in attacked.items():
            hidden = rates.share(claims.under_true_label(self.bench, found[name]), one.inside)
            kept = rates.share(claims.canaries_kept(self.bench, found[name]), one.inside)
            figures = (percent(one.found), percent(one.low_fpr), percent(hidden), percent(kept))
            spent = self.spent(found, name)
            rows.append((name, percent(one.accuracy), str(one.canaries), *figures, spent))
        return Table("With 95% intervals over records and runs", columns, tuple(rows))


def study(scale: str, *, data: str | None = None, device: str = "cpu") -> Zhao2025:
    """The study at "laptop" or "gpu" scale."""
    size = {"laptop": LAPTOP, "gpu": GPU}[scale]
    wanted = ("digits",) if scale == "laptop" else ("cifar10", "fashion-mnist")
    private, test, remark = open_data(wanted, paper="cifar10", given=data, limit=size.records)
    bench = Bench.of(
        private,
        test,
        _entries(size, private),
        runs=size.runs,
        utility_runs=size.utility_runs,
        canaries=size.canaries,
        device=device,
        chunk=size.chunk,
    )
    out = int((~bench.inside).sum())
    told = (
        remark,
        f"{out:,} scores of non-members: an FPR of 0.1% would rest on {out / 1000:.0f} of them, so "
        f"that canaries found are compared at {FPR:.0%}.",
    )
    return Zhao2025(bench, told, device)


def _entries(size: Size, private: LabeledDataset) -> dict[str, Entry]:
    small = build("standard", dict(size.trainer), "trainer")
    large = build("standard", dict(size.coreset_trainer), "trainer")
    kept = max(1, int(size.share * int(private.counts().min())))

    def condensed(method: str, init: str, *, forced: bool = False) -> Entry:
        options = {"ipc": size.ipc, "init": init, **size.options[method]}
        return Entry(Pipeline(build(method, options, "synthesizer"), small), forced)

    def coreset(method: str) -> Entry:
        options = {"ipc": kept, **size.options.get(method, {})}
        return Entry(Pipeline(build(method, options, "synthesizer"), large))

    def drawn(start: str) -> Entry:
        options = {"ipc": kept, "start": start, **size.options["diffusion"]}
        return Entry(Pipeline(build("diffusion", options, "synthesizer"), large))

    return {
        UNDEFENDED: Entry(Pipeline(None, large)),
        **{name: coreset(method) for name, method in CORESETS.items()},
        DM_REAL: condensed("dm", "real", forced=True),
        DM_NOISE: condensed("dm", "noise"),
        DM_FOREIGN: condensed("dm", f"public:{_foreign(private)}"),
        MTT_REAL: condensed("mtt", "real", forced=True),
        DATA_FREE: Entry(
            build(
                "data-free-distillation",
                {"trainer": large, **size.options["data-free-distillation"]},
                "mechanism",
            )
        ),
        DIFFUSION: drawn("label"),
        FROM_IMAGES: drawn("image"),
        DP_SGD: Entry(Pipeline(None, build("dp-sgd", dict(size.dp_sgd), "trainer"))),
    }


def _foreign(private: LabeledDataset) -> str:
    """Data within reach that is not the private data."""
    reachable = {status.name for status in available() if status.reachable}
    others = [name for name in ("fashion-mnist", "mnist", "digits") if name != private.name]
    found = next((name for name in others if name in reachable), None)
    if found is None:
        raise DatasetError(
            f"one entry starts from public images other than {private.name}, and none are here; "
            "get some with 'limbeck data fashion-mnist'"
        )
    return found
