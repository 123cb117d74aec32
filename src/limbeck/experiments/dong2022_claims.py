"""What Dong et al. 2022 claim of attacks, worth, images and removal; what Carlini et al. object."""

import math
from collections.abc import Mapping

import numpy as np

from limbeck.experiments import rates
from limbeck.experiments.attacked import FPR, Attacked
from limbeck.experiments.claims import Claim, Measured, more
from limbeck.experiments.removal import Grid, slope
from limbeck.experiments.study import Found, Values
from limbeck.types import Estimate

PAPER = "Dong et al. 2022"
OBJECTION = "Carlini et al. 2022, an objection"
FULL, SUBSET, DP_SGD = "full data", "random subset", "DP-SGD"
DM_REAL, DM_NOISE = "DM from real images", "DM from noise"
CONDENSERS = ("DSA from real images", DM_REAL, DM_NOISE, "KIP from real images")
GENERATORS = {
    "cGAN": "cgan",
    "GS-WGAN": "gs-wgan",
    "DP-MERF": "dp-merf",
    "DP-Sinkhorn": "dp-sinkhorn",
}
"""Registered names; all but the first are private, at ``EPSILON``."""
EPSILON = 10.0
NEAR_CHANCE = 0.05
"""Advantage, or TPR above a guess, that counts as near chance."""
AUC_CHANCE = 0.5 + NEAR_CHANCE / 2
"""The AUC of one threshold with that advantage."""


