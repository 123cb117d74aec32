"""What Zhao and Zhang 2025 claim of starts, coresets, other releases and DP-SGD."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from limbeck.experiments import rates
from limbeck.experiments.attacked import FPR, NEAR_CHANCE, Attacked, hits
from limbeck.experiments.bench import Bench
from limbeck.experiments.claims import CONTROL, Claim, Measured, more
from limbeck.experiments.published import paper
from limbeck.experiments.study import Found, Values
from limbeck.types import Estimate

KEY = "zhao2025"
PAPER = "Zhao & Zhang 2025"
UNDEFENDED, DP_SGD = "undefended", "DP-SGD"
RANDOM, FORGETTING = "random coreset", "forgetting coreset"
OUTLYING = {"k-centre coreset": "k-centre", "EL2N coreset": "el2n", "GraNd coreset": "grand"}
TYPICAL = {"herding coreset": "herding", "prototypes coreset": "prototypes"}
CORESETS = {RANDOM: "random-subset", FORGETTING: "forgetting", **OUTLYING, **TYPICAL}
"""Registered names. Outlying: chosen for what is far from the others or hard to learn."""
DATA_FREE = "data-free distillation"
DM_REAL, DM_NOISE, DM_FOREIGN = "DM from real images", "DM from noise", "DM from foreign images"
MTT_REAL = "MTT from real images"
DIFFUSION, FROM_IMAGES = "diffusion from labels", "diffusion from private images"


def canaries_kept(bench: Bench, values: Values) -> Bool[np.ndarray, "runs canaries"]:
    """Which canaries each run's set holds as they are; none where there are no images."""
    found = values.get("kept")
    if found is None:
        return np.zeros_like(bench.inside)
    return np.asarray(found[: bench.made.runs], dtype=bool)


def under_true_label(bench: Bench, values: Values) -> Bool[np.ndarray, "runs canaries"]:
    """Canaries found by LiRA under their true labels, in place of the wrong ones they carry."""
    return hits(bench, values, "canary-true")


def of_starts(bench: Bench, attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    """What condensation leaks of canaries that it starts from, and at what price it leaks less."""
    forced, trained = bench.arms(DM_REAL)
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
                more(
                    f"found at {FPR:.0%} FPR in {DM_REAL}'s start less in {name}",
                    rates.difference(real.hits, forced, attacked[name].hits, attacked[name].inside),
                )
                for name in others
            ),
        ),
        Claim(
            "Foreign images or noise as a start cost accuracy.",
            PAPER,
            tuple(
                more(
                    f"accuracy of {DM_REAL} less that of {name}",
                    real.more_accurate_than(attacked[name]),
                )
                for name in others
            ),
        ),
    )


def of_labels(bench: Bench, found: Found, attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    """Under which label trajectory matching shows its canaries, and whether its images copy."""
    forced, _ = bench.arms(MTT_REAL)
    assigned, hidden = attacked[MTT_REAL].hits, under_true_label(bench, found[MTT_REAL])
    traced = found[MTT_REAL]["traced"][: bench.made.runs]
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
                more(
                    "under the true label less under the carried one",
                    rates.difference(hidden, forced, assigned, forced),
                ),
            ),
        ),
        Claim(
            "While its images visibly copy the private images they began as.",
            PAPER,
            (
                Measured(
                    "images traced to the one they began as",
                    Estimate.of_mean(traced.tolist()),
                    lowest=0.5,
                ),
            ),
        ),
    )


def of_coresets(bench: Bench, found: Found, attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    """What coresets keep of the canaries, and leak of those they keep and of the others."""
    inside, random = bench.inside, attacked[RANDOM]
    kept = canaries_kept(bench, found[RANDOM])
    gone = inside & ~kept

    def beside_random(name: str) -> tuple[Measured, ...]:
        theirs = canaries_kept(bench, found[name])
        return (
            more(
                f"canaries kept, {name} less {RANDOM}",
                rates.difference(theirs, inside, kept, inside),
            ),
            more(
                f"found at {FPR:.0%} FPR, {name} less {RANDOM}",
                attacked[name].more_found_than(random),
            ),
        )

    return (
        Claim(
            "A random coreset publishes the canaries that it draws: they leak, the others not.",
            CONTROL,
            (
                Measured("canaries kept", rates.share(kept, inside)),
                more(
                    f"found at {FPR:.0%} FPR, kept less not kept",
                    rates.difference(random.hits, inside & kept, random.hits, gone),
                ),
                Measured(
                    f"found at {FPR:.0%} FPR, not kept",
                    rates.share(random.hits, gone),
                    highest=NEAR_CHANCE,
                ),
            ),
            paper(KEY).stated("kept_random"),
        ),
        Claim(
            "Selection by forgetting keeps more of the canaries, and leaks more.",
            PAPER,
            beside_random(FORGETTING),
            paper(KEY).stated("kept_random", "kept_forgetting"),
        ),
        Claim(
            "So does selection of records that lie far out or are hard to learn.",
            CONTROL,
            tuple(measured for name in OUTLYING for measured in beside_random(name)),
        ),
    )


def of_other_releases(attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    """What data-free distillation and diffusion leak."""
    drawn, images = attacked[DIFFUSION], attacked[FROM_IMAGES]

    def leaks(name: str) -> tuple[Measured]:
        what = f"found at {FPR:.0%} FPR, {name}"
        return (Measured(what, attacked[name].found, lowest=NEAR_CHANCE),)

    return (
        Claim(
            "Data-free distillation leaks through its teacher's answers.", PAPER, leaks(DATA_FREE)
        ),
        Claim("Diffusion that starts from private images leaks.", PAPER, leaks(FROM_IMAGES)),
        Claim(
            "Diffusion that is told labels alone leaks far less.",
            PAPER,
            (
                more(
                    f"found at {FPR:.0%} FPR, {FROM_IMAGES} less {DIFFUSION}",
                    images.more_found_than(drawn),
                ),
            ),
            remark="The paper tells a pre-trained model words; here a model trained on the private "
            "data alone is told the class.",
        ),
    )


def of_dp_sgd(attacked: Mapping[str, Attacked]) -> tuple[Claim, ...]:
    """Whether anything protects better than DP-SGD, with accuracy and cost beside it."""
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
