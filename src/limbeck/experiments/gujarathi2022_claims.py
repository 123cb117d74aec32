"""What Gujarathi and Gandhi 2022 claim of condensed data under attack, and controls beside it."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from limbeck.experiments import rates
from limbeck.experiments.both_attacks import FPR, Judged
from limbeck.experiments.claims import CONTROL, Claim, Measured, more
from limbeck.experiments.published import paper

KEY = "gujarathi2022"
PAPER = "Gujarathi & Gandhi 2022"
ALL = "all of the data"
CHANCE = (0.48, 0.52)
"""Attack accuracy and AUC that count as chance."""


def condensed_to(ipc: int) -> str:
    """The name of a target trained on what DC makes."""
    return f"DC, {ipc} per class"


def subset_of(ipc: int) -> str:
    """The name of a target trained on random records."""
    return f"a random subset, {ipc} per class"


def of_attacks(
    judged: Mapping[str, Judged], inside: Bool[np.ndarray, "runs records"], ipcs: Sequence[int]
) -> tuple[Claim, ...]:
    """All claims, from the figures of every target. inside: the members, of all targets alike."""
    said, few = paper(KEY), ipcs[0]
    condensed = [condensed_to(ipc) for ipc in ipcs]
    whole = judged[ALL]

    return (
        Claim(
            "Networks trained on condensed images are more accurate than on a random subset.",
            PAPER,
            tuple(
                more(
                    f"accuracy of {condensed_to(ipc)} less that of {subset_of(ipc)}",
                    rates.paired(
                        judged[condensed_to(ipc)].accuracies, judged[subset_of(ipc)].accuracies
                    ),
                )
                for ipc in ipcs
            ),
            said.stated("accuracy_random", "accuracy_ipc10", "accuracy_ipc50"),
            "It is about the schedule of DC that was run: at laptop scale one far shorter than the "
            "published.",
        ),
        Claim(
            "Condensing costs accuracy beside training on all of the data.",
            PAPER,
            tuple(
                more(
                    f"accuracy on {ALL} less that of {name}",
                    rates.paired(whole.accuracies, judged[name].accuracies),
                )
                for name in condensed
            ),
            said.stated("accuracy_original", "accuracy_ipc10", "accuracy_ipc50"),
        ),
        Claim(
            "The attack finds fewer of the members once the data are condensed.",
            PAPER,
            tuple(
                more(
                    f"recall on {ALL} less that on {name}",
                    rates.difference(whole.called, inside, judged[name].called, inside),
                )
                for name in condensed
            ),
            said.stated("attack_recall_original", "attack_recall_ipc10", "attack_recall_ipc50"),
            "A recall alone says where a threshold lies, not what it is worth: whoever calls "
            "everyone a member has a recall of 100% at the accuracy of chance. The published "
            "attack accuracies are near chance for the undefended network already.",
        ),
        Claim(
            "Against condensed data the attack is at chance.",
            PAPER,
            tuple(
                Measured(f"attack accuracy on {name}", judged[name].accuracy, *CHANCE)
                for name in condensed
            ),
            said.stated("attack_accuracy_ipc10", "attack_accuracy_ipc50"),
            "Chance is 50%; within two points of it counts as chance here.",
        ),
        Claim(
            "The attack can tell members of the undefended network: it is able to see a leak.",
            CONTROL,
            (Measured(f"attack accuracy on {ALL}", whole.accuracy, lowest=0.5),),
            said.stated("attack_accuracy_original"),
            "Without it, an attack at chance on condensed data says nothing of the data.",
        ),
        Claim(
            "Condensed data are at chance under LiRA too, with the whole mechanism repeated.",
            CONTROL,
            tuple(
                Measured(f"AUC of LiRA on {name}", judged[name].auc, *CHANCE, unit="number")
                for name in condensed
            ),
            None,
            f"Beside it: AUC {whole.auc} on {ALL}. Averages over ordinary records hide those "
            "who stand out.",
        ),
        Claim(
            "Condensed images protect better than a random subset of the same size.",
            "Carlini et al. 2022 (an objection, asked of this study)",
            (
                more(
                    f"members found by LiRA at {FPR:.0%} FPR on {subset_of(few)} less on "
                    f"{condensed_to(few)}",
                    rates.difference(
                        judged[subset_of(few)].found,
                        inside,
                        judged[condensed_to(few)].found,
                        inside,
                    ),
                ),
            ),
        ),
    )
