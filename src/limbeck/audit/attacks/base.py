"""What every membership attack reads and returns."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float

from limbeck.errors import OptionError

Signal = Literal["margin", "hinge"]
SIGNALS: tuple[Signal, ...] = ("margin", "hinge")
"""The kinds of signal, in the order in which a store holds them.

margin is z_y - logsumexp of the other logits, so the cross-entropy loss is softplus(-margin);
hinge is z_y minus the largest other logit.
"""


@dataclass(frozen=True)
class Observed:
    """One kind of signal of one group of records, and who was a member of which run.

    signals: float32 (runs, views, records).
    membership: bool (runs, records), True where the record was in the run's private set.
    reference_runs: bool (runs,), the runs that the attacker trained himself and whose coins he
        knows. A run is never its own reference. None: every run is one of all the others.
    """

    signals: np.ndarray
    membership: np.ndarray
    reference_runs: np.ndarray | None = None

    def __post_init__(self) -> None:
        runs, _, records = self.signals.shape
        if self.membership.shape != (runs, records):
            raise OptionError(
                f"membership has shape {self.membership.shape}, signals {self.signals.shape} need "
                f"{(runs, records)}: one coin per (run, record)"
            )
        if self.reference_runs is not None and self.reference_runs.shape != (runs,):
            raise OptionError(
                f"reference_runs has shape {self.reference_runs.shape}, not ({runs},): one per run"
            )
        if 0 in self.signals.shape:
            raise OptionError(f"signals of shape {self.signals.shape} hold nothing to attack")
        # The smallest and the largest value are NaN or infinite if any value is: no copy is made.
        if not np.isfinite([self.signals.min(), self.signals.max()]).all():
            where = np.argwhere(~np.isfinite(self.signals))[0]
            raise OptionError(
                f"signals of shape {self.signals.shape} are not finite at run {where[0]}, view "
                f"{where[1]}, record {where[2]}; a training that diverged cannot be audited"
            )

    @property
    def references(self) -> Bool[np.ndarray, " runs"]:
        """reference_runs spelled out."""
        if self.reference_runs is None:
            return np.ones(len(self.membership), dtype=bool)
        return self.reference_runs


class MembershipAttack(ABC):
    """An attack's options. Subclasses are frozen option dataclasses around a pure function.

    ``reads`` names the kinds of signal that the attack is worth running on.
    """

    method_name: str
    reads: ClassVar[tuple[Signal, ...]] = SIGNALS

    @property
    def title(self) -> str:
        """The name under which the evidence lists these options."""
        return self.method_name

    @abstractmethod
    def score(self, observed: Observed) -> Float[np.ndarray, "runs records"]:
        """Float64 scores: finite, higher for a likelier member, blind to the trial's own coin."""
