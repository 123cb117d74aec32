"""Which attacks an audit runs: the standard ones always, and others that are asked for."""

from collections.abc import Sequence

from limbeck.audit.attacks.base import MembershipAttack
from limbeck.audit.attacks.entropy_threshold import EntropyThreshold
from limbeck.audit.attacks.lira import LiRA
from limbeck.audit.attacks.loss_threshold import LossThreshold
from limbeck.audit.attacks.quantile_regression import QuantileRegression
from limbeck.audit.attacks.rmia import RMIA
from limbeck.audit.attacks.shokri import Shokri
from limbeck.errors import OptionError

STANDARD: tuple[MembershipAttack, ...] = (
    LossThreshold(),
    EntropyThreshold(per_class=True),
    LiRA(),
    LiRA(online=False),
    RMIA(),
)
"""Of every audit: nobody passes one by leaving the strong attacks out."""

_FURTHER: tuple[MembershipAttack, ...] = (
    LossThreshold(per_class=True),
    EntropyThreshold(),
    RMIA(online=False),
    QuantileRegression(),
    Shokri(model="logistic"),
    Shokri(),
)

ALL = "all"


def names() -> tuple[str, ...]:
    """The names that ``chosen`` knows, beside "all"."""
    return tuple(attack.title for attack in (*STANDARD, *_FURTHER))


def chosen(further: Sequence[str] = ()) -> tuple[MembershipAttack, ...]:
    """The standard attacks, and those named; "all" adds every one there is.

    OptionError for a name that no attack has.
    """
    unknown = [name for name in further if name not in (ALL, *names())]
    if unknown:
        raise OptionError(
            f"no attack is called {unknown[0]!r:.60}; there are: {ALL}, {', '.join(names())}"
        )
    added = [a for a in _FURTHER if ALL in further or a.title in further]
    return (*STANDARD, *added)
