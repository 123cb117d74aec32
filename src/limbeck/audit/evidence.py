"""What an audit found, as the values that ``evidence.json`` holds and the report shows.

No time, date or path is in here: the same plan gives the same bytes.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from limbeck import types
from limbeck.audit.attacks.base import IMAGE_SIGNALS, ImageSignal, Signal

SCHEMA = 2

# JSON has no NaN: an absent bound is null in the file and NaN in memory.
Number = Annotated[
    float,
    BeforeValidator(lambda v: math.nan if v is None else v),
    PlainSerializer(lambda v: v if math.isfinite(v) else None, return_type=float | None),
]


class Value(BaseModel):
    """Base of every part of the evidence: immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Value):
    """``limbeck.Estimate`` as it stands in the file."""

    value: Number
    low: Number = math.nan
    high: Number = math.nan
    trials: int = 0
    level: float = 0.95

    @classmethod
    def of(cls, estimate: types.Estimate) -> "Estimate":
        """The file's form of an estimate."""
        return cls(**vars(estimate))

    def plain(self) -> types.Estimate:
        """The library's form of this estimate."""
        return types.Estimate(self.value, self.low, self.high, self.trials, self.level)


class Operating(Value):
    """TPR at one nominal FPR: the estimand is the TPR at the threshold that was realised.

    false_positives and negatives count the judged (run, record) pairs; resolvable is False
    where fewer than ten false positives were to be expected: the TPR is then no evidence, and the
    intervals are as wide as if each run were one trial. p_value is one-sided, of "the coins have
    nothing to do with the scores".
    least: a lower end of the TPR that holds for all attacks on the group together; 0 where the
        rate is not resolvable, unless hits are far too many for that to matter.
    """

    nominal_fpr: float
    tpr: Estimate
    realised_fpr: Estimate
    false_positives: int
    negatives: int
    resolvable: bool
    p_value: Number = math.nan
    least: Number = math.nan


class Curve(Value):
    """An ROC curve on a grid of false-positive rates, with the band of the TPR at ``level``."""

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    level: float = 0.95


class Attack(Value):
    """One attack against one group of records, and the signal that it reads.

    p_value is one-sided, of an AUC of 0.5.
    """

    name: str
    signal: Signal | ImageSignal
    group: Literal["canary", "ordinary", "control"]
    auc: Estimate
    balanced_accuracy: Estimate
    advantage: Estimate
    operating: tuple[Operating, ...]
    curve: Curve
    p_value: Number = math.nan

    @property
    def reads_images(self) -> bool:
        """Whether the released images alone are attacked, without a classifier."""
        return self.signal in IMAGE_SIGNALS


class Check(Value):
    """The null self-test or the positive control: what was expected, what was measured."""

    passed: bool
    auc: Estimate
    expected_auc: float
    epsilon: Number = math.nan
    sentence: str


class Flag(Value):
    """A reason to trust the evidence less (warning) or to know about it (information)."""

    name: str
    severity: Literal["warning", "information"]
    sentence: str


class Claim(Value):
    """A claimed guarantee beside what the judged runs say of it.

    epsilon: of the claim, for all records that share a coin; None where it does not cover them.
    refuted: one of the tests rejects it; all of them together do so by chance at most once in
    1,000 audits. curve_p_value: of the test of the whole curve of a claimed mu-GDP.
    curve_bound: lower bound on epsilon at 95% if the mechanism is one of mu-GDP at all; for any
    other mechanism it is none.
    """

    epsilon: Number | None
    refuted: bool
    curve_p_value: Number = math.nan
    curve_bound: Estimate | None = None
    sentence: str


class Precision(Value):
    """What it is worth when the strongest attack names a record, where this share are members."""

    attack: str
    signal: Signal | ImageSignal
    nominal_fpr: float
    prior: float
    value: Estimate


class Released(Value):
    """One attack on the very release: its ordinary records, all members, against control records.

    A description: private and test records may differ by more than membership.
    """

    name: str
    signal: Signal | ImageSignal
    auc: Estimate
    p_value: Number
    members: int
    others: int


