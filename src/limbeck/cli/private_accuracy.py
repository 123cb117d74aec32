"""The option that measures a release on the held-out part, as a figure that may be published."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli import console
from limbeck.errors import OptionError
from limbeck.types import Estimate

if TYPE_CHECKING:
    import limbeck.data.dataset
    import limbeck.mechanism.base

NAME = "private accuracy"


@dataclass(frozen=True)
class AccuracyOptions:
    """The epsilon that a published accuracy may cost; none where none is given."""

    private_accuracy: Annotated[
        float | None,
        typer.Option(
            metavar="EPSILON",
            help="Publish the accuracy on the held-out part with noise, for this epsilon (0.1).",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.private_accuracy is not None and not 0 < self.private_accuracy < math.inf:
            raise OptionError(
                f"--private-accuracy {self.private_accuracy:g}: give a number above 0, such as 0.1"
            )

    def require(
        self,
        method: Any,
        private: "limbeck.data.dataset.LabeledDataset",
        held_out: "limbeck.data.dataset.LabeledDataset",
    ) -> None:
        """OptionError, before anything is spent, where the held-out part lacks the unit."""
        from limbeck.privacy.budget import protected

        if self.private_accuracy is not None and hasattr(method, "unit"):
            protected(held_out, protected(private, method.unit))

    def measured(
        self,
        release: "limbeck.mechanism.base.Release",
        held_out: "limbeck.data.dataset.LabeledDataset",
        card: Mapping[str, Any],
        *,
        seed: int,
        device: str,
    ) -> dict[str, Any] | None:
        """What the card says of the accuracy; None where it is not asked for.

        card: of the release; the accuracy's guarantee has the delta, adjacency and unit of its own.
        """
        if self.private_accuracy is None:
            return None

        from limbeck.mechanism.judge import judge, judge_in_words
        from limbeck.privacy.accuracy import private_accuracy
        from limbeck.privacy.budget import protected
        from limbeck.privacy.claim import stated
        from limbeck.privacy.composition import Part
        from limbeck.privacy.owed import parts_of
        from limbeck.privacy.score import NoisyScore
        from limbeck.privacy.statement import Statement
        from limbeck.privacy.words import DELTA

        parts = () if card.get("guarantee") is None else parts_of(card, "the release")
        claimed = parts[0].guarantee if parts else None
        score = NoisyScore(
            held_out,
            epsilon=self.private_accuracy,
            delta=DELTA if claimed is None else claimed.delta,
            adjacency="add-remove" if claimed is None else claimed.adjacency,
            unit=protected(held_out, None if claimed is None else claimed.unit),
        )
        classifier = judge(release, held_out.shape, seed=seed, device=device)
        found, guarantee = private_accuracy(score, classifier.logits)
        own = Part(NAME, guarantee)
        # A claim about a slice of the groups is no claim about the data, and adds up with nothing.
        adds_up = bool(parts) and all(part.whole for part in parts)
        return {
            "accuracy": found.to_json(),
            "of": judge_in_words(release.classifier is not None, held_out.shape),
            "on": "the held-out part, which the release was not made of",
            **stated(Statement((own,))),
            "with_the_release": Statement((*parts, own)).claim if adds_up else None,
        }


def accuracy_in_words(said: Mapping[str, Any]) -> str:
    """The accuracy, what it cost, and what it comes to with the release."""
    from limbeck.privacy.digits import pair

    values = said["accuracy"]
    found = Estimate(**values)
    own, both = said["guarantee"], said["with_the_release"]
    words = (
        f"{console.percent(found)} ({found.level:.0%} interval, noise included), of {said['of']}; "
        f"{pair(own['epsilon'], own['delta'])}-differentially private"
    )
    if both is None or both["epsilon"] is None:
        return words
    return f"{words}, {pair(both['epsilon'], both['delta'])} together with the release"
