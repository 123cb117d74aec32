"""What is claimed of an audited mechanism, all that its release adds up included."""

import math
from typing import Any

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.mechanism.base import Mechanism
from limbeck.privacy.composition import total
from limbeck.privacy.owed import parts_of
from limbeck.privacy.statement import Statement


def claimed(
    mechanism: Mechanism, private: LabeledDataset, released: SyntheticDataset | None = None
) -> dict[str, Any] | None:
    """The claim as cards state it; None where the mechanism has no guarantee.

    released: the release that the audit is about. Its card knows the events of its own run, which
    some methods do not know before; where it differs from what the recipe claims now, the larger of
    the two epsilons counts.
    """
    own = mechanism.guarantee
    if own is None:
        return None
    found = Statement.of(
        own,
        name=mechanism.title,
        limit=private.limit,
        owed=mechanism.owed,
        grouped=private.groups is not None,
    )
    if released is None:
        return found.claim
    try:
        stated = Statement(parts_of(released.card, released.name), found.grouped)
    except OptionError:
        return found.claim  # a card that does not say it all proves nothing
    alike = stated.parts[1:] == found.parts[1:] and stated.parts[0].limit == private.limit
    spent = stated.parts[0].guarantee
    close = math.isclose(spent.epsilon, own.epsilon, rel_tol=1e-2)
    if alike and close and (spent.delta, spent.unit) == (own.delta, own.unit):
        return stated.claim
    return max((stated, found), key=lambda one: total(one.parts).guarantee.epsilon).claim