class Kept(Value):
    """Of one group's records that were in a run, the share that its release holds as they are."""

    group: Literal["canary", "ordinary"]
    share: Estimate


class Risk(Value):
    """How single records of one group fare: each one's chance of being named as a member.

    The attack was chosen, and its threshold set, on half A of the runs; half B is counted.
    named: records whose interval lies above a half. most_exposed: the record with the highest
    lower end, its interval not widened for being picked.
    """

    attack: str
    signal: Signal | ImageSignal
    group: Literal["canary", "ordinary"]
    fpr: float
    records: int
    named: int
    most_exposed: Estimate


class Looks(Value):
    """The looks at the runs that were declared beforehand, and the one that the evidence is of.

    runs: shadow runs at each look, all of them at the last. taken: how many looks there were.
    share: of every error, that the last one taken may spend. Intervals, bounds and tests are at
    levels that hold at all looks together; rates of a look that stopped tend to be too high.
    """

    runs: tuple[int, ...]
    taken: int
    share: float

    @property
    def stopped(self) -> bool:
        """Whether runs were left out."""
        return self.taken < len(self.runs)


class Start(Value):
    """How often the private record that a released image began as is the nearest of all to it.

    Over the images of all utility runs, whose records the attacker has; the interval takes images
    as independent. chance: of a hit by a guess within the class.
    """

    measure: str
    hit_at_1: Estimate
    chance: float


class Subject(Value):
    """One audited mechanism: the subject itself, or its company.

    holds_real_records: whether the release contains, or starts as, unperturbed private records;
        None where that is not known.
    utility: test accuracy of runs without any canary, over ``trials`` runs.
    utility_with_canaries: test accuracy of the shadow runs.
    epsilon_lower: measured lower bound on epsilon at 95% confidence and the given delta.
    detectable_tpr: smallest TPR at 1% FPR that this audit would tell from 1% with power 80%.
    claim: where a guarantee is claimed. precision: at several priors. risks: one per group.
    released: attacks on the very release that was given to the audit.
    looks: where the audit might stop early. starts: where images begin as private records, one
        entry a measure. kept: of each group, where a release holds real records.
    releases_images: False where the images that were attacked are kept back: only a classifier is
        released.
    """

    title: str
    role: Literal["subject", "random-subset", "full-data"]
    recipe: dict[str, Any]
    runs: int
    holds_real_records: bool | None
    guarantee: dict[str, Any] | None
    utility: Estimate
    utility_with_canaries: Estimate
    attacks: tuple[Attack, ...]
    epsilon_lower: Estimate
    delta: float
    detectable_tpr: Number
    claim: Claim | None = None
    precision: tuple[Precision, ...] = ()
    risks: tuple[Risk, ...] = ()
    released: tuple[Released, ...] = ()
    looks: Looks | None = None
    starts: tuple[Start, ...] = ()
    kept: tuple[Kept, ...] = ()
    releases_images: bool = True
    null_test: Check
    positive_control: Check
    flags: tuple[Flag, ...]

    def attack(self, name: str, signal: str = "margin", group: str = "canary") -> Attack:
        """The attack of that name, signal and group; KeyError when the plan had none."""
        for attack in self.attacks:
            if (attack.name, attack.signal, attack.group) == (name, signal, group):
                return attack
        raise KeyError(f"no attack {name}/{signal} on {group} records in this evidence")


class Verdict(Value):
    """The conclusion in plain words.

    leak: a leak was found. none-found: the audit had the power to see one and saw none.
    unclear: the evidence is too weak to tell.
    """

    outcome: Literal["leak", "none-found", "unclear"]
    headline: str
    reasons: tuple[str, ...]
    not_tested: tuple[str, ...]


class Evidence(Value):
    """Everything an audit found. ``subjects[0]`` is the audited mechanism, the rest its company."""

    schema_version: int = SCHEMA
    plan_hash: str
    plan: dict[str, Any]
    dataset: dict[str, Any]
    subjects: tuple[Subject, ...]
    verdict: Verdict
    versions: dict[str, str]
