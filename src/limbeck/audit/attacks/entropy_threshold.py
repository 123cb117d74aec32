"""The entropy threshold: a record answered with confidence in its label is called a member."""

from typing import ClassVar

import numpy as np
from jaxtyping import Float

from limbeck.audit.attacks.base import MembershipAttack, Observed, Signal
from limbeck.audit.attacks.per_class import class_ranks
from limbeck.recipe import options
from limbeck.registry import register


@register(
    "entropy-threshold",
    kind="attack",
    summary="calls a record a member when the model's answer is certain and right",
    paper="Song and Mittal 2021, arXiv 2003.10595",
    cost="none beyond the shadow runs",
)
@options
class EntropyThreshold(MembershipAttack):
    """Minus the modified prediction entropy, averaged over the views.

    The entropy -(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i) is small only for a
    certain answer that agrees with the label y; the plain entropy does not ask for the latter.

    per_class: a threshold for each class, as the paper has it, from the non-members of the
        reference runs; otherwise one for all records, which needs no reference runs.
    """

    per_class: bool = False
    reads: ClassVar[tuple[Signal, ...]] = ("entropy",)

    @property
    def title(self) -> str:
        return f"{self.method_name}-per-class" if self.per_class else self.method_name

    def applies(self, observed: Observed) -> bool:
        return observed.labels is not None or not self.per_class

    def score(self, observed: Observed) -> Float[np.ndarray, "runs records"]:
        scores = observed.signals.mean(1, dtype=np.float64)
        return class_ranks(scores, observed) if self.per_class else scores
