"""What leaves the house: evidence reduced to aggregates.

A report is computed from private data without noise. The shared edition therefore holds averages
over many records only, in the manner of small-count suppression: no rate that rests on fewer than
ten expected false positives, no seed, hash or fingerprint (whoever knows all records but one could
test a guess about the last against them), no path, no list of records, no exact count of records,
of false alarms or of anything else that the private data decide, and nothing of the most exposed
record.
"""

import math
import re
from typing import Any, TypeVar

from limbeck.audit.evidence import (
    Attack,
    Claim,
    Estimate,
    Evidence,
    Flag,
    Operating,
    Released,
    Subject,
)
from limbeck.report.figures import cut, resolvable_fpr

Told = TypeVar("Told", Claim, Flag)

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
_COUNTED = re.compile(r" ?\([\d,]+ of [\d,]+\)")  # "(123 of 8,000)", beside their share
# "of 834 trials", "200 share a coin": counts in the sentences of flags and claims.
_NUMBER = re.compile(r"(?<![\d.,])\d[\d,]*(?= share a coin|, fewer than)")
# As long as the shape of an image; a longer list of numbers is a list of records or classes.
_LONGEST_NUMBERS = 4
_FEWEST = 10


def aggregates(evidence: Evidence) -> Evidence:
    """The evidence without what singles out records or lets a guess about them be tested."""
    return evidence.model_copy(
        update={
            "plan_hash": LEFT_OUT,
            "plan": scrubbed(evidence.plan),
            "dataset": scrubbed(evidence.dataset),
            "subjects": tuple(_subject(subject) for subject in evidence.subjects),
            "verdict": evidence.verdict.model_copy(
                update={
                    "headline": coarse(evidence.verdict.headline),
                    "reasons": tuple(
                        coarse(r) for r in evidence.verdict.reasons if not _FEW.search(r)
                    ),
                }
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
    if count and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return _about(value)
    return value


def coarse(sentence: str) -> str:
    """A sentence of the evidence without exact counts of records or false alarms."""
    plain = _COUNTED.sub("", sentence)
    return _NUMBER.sub(lambda found: _about(int(found[0].replace(",", ""))), plain)


def _about(value: int) -> str:
    return f"about {_two_digits(value):,}" if value >= _FEWEST else f"fewer than {_FEWEST}"


def _two_digits(value: int) -> int:
    """Two digits of a large number, one of those below 100."""
    unit: int = 10 ** max(len(str(value)) - 2, 1)
    return round(value / unit) * unit


def _subject(subject: Subject) -> Subject:
    return subject.model_copy(
        update={
            "recipe": scrubbed(subject.recipe),
            "risks": (),
            "kept": (),
            # A guess within a class is right once in as many times as the class has records.
            "starts": tuple(
                start.model_copy(update={"chance": float(f"{start.chance:.1g}")})
                for start in subject.starts
            ),
            "released": tuple(_released(found) for found in subject.released),
            "attacks": tuple(_attack(attack) for attack in subject.attacks),
            "claim": None if subject.claim is None else _said(subject.claim),
            "flags": tuple(_said(flag) for flag in subject.flags),
        }
    )


def _said(part: Told) -> Told:
    return part.model_copy(update={"sentence": coarse(part.sentence)})


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
