"""Plain words for the names that evidence uses; an unknown name stands for itself."""

from dataclasses import dataclass

from limbeck import registry


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

GROUPS = {
    "canary": "Planted records (canaries)",
    "ordinary": "Ordinary records",
    "control": "Control records",
}

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

SIGNALS = {"margin": "logit margin", "hinge": "hinge", "entropy": "entropy"}

_WITH_AND_WITHOUT = (
    "compares how the release treats a record with how it treats it when the record is known to "
    "be in, and when it is known to be out"
)
_ATTACKS = {
    "loss-threshold": (
        "Loss threshold",
        "calls a record a member when the classifier fits it well",
    ),
    "entropy-threshold": (
        "Entropy threshold",
        "calls a record a member when the classifier is certain of its label",
    ),
    "rmia": (
        "RMIA",
        "compares how far the release raises a record's probability with how far it raises that "
        "of records it has never seen",
    ),
    "rmia-offline": (
        "RMIA, offline",
        "the same, without any run that held the record",
    ),
    "lira": ("LiRA", _WITH_AND_WITHOUT),
    "lira-offline": (
        "LiRA, offline",
        "compares how the release treats a record with how it treats it when the record is known "
        "to be out",
    ),
}
_TRUE_LABEL = "-true-label"
_VARIANTS = {
    "-per-class": ", a threshold for each class",
    "-pooled": ", pooled variance",
    "-per-record": ", a variance for each record",
}


def attack(name: str) -> str:
    """The title of an attack."""
    base, variant = _split(name)
    return _ATTACKS[base][0] + variant if base in _ATTACKS else name


def attack_note(name: str) -> str:
    """What an attack does, in half a sentence; empty where it is not known."""
    base, _ = _split(name)
    if base in _ATTACKS:
        return _ATTACKS[base][1]
    known = registry.methods("attack").get(name)
    return known.summary if known else ""


def _split(name: str) -> tuple[str, str]:
    base = name.removesuffix(_TRUE_LABEL)
    under = "" if base == name else ", under the true labels"
    for suffix, said in _VARIANTS.items():
        if base.endswith(suffix):
            return base.removesuffix(suffix), said + under
    return base, under
