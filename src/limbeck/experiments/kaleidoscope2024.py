"""The kaleidoscope paper: what real images that condensation starts from leak, and a cure for it.

Starts from real images, from limbeck's reconstruction of the transformation at several strengths,
and the two controls the paper lacks: real images with noise upon them, and noise alone. In half of
its IN runs a mislabelled canary is forced into the start, in the other half only trained on.

LPIPS needs the weights of a feature network, which limbeck does not ship: explicit privacy is the
mean distance to the nearest member in the embedding of one public random network, and in pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.experiments import rates
from limbeck.experiments.attacked import FPR
from limbeck.experiments.bench import Bench, BenchStudy, Entry
from limbeck.experiments.claims import percent
from limbeck.experiments.kaleidoscope2024_claims import (
    NOISE,
    NOISED,
    REAL,
    Started,
    kaleidoscope,
    of_starts,
    sized,
)
from limbeck.experiments.stand_in import open_data
from limbeck.experiments.study import Conclusion, Found, Table
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import build
from limbeck.types import Estimate

KEY = "kaleidoscope2024"


@dataclass(frozen=True)
class Size:
    """How much is done. pixels: of a side, None for the images' own. ipcs: few, usual, many."""

    records: int | None
    pixels: int | None
    runs: int
    method: str
    options: Mapping[str, Any]
    trainer: Mapping[str, Any]
    strengths: tuple[int, ...] = (1, 3, 5)
    ipcs: tuple[int, int, int] = (1, 10, 50)
    chunk: int = 4


LAPTOP = Size(
    records=2_000,
    pixels=14,
    runs=16,
    method="dm",
    options={"width": 16, "steps": 60},
    trainer={"network": "convnet2", "width": 16},
)
GPU = Size(
    records=None,
    pixels=None,
    runs=64,
    method="dm",
    options={"form": "minibatch", "steps": 20_000, "learning_rate": 1.0, "schedule": "constant"},
    trainer={"network": "convnet3", "recipe": "reference"},
    chunk=1,
)


@dataclass(frozen=True, eq=False)
class Kaleidoscope2024(BenchStudy):
    """The study; see the module."""

    paper: str = KEY
    strengths: tuple[int, ...] = ()
    ipcs: tuple[int, int, int] = (1, 10, 50)

    def conclude(self, found: Found) -> Conclusion:
        started = {name: Started.of(self.bench, name, found) for name in self.bench.entries}
        stated = of_starts(started, self.strengths, self.ipcs)
        return Conclusion(stated, (self._table(started, found),))

    def _table(self, all_of: Mapping[str, Started], found: Found) -> Table:
        columns = (
            "start",
            "accuracy",
            "traced to its start",
            "distance to members (embedding)",
            "(pixels)",
            f"found at {FPR:.0%} FPR, in the start",
            "only trained on",
            "CPU seconds a run",
        )
        rows = []
        for name, one in all_of.items():
            accuracy = Estimate.of_mean(one.accuracies.tolist())
            distances = [f"{rates.mean(part)}" for part in one.explicit.T[::-1]]
            figures = (accuracy, one.traced)
            arms = (one.in_start, one.only_trained)
            spent = self.spent(found, name)
            rows.append((name, *map(percent, figures), *distances, *map(percent, arms), spent))
        return Table("With 95% intervals; guessing finds 10% of the members", columns, tuple(rows))


def study(scale: str, *, data: str | None = None, device: str = "cpu") -> Kaleidoscope2024:
    """The study at "laptop" or "gpu" scale."""
    size = {"laptop": LAPTOP, "gpu": GPU}[scale]
    private, test, remark = open_data(
        ("fashion-mnist",), paper=None, given=data, limit=size.records, size=size.pixels
    )
    few, usual, many = size.ipcs
    starts = (REAL, *map(kaleidoscope, size.strengths), NOISED, NOISE)
    chosen = [(start, usual) for start in starts]
    chosen += [(start, ipc) for start in (REAL, starts[-3]) for ipc in (few, many)]
    trainer = build("standard", dict(size.trainer), "trainer")
    entries = {}
    for start, ipc in chosen:
        options = {"ipc": ipc, "init": start, **size.options}
        condenser = build(size.method, options, "synthesizer")
        name = sized(start, ipc, usual)
        entries[name] = Entry(Pipeline(condenser, trainer), forced=start != NOISE)
    bench = Bench.of(
        private, test, entries, runs=size.runs, canaries=500, device=device, chunk=size.chunk
    )
    told = (
        remark,
        f"Condensed by {size.method.upper()}. The transformation is limbeck's reconstruction from "
        "the paper's description: its exact form is not public.",
        "LPIPS is not computed, for want of its network's weights: distances are those of one "
        "public random network's embedding, and of pixels.",
    )
    return Kaleidoscope2024(bench, told, device, strengths=size.strengths, ipcs=size.ipcs)
