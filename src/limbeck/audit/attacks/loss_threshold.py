"""The loss threshold: a record with a small loss is called a member."""

from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32

from limbeck.audit.attacks.base import MembershipAttack, Observed, Signal
from limbeck.audit.attacks.per_class import class_ranks
from limbeck.recipe import options
from limbeck.registry import register


def loss_threshold(
    margins: Float32[np.ndarray, "runs views records"],
) -> Float[np.ndarray, "runs records"]:
    """Minus the cross-entropy loss, averaged over the views [Yeom 2018, arXiv:1709.01604].

    margins: z_y - logsumexp of the other logits, so that the loss is log(1 + exp(-margin)).
    """
    total = np.zeros((margins.shape[0], margins.shape[2]))
    for view in range(margins.shape[1]):
        total -= np.logaddexp(0.0, -margins[:, view].astype(np.float64))
    total /= margins.shape[1]
    return total


@register(
    "loss-threshold",
    kind="attack",
    summary="calls a record a member when the model's loss on it is small",
    paper="Yeom et al. 2018, arXiv 1709.01604",
    cost="none beyond the shadow runs",
)
@options
class LossThreshold(MembershipAttack):
    """Minus the loss.

    per_class: a threshold for each class, from the non-members of the reference runs; otherwise
        one for all records, which needs no reference runs.
    """

    per_class: bool = False
    reads: ClassVar[tuple[Signal, ...]] = ("margin",)

    @property
    def title(self) -> str:
        return f"{self.method_name}-per-class" if self.per_class else self.method_name

    def applies(self, observed: Observed) -> bool:
        return observed.labels is not None or not self.per_class

    def score(self, observed: Observed) -> Float[np.ndarray, "runs records"]:
        scores = loss_threshold(observed.signals)
        return class_ranks(scores, observed) if self.per_class else scores
