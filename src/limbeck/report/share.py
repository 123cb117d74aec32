"""What leaves the house: evidence reduced to aggregates.

A report is computed from private data without noise. The shared edition therefore holds averages
over many records only, in the manner of small-count suppression: no rate that rests on fewer than
ten expected false positives, no seed, hash or fingerprint (whoever knows all records but one could
test a guess about the last against them), no path, no list of records, no exact record count.
"""

import math
import re
from typing import Any

from limbeck.audit.evidence import Attack, Estimate, Evidence, Operating, Subject
from limbeck.report.figures import cut, resolvable_fpr

_SECRET = ("seed", "hash", "fingerprint", "sha256", "digest", "path", "folder", "index", "indices")
_PATH = re.compile(r"(^|[\s='\"])(/|~|[A-Za-z]:\\)")
_LONGEST_LIST = 12
LEFT_OUT = "left out of the shared edition"


def aggregates(evidence: Evidence) -> Evidence:
    """The evidence without what singles out records or lets a guess about them be tested."""
    return evidence.model_copy(
        update={
            "plan_hash": LEFT_OUT,
            "plan": scrubbed(evidence.plan, rounded=True),
            "dataset": scrubbed(evidence.dataset, rounded=True),
            "subjects": tuple(_subject(subject) for subject in evidence.subjects),
        }
    )


def scrubbed(value: Any, rounded: bool = False) -> Any:
    """JSON values without secrets, paths and long lists; counts of 1,000 and more rounded if asked."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not any(s in k.lower() for s in _SECRET)}
        # A recipe's numbers are the mechanism's options, not counts of private records.
        return {k: scrubbed(v, rounded and "method" not in value) for k, v in kept.items()}
    if isinstance(value, (list, tuple)):
        if len(value) > _LONGEST_LIST and not all(isinstance(v, str) for v in value):
            return LEFT_OUT
        return [scrubbed(v, rounded) for v in value]
    if isinstance(value, str) and _PATH.search(value):
        return LEFT_OUT
    if rounded and isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1000:
        return f"about {_two_digits(value):,}"
    return value


def _two_digits(value: int) -> int:
    unit = 10 ** (len(str(abs(value))) - 2)
    return round(value / unit) * unit


def _subject(subject: Subject) -> Subject:
    return subject.model_copy(
        update={
            "recipe": scrubbed(subject.recipe),
            "attacks": tuple(_attack(attack) for attack in subject.attacks),
        }
    )


def _attack(attack: Attack) -> Attack:
    return attack.model_copy(
        update={
            "curve": cut(attack.curve, resolvable_fpr(attack)),
            "operating": tuple(_operating(point) for point in attack.operating),
        }
    )


def _operating(point: Operating) -> Operating:
    if point.resolvable:
        return point
    unknown = Estimate(value=math.nan)
    return point.model_copy(
        update={"tpr": unknown, "realised_fpr": unknown, "false_positives": 0}
    )
