"""Plain words for the names that evidence uses; an unknown name stands for itself."""

from dataclasses import dataclass

from limbeck import registry
from limbeck.audit import titles


@dataclass(frozen=True)
class Outcome:
    """A verdict's word, and the sentence that keeps it from being read as more than it is."""

    word: str
    caution: str


OUTCOMES = {
    "leak": Outcome(
        "Leak found",
        "An attacker can tell, better than by guessing, whether some records were in the private "
        "data.",
    ),
    "none-found": Outcome(
        "No leak found",
        "The audit could have seen a leak of the size stated below, and saw none. That is not "
        "proof that there is none.",
    ),
    "unclear": Outcome(
        "Unclear",
        "The evidence is too weak to tell either way. Do not read this as a pass.",
    ),
}

SET_OUTCOMES = {
    "signs": Outcome(
        "Signs of a leak",
        "The set itself tells something of the records that it was made from.",
    ),
    "nothing-seen": Outcome(
        "Nothing seen",
        "Attacks on a set alone are the weakest there are. Do not read this as a pass.",
    ),
    "unclear": Outcome(
        "Unclear",
        "The comparison is too weak, or not fair enough, to tell. Do not read this as a pass.",
    ),
}

YES_NO = {True: "yes", False: "no", None: "not known"}

GROUPS = {
    "canary": "Planted records (canaries)",
    "ordinary": "Ordinary records",
    "control": "Control records",
}

TESTED = {"canary": "planted records", "ordinary": "records", "control": "control records"}
"""The records of a group, in a sentence."""

GROUP_NOTES = {
    "canary": "Made to be exposed: they stand for the person who stands out most.",
    "ordinary": "Drawn from the data as they are: they stand for the average person, and can look "
    "safe where one unusual person is not.",
    "control": "Never part of any run: an attack that recognises them is mistaken.",
}

ROLES = {
    "always": "in every run",
    "canary": "planted; in or out of each run by the toss of a fair coin",
    "ordinary": "in or out of each run by the toss of a fair coin",
    "population": "never in a run; used to calibrate attacks",
    "control": "never in a run; used as a comparison",
}

COMPANY = {
    "subject": "what was audited",
    "random-subset": "random subset of the same size",
    "full-data": "all of the data, no synthesis",
}

_WITH_AND_WITHOUT = (
    "compares how the release treats a record with how it treats it when the record is known to "
    "be in, and when it is known to be out"
)
_NOTES = {
    "loss-threshold": "calls a record a member when the classifier fits it well",
    "entropy-threshold": "calls a record a member when the classifier is certain of its label",
    "rmia": "compares how far the release raises a record's probability with how far it raises "
    "that of records it has never seen",
    "rmia-offline": "the same, without any run that held the record",
    "lira": _WITH_AND_WITHOUT,
    "lira-offline": "compares how the release treats a record with how it treats it when the "
    "record is known to be out",
}

IMAGE_NOTES = {
    "nearest-l2": "asks how near the nearest released image of its class comes to a record, and "
    "how near it comes when the record is known to be in or out",
    "nearest-ssim": "the same by likeness of structure, which small shifts of brightness leave",
    "nearest-embedding": "the same as a network sees them",
    "tracing": "asks whether the mean of the released images leans towards a record",
    "density-ratio": "asks how much likelier a record is among the released images than among "
    "records that were never in",
    "kernel-ridge": "solves kernel ridge regression on the released images himself, and asks how "
    "sure it is of the record",
    "retrained": "trains networks of another kind on the released images himself",
    "ensemble": "takes the answers of all these classifiers and of the mechanism's own",
}


def attack(name: str) -> str:
    """The title of an attack, as it stands at the start of a line."""
    title = titles.title(name)
    return title[0].upper() + title[1:] if title != name else name


def attack_note(name: str) -> str:
    """What an attack does, in half a sentence; empty where it is not known."""
    base = titles.base(name)
    if base in _NOTES:
        return _NOTES[base]
    known = registry.methods("attack").get(base)
    return known.summary if known else ""
