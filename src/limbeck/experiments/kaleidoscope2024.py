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

import numpy as np
from jaxtyping import Bool, Float

from limbeck.audit.attacks.lira import LiRA
from limbeck.experiments import rates
from limbeck.experiments.bench import Bench, BenchStudy, Entry
from limbeck.experiments.claims import Claim, Measured, percent
from limbeck.experiments.stand_in import open_data
from limbeck.experiments.study import Conclusion, Found, Table
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import build
from limbeck.types import Estimate

KEY = "kaleidoscope2024"
PAPER = "the kaleidoscope paper"
CONTROL = "limbeck's control"
FPR = 0.1
NEAR_CHANCE = 0.15
"""TPR at 10% FPR that counts as near guessing: up to five points above it."""
UNTRACED = 0.05
"""Share of images traced to their start that counts as hidden; guessing finds one in hundreds."""
KEPT = -0.02
"""Accuracy that may be lost and still counts as kept."""


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
        return Conclusion(self._claims(started), (self._table(started, found),))

    def _claims(self, all_of: Mapping[str, "Started"]) -> tuple[Claim, ...]:
        few, usual, many = self.ipcs
        weak, strong = (_kaleidoscope(s) for s in (self.strengths[0], self.strengths[-1]))
        real, noised, noise = (all_of[name] for name in (REAL, NOISED, NOISE))
        weakest, strongest = all_of[weak], all_of[strong]
        return (
            Claim(
                "Real images that condensation starts from stay visible in what it makes.",
                PAPER,
                (
                    Measured("images traced to the one they began as", real.traced, lowest=0.5),
                    _gap("distance to the members, from noise less from real", noise, real),
                ),
            ),
            Claim(
                "A record in the start is found more often than one that is only trained on.",
                PAPER,
                (
                    Measured(
                        f"found at {FPR:.0%} FPR in the start less only trained on",
                        rates.difference(real.hits, real.forced, real.hits, real.trained),
                        lowest=0.0,
                        unit="points",
                    ),
                ),
            ),
            Claim(
                "The transformation hides which image each one began as.",
                PAPER,
                (
                    Measured(f"images traced, {strong}", strongest.traced, highest=UNTRACED),
                    _gap(f"distance to the members, {strong} less real", strongest, real),
                ),
            ),
            Claim(
                "The transformation protects the membership of the records in the start.",
                PAPER,
                tuple(
                    Measured(
                        f"found at {FPR:.0%} FPR in the start, {name}",
                        all_of[name].in_start,
                        highest=NEAR_CHANCE,
                    )
                    for name in (weak, strong)
                ),
                remark="Guessing finds 10%; up to 15% counts as near it.",
            ),
            Claim(
                "The transformation keeps the accuracy of a real start.",
                PAPER,
                tuple(
                    Measured(
                        f"accuracy of {name} less that of real",
                        rates.paired(all_of[name].accuracies, real.accuracies),
                        lowest=KEPT,
                        unit="points",
                    )
                    for name in (weak, strong)
                ),
                remark="A loss of up to two points counts as kept.",
            ),
            Claim(
                "The stronger the transformation, the safer.",
                PAPER,
                (_gap(f"distance to the members, {strong} less {weak}", strongest, weakest),),
            ),
            Claim(
                "More images per class weaken privacy.",
                PAPER,
                (
                    *(self._more(all_of, start) for start in (REAL, strong)),
                    _gap(
                        f"distance to the members from real, {few} per class less {many}",
                        all_of[_sized(REAL, few, usual)],
                        all_of[_sized(REAL, many, usual)],
                    ),
                ),
            ),
            Claim(
                "The transformation is worth more than plain noise as a start.",
                CONTROL,
                (
                    Measured(
                        f"accuracy of {strong} less that of noise",
                        rates.paired(strongest.accuracies, noise.accuracies),
                        lowest=0.0,
                        unit="points",
                    ),
                ),
                remark="Noise reads no record at all: whatever leaks no less than noise must be "
                "more accurate to be worth its risk.",
            ),
            Claim(
                "The transformation hides more than noise laid upon real images does.",
                CONTROL,
                (
                    Measured(
                        f"found at {FPR:.0%} FPR in the start, {NOISED} less {strong}",
                        rates.difference(
                            noised.hits, noised.forced, strongest.hits, strongest.forced
                        ),
                        lowest=0.0,
                        unit="points",
                    ),
                ),
            ),
        )

    def _more(self, all_of: Mapping[str, "Started"], start: str) -> Measured:
        """How much more of the canaries is found with many images per class than with few."""
        few, usual, many = self.ipcs
        more, less = (all_of[_sized(start, ipc, usual)].hits for ipc in (many, few))
        inside = self.bench.inside
        return Measured(
            f"found at {FPR:.0%} FPR from {start}, {many} per class less {few}",
            rates.difference(more, inside, less, inside),
            lowest=0.0,
            unit="points",
        )

    def _table(self, all_of: Mapping[str, "Started"], found: Found) -> Table:
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


