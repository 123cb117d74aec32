"""The conclusion about one finished set, in weaker words than those about a mechanism."""

import math
from collections.abc import Sequence

from scipy import stats

from limbeck.audit import titles
from limbeck.audit.set_evidence import Copies, Nearness, SetAttack, SetVerdict, Split

FAMILYWISE = 0.01
"""Chance that a set which tells nothing of its members is said to bear signs of them."""

HINT = 0.05
SEEN = 0.9
"""AUC on planted copies from which on an attack would have seen copies."""

NOT_TESTED = (
    "an attacker who repeats what made the set on data of his own: the strongest attacks known, "
    "and none of them can be tried without it",
    "attacks through a model trained on the set",
    "reconstruction, and copies that were turned, mirrored or blended",
    "other sets made from the same data, or anything published beside this one",
)


def set_verdict(
    name: str,
    attacks: Sequence[SetAttack],
    split: Split,
    nearness: Sequence[Nearness],
    copies: Copies,
) -> SetVerdict:
    """What the attacks on one set amount to.

    signs: below 1% after correction a p-value of the attacks (AUC above 0.5, or TPR above FPR) or
    of the copies (members among the copied records), the split being random as far as a blind
    classifier can tell. nothing-seen: nothing at 5%, a random split, no record all but equal to a
    member, and planted copies that every attack saw. unclear: everything else.
    """
    smallest = corrected(attacks, copies)
    holds_copies = copies.of_members > 0
    blind_to = [a for a in attacks if a.planted_auc < SEEN]
    outcome = "unclear"
    headline = f"Whether {name} tells who was in the data cannot be told from it alone."
    if not split.random:
        also = "It holds records all but equal to members: look at them. " if holds_copies else ""
        headline = (
            f"{also}Members and control records differ without any look at {name}: whether it "
            "tells who was in the data cannot be told by comparing them."
        )
    elif 2 * copies.p_value < FAMILYWISE:
        outcome = "signs"
        headline = (
            f"{name} holds copies of private records: whoever knows such a record recognises it."
        )
    elif smallest < FAMILYWISE:
        outcome = "signs"
        headline = (
            f"{name} bears signs of its members: attacks on it alone tell them from control "
            "records better than by chance."
        )
    elif holds_copies:
        headline = (
            f"{name} holds records all but equal to members, which is not put past chance: look at "
            "them."
        )
    elif smallest >= HINT and not blind_to:
        outcome = "nothing-seen"
        headline = (
            f"{len(attacks)} attacks on {name} alone saw nothing. That says little: whoever can "
            "repeat what made it may see more."
        )
    reasons = [_strongest(attacks, smallest), _split(split), _copied(copies)]
    reasons += [_near(seen) for seen in nearness]
    reasons.append(_planted(attacks, blind_to))
    return SetVerdict(
        outcome=outcome, headline=headline, reasons=tuple(reasons), not_tested=NOT_TESTED
    )


def copies_p_value(of_members: int, of_control: int, members: int, control: int) -> float:
    """The chance that so many or more of the copied people are members, were sides drawn by lot.

    Fisher's exact test: of members + control people, of_members + of_control are copied in the
    set; one that was made without the members copies either with the same chance. A single copy
    is a member's with probability members / (members + control), and so proves nothing where
    there are as many of the one as of the other. 1 where nobody is copied.
    """
    copied = of_members + of_control
    return float(stats.hypergeom.sf(of_members - 1, members + control, members, copied))


def corrected(attacks: Sequence[SetAttack], copies: Copies) -> float:
    """The smaller of two p-values, doubled: that of the copies, and Bonferroni's of all attacks.

    The copies have half of the error to themselves: they are one question, the attacks are many.
    """
    known = [p for a in attacks for p in (a.p_value, *(point.p_value for point in a.operating))]
    of_attacks = len(known) * min(known)
    if math.isnan(copies.p_value):
        return min(1.0, of_attacks)
    return min(1.0, 2 * min(of_attacks, copies.p_value))


def _strongest(attacks: Sequence[SetAttack], smallest: float) -> str:
    attack = max(attacks, key=lambda a: a.auc.value)
    auc, chance = attack.auc, "no attack shows more than chance would"
    if smallest < HINT:
        chance = (
            "as much as the most telling one or the copies show would be seen by chance in at most "
            f"{max(smallest, 1e-4):.2%} of such audits"
        )
    return (
        f"Strongest attack ({titles.signal(attack.name)}): AUC {auc.value:.3f} "
        f"[{auc.low:.3f}, {auc.high:.3f}]; {chance}."
    )


def _split(split: Split) -> str:
    if split.random:
        return (
            "Blind classifiers, which never saw the set, could not tell members from control "
            f"records (best AUC {max(split.auc.values()):.3f})."
        )
    shown = f"best AUC {max(split.auc.values()):.3f}, p = {split.p_value:.2g}"
    labels = f"the shares of the classes differ at p = {split.labels_p_value:.2g}"
    return (
        f"The split is not random: blind classifiers, which never saw the set, reach {shown}; "
        f"{labels}. What the attacks show may be no more than that."
    )


def _copied(copies: Copies) -> str:
    return (
        f"Within a root mean squared difference of {copies.distance:g} it holds "
        f"{_count(copies.of_members, 'private record')} and "
        f"{_count(copies.of_control, 'control record')}, by chance at p = {copies.p_value:.2g}, "
        f"for which {sum(copies.near_duplicates):,} records with a near-duplicate were left out."
    )


def _near(seen: Nearness) -> str:
    closer = seen.closer
    return (
        f"{closer.value:.0%} [{closer.low:.0%}, {closer.high:.0%}] of its records lie nearer to a "
        f"member than to a control record ({seen.measure}); {seen.expected:.0%} are to be expected."
    )


def _planted(attacks: Sequence[SetAttack], blind_to: Sequence[SetAttack]) -> str:
    if not blind_to:
        least = min(a.planted_auc for a in attacks)
        return f"Ten members copied into it on purpose were seen by every attack (AUC {least:.3f})."
    named = ", ".join(titles.signal(a.name) for a in blind_to)
    return f"Ten members copied into it on purpose were not seen by all attacks: not by {named}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