def of_attacks(attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    """What attacks find in condensed data."""
    chance = "Within five points of guessing (an AUC of at most 0.525) counts as near chance."
    return (
        Claim(
            "The loss does not tell members of condensed data from others.",
            PAPER,
            tuple(
                Measured(f"advantage, {name}", one.loss, highest=NEAR_CHANCE)
                for name in CONDENSERS
                if (one := attacked[name]).loss is not None
            ),
            remark=f"On ordinary records. {chance}",
        ),
        Claim(
            "LiRA does not tell members of condensed data from others.",
            PAPER,
            tuple(
                Measured(f"AUC, {name}", one.ordinary, highest=AUC_CHANCE, unit="number")
                for name in CONDENSERS
                if (one := attacked[name]).ordinary is not None
            ),
            remark=f"On ordinary records. {chance}",
        ),
        Claim(
            "A real start leaks more than one from noise.",
            PAPER,
            (
                more(
                    f"canaries found at {FPR:.0%} FPR, {DM_REAL} less {DM_NOISE}",
                    attacked[DM_REAL].more_found_than(attacked[DM_NOISE]),
                ),
            ),
        ),
    )


def of_worth(attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    """What condensed data are worth, and cost, beside generated data."""
    pairs = [(c, g) for c in CONDENSERS for g in GENERATORS]
    return (
        Claim(
            "Condensed data are worth more than what generators make.",
            PAPER,
            tuple(
                more(
                    f"accuracy of {c} less that of {g}",
                    attacked[c].more_accurate_than(attacked[g]),
                )
                for c, g in pairs
            ),
            remark="Private generators at epsilon 10, delta 1e-5. All with limbeck's schedules, "
            "which at laptop scale are those for a processor and shorter than the papers'.",
        ),
        Claim(
            "Condensing costs less than generating.",
            PAPER,
            tuple(
                more(
                    f"CPU seconds of {g} less those of {c}",
                    rates.paired(attacked[g].seconds, attacked[c].seconds),
                    "number",
                )
                for c, g in pairs
            ),
            remark="With limbeck's schedules for a processor, not the papers' own.",
        ),
    )


def of_images(found: Found, runs: int) -> tuple[Claim, ...]:
    """How like private records the images look."""

    def near(name: str) -> np.ndarray:
        distances: np.ndarray = found[name]["explicit"][:runs, -1]
        return distances

    return (
        Claim(
            "Condensed images are unlike their nearest real images.",
            PAPER,
            tuple(
                Measured(
                    f"images nearer to a member than to a control record, beyond chance, {name}",
                    rates.mean(found[name]["closer"][:runs, -1]),
                    highest=NEAR_CHANCE,
                    unit="points",
                )
                for name in CONDENSERS
            ),
            remark="Under the embedding of a public random network; LPIPS is not computed, for "
            "want of its network's weights. A set that copies nothing can leak all the same.",
        ),
        Claim(
            "From noise, images end farther from the members than from real images.",
            PAPER,
            (
                more(
                    f"distance to the nearest member, {DM_NOISE} less {DM_REAL}",
                    rates.paired(near(DM_NOISE), near(DM_REAL)),
                    "number",
                ),
            ),
        ),
    )


def exponent(effects: Values, grid: Grid, name: str) -> Estimate:
    """The power of n or of m that an effect of ``removal.effects`` follows; ``name`` ends in it."""
    return slope(grid.sizes if name.endswith("n") else grid.ipcs, effects[name])


def of_removal(effects: Values, grid: Grid) -> tuple[Claim, ...]:
    """How far one record's removal moves images and networks."""

    def figure(what: str, name: str, *, highest: float, lowest: float = -math.inf) -> Measured:
        return Measured(what, exponent(effects, grid, name), lowest, highest, unit="number")

    average = (
        "An average over records, for one network and start: it is not differential privacy "
        "and bounds no worst case."
    )
    return (
        Claim(
            "Removing one of n records moves condensed images in proportion to 1/n.",
            PAPER,
            (
                figure(
                    "exponent of n in the images' distance",
                    "images by n",
                    lowest=-1.1,
                    highest=-0.9,
                ),
            ),
            remark=f"Linear embedding, closed form, from noise. {average}",
        ),
        Claim(
            "Removing one of n records moves a network trained on the images by O(1/n).",
            PAPER,
            (
                figure("exponent of n in the weights' distance", "weights by n", highest=-0.75),
                figure("exponent of n in the losses' change", "losses by n", highest=-0.75),
            ),
            remark=average,
        ),
        Claim(
            "With m images the effect grows at most in proportion to m.",
            PAPER,
            (
                figure("exponent of m in the losses' change", "losses by m", highest=1.1),
                figure("exponent of m in the weights' distance", "weights by m", highest=1.1),
            ),
            remark=average,
        ),
        Claim(
            "It says nothing of records in a real start: their removal moves images as far "
            "however many others there are.",
            OBJECTION,
            (
                figure(
                    "exponent of n, record in the start", "start by n", lowest=-0.25, highest=0.25
                ),
            ),
        ),
    )


def of_objections(attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    """What Carlini et al. hold against it, asked of the same runs."""
    subset, private = attacked[SUBSET], attacked[DP_SGD]
    return (
        Claim(
            "Condensing protects no better than a random subset of the same size.",
            OBJECTION,
            tuple(
                Measured(
                    f"canaries found at {FPR:.0%} FPR in a {SUBSET} less in {name}",
                    subset.more_found_than(attacked[name]),
                    highest=NEAR_CHANCE,
                    unit="points",
                )
                for name in CONDENSERS
            ),
            remark="Up to five points count as no better. Records that the subset drew are "
            "published as they are, those that it did not draw are safe.",
        ),
        Claim(
            "DP-SGD is at once more accurate and better protected.",
            OBJECTION,
            tuple(
                measured
                for name in CONDENSERS
                for measured in (
                    more(
                        f"accuracy of {DP_SGD} less that of {name}",
                        private.more_accurate_than(attacked[name]),
                    ),
                    more(
                        f"canaries found at {FPR:.0%} FPR in {name} less in {DP_SGD}",
                        attacked[name].more_found_than(private),
                    ),
                )
            ),
            remark="DP-SGD at epsilon 10, delta 1e-5: a proof that no condenser here has.",
        ),
        Claim(
            "Averages hide the records that stand out: canaries are found in condensed data.",
            OBJECTION,
            tuple(
                Measured(
                    f"AUC on canaries, {name}",
                    attacked[name].canaries,
                    lowest=AUC_CHANCE,
                    unit="number",
                )
                for name in CONDENSERS
            ),
        ),
    )
