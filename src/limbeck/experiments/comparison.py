"""What a comparison found, as the values that ``comparison.json`` holds and the page shows."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from limbeck.audit.evidence import Attack, Estimate, Number, Operating, Subject, Value
from limbeck.audit.store import Store
from limbeck.errors import StoreError
from limbeck.experiments.company import Role
from limbeck.experiments.pareto import Point, front, sentence
from limbeck.recipe import one_line
from limbeck.report.headline import at, headline, headline_fpr

SCHEMA = 1
COMPARISON = "comparison.json"


class Leak(Value):
    """The strongest attack, by AUC, on the planted records.

    operating: at the false-positive rate of the comparison; None where that is not resolvable.
    """

    attack: str
    signal: str
    auc: Estimate
    p_value: Number
    operating: Operating | None

    @classmethod
    def of(cls, attack: Attack, fpr: float) -> "Leak":
        """What an attack says at a nominal false-positive rate."""
        return cls(
            attack=attack.name,
            signal=attack.signal,
            auc=attack.auc,
            p_value=attack.p_value,
            operating=at(attack, fpr),
        )


class Copies(Value):
    """How many images of one release come nearer to a private than to a control record.

    expected: the same where nothing was copied. measure: "l2" (pixels) or "embedding".
    """

    measure: str
    closer: Estimate
    expected: float


class Cost(Value):
    """Processor time and memory; the only values that another execution changes.

    release_seconds: CPU-seconds of one release and its classifier. audit_seconds: of all runs with
    what the attacks read of them. peak_mib: memory of the process with PyTorch and the data.
    """

    release_seconds: float
    audit_seconds: float
    peak_mib: float


class Row(Value):
    """One mechanism, on the same canaries, membership and seeds as all the others.

    folder: of its own audit, within the comparison's. utility: test accuracy of runs without any
    canary. model: membership from the classifier; images: from the released images alone, None
    where none are released; strongest: from all there is. epsilon_lower: at 95% confidence.
    refuted: whether the runs contradict a claimed guarantee; None where none was held against
    them. cautions: the audit's warnings.
    on_front: by values alone, none is as accurate and leaks less.
    """

    name: str
    role: Role
    recipe: dict[str, Any]
    folder: str
    holds_real_records: bool | None
    runs: int
    utility: Estimate
    model: Leak | None
    images: Leak | None
    strongest: Leak
    copies: tuple[Copies, ...]
    guarantee: dict[str, Any] | None
    refuted: bool | None
    epsilon_lower: Estimate
    delta: float
    outcome: str
    cautions: tuple[str, ...]
    cost: Cost
    on_front: bool = False

    @property
    def point(self) -> Point:
        """Its place in the plane of accuracy and leak."""
        operating = self.strongest.operating
        leak = Estimate(value=float("nan")) if operating is None else operating.tpr
        return Point(self.name, self.utility.plain(), leak.plain())


class Tried(Value):
    """DP-SGD at one epsilon of the list: its accuracy over the runs without canaries."""

    epsilon: float
    utility: Estimate


class Match(Value):
    """The search for DP-SGD that is as accurate as the best condenser.

    reference: the condenser's name. chosen: the epsilon whose accuracy is nearest, among those
    whose interval meets the condenser's; None where none does: unmatched.
    """

    reference: str
    wanted: Estimate
    tried: tuple[Tried, ...]
    chosen: float | None


class Comparison(Value):
    """Many mechanisms under one plan.

    fpr: the false-positive rate of ``strongest``: the least from 1% that all attacks resolve.
    dominance: which mechanism dominates at which accuracy, in a sentence. match: None where the
    company was refused. notes: what is missing, and why.
    """

    schema_version: int = SCHEMA
    plan_hash: str
    plan: dict[str, Any]
    dataset: dict[str, Any]
    fpr: float
    dominance: str
    rows: tuple[Row, ...] = Field(min_length=1)
    match: Match | None
    notes: tuple[str, ...] = ()
    machine: str
    versions: dict[str, str]

    @classmethod
    def load(cls, folder: str | Path) -> "Comparison":
        """What ``compare`` wrote to a folder; StoreError where it is missing or damaged."""
        store = Store(folder)
        try:
            return cls.model_validate(store.read_json(COMPARISON))
        except ValidationError as error:
            raise StoreError(
                f"{store.folder / COMPARISON} is damaged or of another version "
                f"({one_line(error):.100}); run the comparison again"
            ) from None

    def row(self, name: str) -> Row:
        """The mechanism of that name; KeyError if there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no mechanism {name!r} in this comparison")


def strongest(subject: Subject, *, images: bool | None = None) -> Attack | None:
    """The strongest attack on canaries, by AUC; of those on images or on the classifier alone."""
    attacks = tuple(a for a in subject.attacks if images in (None, a.reads_images))
    return headline(subject.model_copy(update={"attacks": attacks}))


def common_fpr(subjects: list[Subject]) -> float:
    """The least nominal false-positive rate from 1% that the attacks on all of them resolve."""
    return headline_fpr([strongest(subject) for subject in subjects])


def summed_up(rows: list[Row], fpr: float, classes: int) -> tuple[tuple[Row, ...], str]:
    """The rows with the front marked, and the sentence on dominance."""
    points = [row.point for row in rows]
    best = front([(point.accuracy.value, point.leak.value) for point in points])
    marked = (
        row.model_copy(update={"on_front": mark}) for row, mark in zip(rows, best, strict=True)
    )
    return tuple(marked), sentence(points, chance=1 / classes, fpr=fpr)
