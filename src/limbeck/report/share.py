"""What leaves the house: evidence reduced to aggregates.

A report is computed from private data without noise. The shared edition therefore holds averages
over many records only, in the manner of small-count suppression: no rate that rests on fewer than
ten expected false positives, no seed, hash or fingerprint (whoever knows all records but one could
test a guess about the last against them), no path, no list of records, no exact record count, and
nothing of the most exposed record.
"""

import math
import re
from typing import Any

from limbeck.audit.evidence import Attack, Estimate, Evidence, Operating, Released, Subject
from limbeck.report.figures import cut, resolvable_fpr

LEFT_OUT = "left out of the shared edition"
# fmt: off
_SECRET = {
    "seed", "seeds", "hash", "fingerprint", "sha256", "digest", "path", "paths", "file", "folder",
    "index", "indices", "ids",
}
_COUNTS = {
    "roles", "records", "members", "always", "canary", "canaries", "ordinary", "population",
    "control", "n",
}
# fmt: on
_PATH = re.compile(r"(^|[\s='\"])(/|~|[A-Za-z]:\\)")
_DIGEST = re.compile(r"[0-9a-f]{32,}")
_FEW = re.compile(r"\(\d of [\d,]+\)")  # "(3 of 800)": a sentence about single false positives
# As long as the shape of an image; a longer list of numbers is a list of records or classes.
_LONGEST_NUMBERS = 4


def aggregates(evidence: Evidence) -> Evidence:
    """The evidence without what singles out records or lets a guess about them be tested."""
    return evidence.model_copy(
        update={
            "plan_hash": LEFT_OUT,
            "plan": scrubbed(evidence.plan),
            "dataset": scrubbed(evidence.dataset),
            "subjects": tuple(_subject(subject) for subject in evidence.subjects),
            "verdict": evidence.verdict.model_copy(
                update={"reasons": tuple(r for r in evidence.verdict.reasons if not _FEW.search(r))}
            ),
        }
    )


def scrubbed(value: Any, count: bool = False) -> Any:
    """JSON values without secrets, paths and lists of records; record counts are rounded.

    count: whether ``value`` tells how many records there are, or which (then only how many).
    """
    if isinstance(value, dict):
        words = {key: set(re.split(r"[^a-z0-9]+", key.lower())) for key in value}
        return {
            key: scrubbed(inner, count or bool(words[key] & _COUNTS))
            for key, inner in value.items()
            if not words[key] & _SECRET
        }
    if isinstance(value, (list, tuple)):
        if count:
            return scrubbed(len(value), count)
        if len(value) > _LONGEST_NUMBERS and not all(isinstance(v, str) for v in value):
            return LEFT_OUT
        return [scrubbed(v, count) for v in value]
    if isinstance(value, str) and (_PATH.search(value) or _DIGEST.fullmatch(value)):
        return LEFT_OUT
    if count and isinstance(value, int) and not isinstance(value, bool) and value >= 100:
        return f"about {_two_digits(value):,}"
    return value


def _two_digits(value: int) -> int:
    unit: int = 10 ** max(len(str(value)) - 2, 0)
    return round(value / unit) * unit


def _subject(subject: Subject) -> Subject:
    return subject.model_copy(
        update={
            "recipe": scrubbed(subject.recipe),
            "risks": (),
            "released": tuple(_released(found) for found in subject.released),
            "attacks": tuple(_attack(attack) for attack in subject.attacks),
        }
    )


def _released(found: Released) -> Released:
    rounded = {"members": _two_digits(found.members), "others": _two_digits(found.others)}
    return found.model_copy(update=rounded)


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
    return point.model_copy(update={"tpr": unknown, "realised_fpr": unknown, "false_positives": 0})