@dataclass(frozen=True, eq=False)
class Started:
    """What one start led to.

    hits: canaries found, each run's threshold set by the others. forced, trained: the arms.
    explicit: (runs, measures), mean distances of the images to their nearest member, L2 first.
    traced: NaN where the start is no record.
    """

    hits: np.ndarray
    forced: np.ndarray
    trained: np.ndarray
    explicit: np.ndarray
    traced: Estimate
    accuracies: Float[np.ndarray, " utility"]

    @classmethod
    def of(cls, bench: Bench, name: str, found: Found) -> "Started":
        """The figures of one entry."""
        values, runs, inside = found[name], bench.made.runs, bench.inside
        forced: Bool[np.ndarray, "runs canaries"] = np.zeros_like(inside)
        traced = Estimate(float("nan"))
        if bench.entries[name].forced:
            forced = bench.starts(name).forced[:runs]
            traced = Estimate.of_mean(values["traced"][:runs].tolist())
        return cls(
            rates.above(bench.scores(values, LiRA()), inside, FPR),
            forced,
            inside & ~forced,
            values["explicit"][:runs],
            traced,
            bench.utility(values),
        )

    @property
    def in_start(self) -> Estimate:
        """Share of the canaries in the start that are found."""
        return rates.share(self.hits, self.forced)

    @property
    def only_trained(self) -> Estimate:
        """Share of the members that were kept out of the start and are found."""
        return rates.share(self.hits, self.trained)


REAL, NOISED, NOISE = "real", "noised-real:0.5", "noise"


def study(scale: str, *, data: str | None = None, device: str = "cpu") -> Kaleidoscope2024:
    """The study at "laptop" or "gpu" scale."""
    size = {"laptop": LAPTOP, "gpu": GPU}[scale]
    private, test, remark = open_data(
        ("fashion-mnist",), paper=None, given=data, limit=size.records, size=size.pixels
    )
    few, usual, many = size.ipcs
    starts = (REAL, *map(_kaleidoscope, size.strengths), NOISED, NOISE)
    sized = [(start, usual) for start in starts]
    sized += [(start, ipc) for start in (REAL, starts[-3]) for ipc in (few, many)]
    trainer = build("standard", dict(size.trainer), "trainer")
    entries = {}
    for start, ipc in sized:
        options = {"ipc": ipc, "init": start, **size.options}
        condenser = build(size.method, options, "synthesizer")
        name = _sized(start, ipc, usual)
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


def _kaleidoscope(strength: int) -> str:
    return f"kaleidoscope:{strength}"


def _sized(start: str, ipc: int, usual: int) -> str:
    return start if ipc == usual else f"{start}, {ipc} per class"


def _gap(what: str, one: Started, other: Started) -> Measured:
    """How much farther from the members one start's images end, in the embedding."""
    gap = rates.paired(one.explicit[:, -1], other.explicit[:, -1])
    return Measured(what, gap, lowest=0.0, unit="number")
