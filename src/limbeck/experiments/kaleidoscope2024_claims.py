"""What the kaleidoscope paper claims of starts, and what limbeck's controls ask of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from limbeck.experiments import rates
from limbeck.experiments.attacked import FPR, NEAR_CHANCE, hits
from limbeck.experiments.bench import Bench
from limbeck.experiments.claims import CONTROL, Claim, Measured, more
from limbeck.experiments.study import Found
from limbeck.types import Estimate

PAPER = "the kaleidoscope paper"
REAL, NOISED, NOISE = "real", "noised-real:0.5", "noise"
UNTRACED = 0.05
"""Share of images traced to their start that counts as hidden; guessing finds one in hundreds."""
KEPT = -0.02
"""Accuracy that may be lost and still counts as kept."""


def kaleidoscope(strength: int) -> str:
    """The start that the transformation of real images makes, by its name."""
    return f"kaleidoscope:{strength}"


def sized(start: str, ipc: int, usual: int) -> str:
    """What a start with so many images per class is called; of the ``usual`` number, its name."""
    return start if ipc == usual else f"{start}, {ipc} per class"


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
        values, runs = found[name], bench.made.runs
        forced, trained = bench.arms(name)
        traced = Estimate(math.nan)
        if bench.entries[name].forced:
            traced = Estimate.of_mean(values["traced"][:runs].tolist())
        return cls(
            hits(bench, values),
            forced,
            trained,
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


def of_starts(
    all_of: Mapping[str, Started], strengths: Sequence[int], ipcs: tuple[int, int, int]
) -> tuple[Claim, ...]:
    """What starts from real images leak, and what the transformation of them hides and costs."""
    few, usual, many = ipcs
    weak, strong = (kaleidoscope(s) for s in (strengths[0], strengths[-1]))
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
                more(
                    f"found at {FPR:.0%} FPR in the start less only trained on",
                    rates.difference(real.hits, real.forced, real.hits, real.trained),
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
                *(_more(all_of, start, ipcs) for start in (REAL, strong)),
                _gap(
                    f"distance to the members from real, {few} per class less {many}",
                    all_of[sized(REAL, few, usual)],
                    all_of[sized(REAL, many, usual)],
                ),
            ),
        ),
        Claim(
            "The transformation is worth more than plain noise as a start.",
            CONTROL,
            (
                more(
                    f"accuracy of {strong} less that of noise",
                    rates.paired(strongest.accuracies, noise.accuracies),
                ),
            ),
            remark="Noise reads no record at all: whatever leaks no less than noise must be "
            "more accurate to be worth its risk.",
        ),
        Claim(
            "The transformation hides more than noise laid upon real images does.",
            CONTROL,
            (
                more(
                    f"found at {FPR:.0%} FPR in the start, {NOISED} less {strong}",
                    rates.difference(noised.hits, noised.forced, strongest.hits, strongest.forced),
                ),
            ),
        ),
    )


def _more(all_of: Mapping[str, Started], start: str, ipcs: tuple[int, int, int]) -> Measured:
    """How much more of the canaries is found with many images per class than with few."""
    few, usual, many = ipcs
    above, below = (all_of[sized(start, ipc, usual)] for ipc in (many, few))
    inside = above.forced | above.trained
    return more(
        f"found at {FPR:.0%} FPR from {start}, {many} per class less {few}",
        rates.difference(above.hits, inside, below.hits, inside),
    )


def _gap(what: str, one: Started, other: Started) -> Measured:
    """How much farther from the members one start's images end, in the embedding."""
    return more(what, rates.paired(one.explicit[:, -1], other.explicit[:, -1]), "number")
