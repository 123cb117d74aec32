"""Zhao and Zhang 2025: does training on synthetic data protect, against DP-SGD.

Coresets, condensers and what else is made of private data, under one plan with mislabelled
canaries. In condensation from real images half of the IN canaries are forced into the start and
the others kept out of it. LiRA reads the canaries under the wrong label that they carry and under
their true one: a set that copies images hides the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from limbeck.audit.attacks.lira import LiRA
from limbeck.data import available
from limbeck.data.dataset import LabeledDataset
from limbeck.experiments import rates
from limbeck.experiments.attacked import FPR, Attacked
from limbeck.experiments.bench import Bench, BenchStudy, Entry
from limbeck.experiments.claims import Claim, Measured, percent
from limbeck.experiments.published import paper
from limbeck.experiments.stand_in import open_data
from limbeck.experiments.study import Conclusion, Found, Table
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import build
from limbeck.types import Estimate

KEY = "zhao2025"
PAPER = "Zhao & Zhang 2025"
UNDEFENDED, DP_SGD = "undefended", "DP-SGD"
RANDOM, HERDING, FORGETTING = "random coreset", "herding coreset", "forgetting coreset"
DATA_FREE = "data-free distillation"
DM_REAL, DM_NOISE, DM_FOREIGN = "DM from real images", "DM from noise", "DM from foreign images"
MTT_REAL = "MTT from real images"
DIFFUSION, FROM_IMAGES = "diffusion from labels", "diffusion from private images"
NEAR_CHANCE = 0.15
"""TPR at 10% FPR that counts as near guessing: up to five points above it."""


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
        "herding": {},
        "forgetting": {"networks": 1},
        "data-free-distillation": {"steps": 150},
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
        "herding": {},
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
        claims = (
            *self._starts(found, attacked),
            *self._true_label(found),
            *self._coresets(found),
            *_data_free(attacked),
            *_diffusion(attacked),
            *_dp_sgd(attacked),
        )
        return Conclusion(claims, (self._table(attacked, found),))

    def _kept(self, found: Found, name: str) -> Bool[np.ndarray, "runs canaries"]:
        """Which canaries a run's set holds as they are; none where there are no images."""
        runs = self.bench.made.runs
        kept = found[name].get("kept")
        if kept is None:
            return np.zeros_like(self.bench.inside)
        return np.asarray(kept[:runs], dtype=bool)

    def _hidden(self, found: Found, name: str) -> Bool[np.ndarray, "runs canaries"]:
        """Canaries found by LiRA under their true labels."""
        scores = self.bench.scores(found[name], LiRA(), "canary-true")
        return rates.above(scores, self.bench.inside, FPR)

    def _arms(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Members in the start, and members kept out of it."""
        forced = self.bench.starts(name).forced[: self.bench.made.runs]
        return forced, self.bench.inside & ~forced

    def _starts(self, found: Found, attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
        forced, trained = self._arms(DM_REAL)
        real = attacked[DM_REAL]
        others = (DM_FOREIGN, DM_NOISE)
        return (
            Claim(
                "In condensation the canaries of the start leak.",
                PAPER,
                (
                    Measured(
                        f"found at {FPR:.0%} FPR, in the start of {DM_REAL}",
                        rates.share(real.hits, forced),
                        lowest=NEAR_CHANCE,
                    ),
                ),
                remark="Guessing finds 10%; up to 15% counts as near it.",
            ),
            Claim(
                "Canaries that are only trained on are near chance.",
                PAPER,
                (
                    Measured(
                        f"found at {FPR:.0%} FPR, kept out of the start of {DM_REAL}",
                        rates.share(real.hits, trained),
                        highest=NEAR_CHANCE,
                    ),
                    Measured(
                        f"found at {FPR:.0%} FPR, {DM_NOISE}",
                        attacked[DM_NOISE].found,
                        highest=NEAR_CHANCE,
                    ),
                ),
            ),
            Claim(
                "Foreign images or noise as a start leak less than real images.",
                PAPER,
                tuple(
                    Measured(
                        f"found at {FPR:.0%} FPR in {DM_REAL}'s start less in {name}",
                        rates.difference(
                            real.hits, forced, attacked[name].hits, attacked[name].inside
                        ),
                        lowest=0.0,
                        unit="points",
                    )
                    for name in others
                ),
            ),
            Claim(
                "Foreign images or noise as a start cost accuracy.",
                PAPER,
                tuple(
                    Measured(
                        f"accuracy of {DM_REAL} less that of {name}",
                        real.more_accurate_than(attacked[name]),
                        lowest=0.0,
                        unit="points",
                    )
                    for name in others
                ),
            ),
        )

    def _true_label(self, found: Found) -> tuple[Claim, ...]:
        forced, _ = self._arms(MTT_REAL)
        assigned = rates.above(self.bench.scores(found[MTT_REAL], LiRA()), self.bench.inside, FPR)
        hidden = self._hidden(found, MTT_REAL)
        return (
            Claim(
                "Trajectory matching hides canaries of its start under the label they carry, and "
                "shows them under their true one.",
                PAPER,
                (
                    Measured(
                        f"found at {FPR:.0%} FPR under the carried label",
                        rates.share(assigned, forced),
                        highest=NEAR_CHANCE,
                    ),
                    Measured(
                        "under the true label less under the carried one",
                        rates.difference(hidden, forced, assigned, forced),
                        lowest=0.0,
                        unit="points",
                    ),
                ),
            ),
            Claim(
                "While its images visibly copy the private images they began as.",
                PAPER,
                (
                    Measured(
                        "images traced to the one they began as",
                        Estimate.of_mean(
                            found[MTT_REAL]["traced"][: self.bench.made.runs].tolist()
                        ),
                        lowest=0.5,
                    ),
                ),
            ),
        )

    def _coresets(self, found: Found) -> tuple[Claim, ...]:
        inside, kept = self.bench.inside, self._kept(found, RANDOM)
        hits = rates.above(self.bench.scores(found[RANDOM], LiRA()), inside, FPR)
        gone = inside & ~kept
        return (
            Claim(
                "A random coreset publishes the canaries that it draws: they leak, the others not.",
                "limbeck's control",
                (
                    Measured("canaries kept", rates.share(kept, inside)),
                    Measured(
                        f"found at {FPR:.0%} FPR, kept less not kept",
                        rates.difference(hits, inside & kept, hits, gone),
                        lowest=0.0,
                        unit="points",
                    ),
                    Measured(
                        f"found at {FPR:.0%} FPR, not kept",
                        rates.share(hits, gone),
                        highest=NEAR_CHANCE,
                    ),
                ),
                paper(KEY).stated("kept_random"),
            ),
            Claim(
                "Selection by forgetting keeps more of the canaries, and leaks more.",
                PAPER,
                (
                    Measured(
                        f"canaries kept, {FORGETTING} less {RANDOM}",
                        rates.difference(self._kept(found, FORGETTING), inside, kept, inside),
                        lowest=0.0,
                        unit="points",
                    ),
                    Measured(
                        f"found at {FPR:.0%} FPR, {FORGETTING} less {RANDOM}",
                        rates.difference(
                            rates.above(self.bench.scores(found[FORGETTING], LiRA()), inside, FPR),
                            inside,
                            hits,
                            inside,
                        ),
                        lowest=0.0,
                        unit="points",
                    ),
                ),
                paper(KEY).stated("kept_random", "kept_forgetting"),
            ),
        )

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
            hidden = rates.share(self._hidden(found, name), one.inside)
            kept = rates.share(self._kept(found, name), one.inside)
            figures = (percent(one.found), percent(one.low_fpr), percent(hidden), percent(kept))
            spent = self.spent(found, name)
            rows.append((name, percent(one.accuracy), str(one.canaries), *figures, spent))
        return Table("With 95% intervals over records and runs", columns, tuple(rows))


def _data_free(attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    return (
        Claim(
            "Data-free distillation leaks through its teacher's answers.",
            PAPER,
            (
                Measured(
                    f"found at {FPR:.0%} FPR, {DATA_FREE}",
                    attacked[DATA_FREE].found,
                    lowest=NEAR_CHANCE,
                ),
            ),
        ),
    )


def _diffusion(attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    drawn, images = attacked[DIFFUSION], attacked[FROM_IMAGES]
    return (
        Claim(
            "Diffusion that starts from private images leaks.",
            PAPER,
            (
                Measured(
                    f"found at {FPR:.0%} FPR, {FROM_IMAGES}",
                    images.found,
                    lowest=NEAR_CHANCE,
                ),
            ),
        ),
        Claim(
            "Diffusion that is told labels alone leaks far less.",
            PAPER,
            (
                Measured(
                    f"found at {FPR:.0%} FPR, {FROM_IMAGES} less {DIFFUSION}",
                    images.more_found_than(drawn),
                    lowest=0.0,
                    unit="points",
                ),
            ),
            remark="The paper tells a pre-trained model words; here a model trained on the private "
            "data alone is told the class.",
        ),
    )


def _dp_sgd(attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    private = attacked[DP_SGD]
    rivals = [name for name in attacked if name not in (DP_SGD, UNDEFENDED)]
    return (
        Claim(
            "None of them protects better than DP-SGD.",
            PAPER,
            tuple(
                measured
                for name in rivals
                for measured in (
                    Measured(
                        f"found at {FPR:.0%} FPR in {DP_SGD} less in {name}",
                        private.more_found_than(attacked[name]),
                        highest=NEAR_CHANCE - FPR,
                        unit="points",
                    ),
                    Measured(
                        f"beside it: accuracy of {DP_SGD} less that of {name}",
                        private.more_accurate_than(attacked[name]),
                        unit="points",
                    ),
                    Measured(
                        f"beside it: CPU seconds of {DP_SGD} less those of {name}",
                        rates.paired(private.seconds, attacked[name].seconds),
                        unit="number",
                    ),
                )
            ),
            remark="Up to five points more count as no worse. Accuracy and cost stand beside: "
            "the paper compares all three at once, among models above one accuracy.",
        ),
    )


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
        RANDOM: coreset("random-subset"),
        HERDING: coreset("herding"),
        FORGETTING: coreset("forgetting"),
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
    """Data within reach that is not the private data; the digits always are."""
    reachable = {status.name for status in available() if status.reachable}
    others = [name for name in ("fashion-mnist", "mnist", "digits") if name != private.name]
    return next(name for name in others if name in reachable)
