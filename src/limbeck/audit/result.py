"""A finished audit, as it is kept in its folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from limbeck.audit.evidence import Evidence, Subject
from limbeck.audit.set_evidence import SetEvidence
from limbeck.audit.store import COST, EVIDENCE, PLAN, Store
from limbeck.errors import OptionError, StoreError
from limbeck.recipe import one_line
from limbeck.types import Estimate

Found = TypeVar("Found", Evidence, SetEvidence)


def evidence_in(store: Store, schema: type[Found]) -> Found:
    """What an audit wrote; StoreError where it is missing, damaged or of another plan."""
    try:
        found = schema.model_validate(store.read_json(EVIDENCE))
    except ValidationError as error:
        raise StoreError(
            f"{store.folder / EVIDENCE} is damaged or of another version "
            f"({one_line(error):.100}); run the audit again"
        ) from None
    planned = store.read_json(PLAN)
    if not isinstance(planned, dict) or planned.get("hash") != found.plan_hash:
        raise StoreError(f"{store.folder} holds evidence of another plan; run the audit again")
    return found


@dataclass(frozen=True, eq=False)
class Audit:
    """A finished audit: its evidence, what it cost, and the folder that holds both."""

    evidence: Evidence
    cost: Mapping[str, Any]
    folder: Path

    @classmethod
    def load(cls, folder: str | Path) -> "Audit":
        """Read a finished audit; StoreError when there is none, or it is damaged."""
        store = Store(folder)
        return cls(evidence_in(store, Evidence), store.read_json(COST), store.folder)

    @property
    def subject(self) -> Subject:
        """The audited mechanism, without its company."""
        return self.evidence.subjects[0]

    def tpr_at(self, fpr: float, *, attack: str = "lira") -> Estimate:
        """TPR on canaries at one of the plan's nominal FPRs (0.1, 0.01, 0.001).

        OptionError for another FPR, or an attack that was not tried.
        """
        try:
            points = self.subject.attack(attack).operating
        except KeyError as error:
            raise OptionError(f"{error.args[0]}; name it when the audit is planned") from None
        for point in points:
            if math.isclose(point.nominal_fpr, fpr):
                return point.tpr.plain()
        known = ", ".join(f"{point.nominal_fpr:g}" for point in points)
        raise OptionError(f"no TPR was measured at FPR {fpr:g}; there is: {known}")

    def epsilon_lower_bound(self) -> Estimate:
        """The measured lower bound on epsilon, at 95% confidence and delta 1e-5."""
        return self.subject.epsilon_lower.plain()
