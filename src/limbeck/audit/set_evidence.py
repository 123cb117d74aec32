"""What an audit of one finished set found, as the values that its ``evidence.json`` holds.

Nothing was run again, so there are no runs, no bound on epsilon and no accuracy here: what was not
measured has no field. No time, date or path either: the same plan gives the same bytes.
"""

import math
from typing import Any, Literal

from limbeck.audit.evidence import Estimate, Number, Operating, Value

SCHEMA = 1


class SetAttack(Value):
    """One attack on the set alone; p_value is one-sided, of an AUC of 0.5.

    planted_auc: the same attack's on ten members that were copied into the set on purpose,
        against the control records: could it have seen copies?
    """

    name: str
    auc: Estimate
    operating: tuple[Operating, ...]
    planted_auc: float
    p_value: Number


class Split(Value):
    """Whether members and control records are told apart without looking at the set.

    auc: of each blind classifier on the inputs. p_value: of "the inputs say nothing", over all
    classifiers; labels_p_value: of "both sides have the same shares of classes".
    """

    random: bool
    auc: dict[str, float]
    p_value: float
    labels_p_value: float


class Nearness(Value):
    """Distances of the set's records to the nearest member and to the nearest control record.

    closer: the share that is nearer to a member; expected: where both sides are alike.
    quantiles: of both distances over the set's records, at 0, 5 and 50%.
    """

    measure: str
    closer: Estimate
    expected: float
    quantiles: dict[str, tuple[float, ...]]


class Copies(Value):
    """Records of the set that are all but equal to one of the members, or of the control.

    distance: root mean squared difference up to which records count as equal.
    of_members, of_control: how many of either side's records the set holds so, but for those with
        a near-duplicate on the other side.
    near_duplicates: records (of the members, of the control) that were left out of every
        comparison, because there is another like them.
    p_value: of so many of the copied people being members, were the set made without them; over
        the records without a near-duplicate.
    """

    distance: float
    of_members: int
    of_control: int
    near_duplicates: tuple[int, int]
    p_value: Number = math.nan


class SetVerdict(Value):
    """The conclusion in words that are weaker than those of an audit with shadow runs.

    signs: the set bears signs of its members. nothing-seen: attacks that would have seen copies
    saw nothing. unclear: the sides differ for another reason, or there are too few records.
    """

    outcome: Literal["signs", "nothing-seen", "unclear"]
    headline: str
    reasons: tuple[str, ...]
    not_tested: tuple[str, ...]


class SetEvidence(Value):
    """Everything that was found. ``kind`` tells it from the evidence of a mechanism."""

    kind: Literal["finished-set"] = "finished-set"
    schema_version: int = SCHEMA
    plan_hash: str
    plan: dict[str, Any]
    release: dict[str, Any]
    dataset: dict[str, Any]
    control: dict[str, Any]
    attacks: tuple[SetAttack, ...]
    split: Split
    nearness: tuple[Nearness, ...]
    copies: Copies
    verdict: SetVerdict
    versions: dict[str, str]
