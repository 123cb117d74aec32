"""What every membership attack reads and returns."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from limbeck.errors import OptionError

Signal = Literal["margin", "hinge", "entropy", "softmax"]
SIGNALS: tuple[Signal, ...] = ("margin", "hinge", "entropy")
"""The kinds of signal that are one number, in the order in which a store holds them.

margin is z_y - logsumexp of the other logits, so the cross-entropy loss is softplus(-margin);
hinge is z_y minus the largest other logit; entropy is minus the modified prediction entropy, see
signals.modified_entropy. All are higher where the model is surer of the label. "softmax" is the
whole answer to the record as it is, which is stored only where an attack asks for it.
"""

ImageSignal = Literal[
    "nearest-l2",
    "nearest-ssim",
    "nearest-embedding",
    "tracing",
    "density-ratio",
    "kernel-ridge",
    "retrained",
    "ensemble",
]
"""What an attacker reads off the released images himself: see ``audit.images.signals``.

"ensemble" is no signal of its own but several at once: the margins of the mechanism's classifier
under all views, of "kernel-ridge" and of "retrained".
"""


IMAGE_SIGNALS: tuple[ImageSignal, ...] = get_args(ImageSignal)


@dataclass(frozen=True)
class Observed:
    """One kind of signal of one group of records, and who was a member of which run.

    signals: float32 (runs, views, records).
    membership: bool (runs, records), True where the record was in the run's private set.
    reference_runs: bool (runs,), the runs that the attacker trained himself and whose coins he
        knows. A run is never its own reference. None: every run is one of all the others.
    population: float32 (runs, views, points), the same signal of records like the others that are
        members of no run at all; None where there are none.
    labels: integers (records,), the class under which each record's signals were read.
    softmax: float32 (runs, records, classes), the model's whole answers; None: not kept.
    """

    signals: np.ndarray
    membership: np.ndarray
    reference_runs: np.ndarray | None = None
    population: np.ndarray | None = None
    labels: np.ndarray | None = None
    softmax: np.ndarray | None = None

    def __post_init__(self) -> None:
        runs, views, records = self.signals.shape
        if self.softmax is not None:
            if self.softmax.ndim != 3 or self.softmax.shape[:2] != (runs, records):
                raise OptionError(
                    f"softmax has shape {self.softmax.shape}; signals of shape "
                    f"{self.signals.shape} need ({runs}, {records}, classes)"
                )
            _require_finite("softmax", self.softmax)
        if self.membership.shape != (runs, records):
            raise OptionError(
                f"membership has shape {self.membership.shape}, signals {self.signals.shape} need "
                f"{(runs, records)}: one coin per (run, record)"
            )
        if self.reference_runs is not None and self.reference_runs.shape != (runs,):
            raise OptionError(
                f"reference_runs has shape {self.reference_runs.shape}, not ({runs},): one per run"
            )
        if self.labels is not None and self.labels.shape != (records,):
            raise OptionError(
                f"labels has shape {self.labels.shape}, not ({records},): one per record"
            )
        _require_finite("signals", self.signals)
        if self.population is not None:
            if self.population.shape[:2] != (runs, views):
                raise OptionError(
                    f"population has shape {self.population.shape}; signals of shape "
                    f"{self.signals.shape} need ({runs}, {views}, points)"
                )
            _require_finite("population", self.population)

    @property
    def references(self) -> Bool[np.ndarray, " runs"]:
        """reference_runs spelled out."""
        if self.reference_runs is None:
            return np.ones(len(self.membership), dtype=bool)
        return self.reference_runs

    def of_runs(self, chosen: Bool[np.ndarray, " runs"]) -> "Observed":
        """What was seen of some of the runs, which are then each other's references."""
        population = None if self.population is None else self.population[chosen]
        softmax = None if self.softmax is None else self.softmax[chosen]
        return Observed(
            self.signals[chosen],
            self.membership[chosen],
            population=population,
            labels=self.labels,
            softmax=softmax,
        )


def _require_finite(name: str, signals: np.ndarray) -> None:
    axes = ("run", "record", "class") if name == "softmax" else ("run", "view", "record")
    if 0 in signals.shape:
        raise OptionError(f"{name} of shape {signals.shape} hold nothing to attack")
    # The smallest and the largest value are NaN or infinite if any value is: no copy is made.
    if not np.isfinite([signals.min(), signals.max()]).all():
        first = np.argwhere(~np.isfinite(signals))[0]
        where = ", ".join(f"{axis} {place}" for axis, place in zip(axes, first, strict=True))
        raise OptionError(
            f"{name} of shape {signals.shape} are not finite at {where}; a training that diverged "
            "cannot be audited"
        )


class MembershipAttack(ABC):
    """An attack's options. Subclasses are frozen option dataclasses around a pure function.

    ``reads`` names the kinds of signal that the attack is worth running on.
    """

    method_name: str
    reads: ClassVar[tuple[Signal, ...]] = ("margin", "hinge")

    @property
    def title(self) -> str:
        """The name under which the evidence lists these options."""
        return self.method_name

    @property
    def finds_direction(self) -> bool:
        """Whether members may also have the *lower* signals: the references show which.

        Only such an attack is of use under a label that the run was not given, as a mislabelled
        canary's true label: to learn a wrong label lowers the signal, to copy the image raises it.
        """
        return False

    def applies(self, observed: Observed) -> bool:
        """Whether everything is there that these options read beside the signals."""
        return True

    @abstractmethod
    def score(self, observed: Observed) -> Float[np.ndarray, "runs records"]:
        """Float64 scores: finite, higher for a likelier member, blind to the trial's own coin."""


def folds_of(
    known: Bool[np.ndarray, " runs"], folds: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Runs to learn from and runs to judge, bool (runs,) each; together every run is judged once.

    Runs that are references are judged by those of the other folds, all others by them all.
    """
    fold = np.full(len(known), -1)
    fold[known] = np.arange(np.count_nonzero(known)) % folds
    for f in range(-1, folds):
        judged = fold == f
        if judged.any():
            yield known & ~judged, judged


def blocks(runs: int, records: int, *, values: int) -> Iterator[slice]:
    """The records in slices of at most ``values`` values over all runs: bounded memory."""
    width = max(1, values // runs)
    for start in range(0, records, width):
        yield slice(start, min(start + width, records))
