"""The company that no mechanism may be shown without: what its leak and its use are held against.

A random subset of the same size and DP-SGD at the same accuracy are the comparisons that Carlini,
Feldman and Nasr 2022 (arXiv 2209.14987) miss in claims of privacy by condensation.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from limbeck.mechanism.base import Mechanism
from limbeck.mechanism.pipeline import Pipeline
from limbeck.synthesize.generate.dp_merf import DPMERF
from limbeck.synthesize.select.random_subset import RandomSubset
from limbeck.train.base import Trainer
from limbeck.train.dp_sgd import DPSGD
from limbeck.types import Estimate

Role = Literal["given", "random-subset", "full-data", "dp-synthesizer", "dp-sgd"]
"""Why a mechanism is in the comparison: the spec names it, or it is company."""

EPSILON = 10.0
"""Of the DP synthesizer that is added where the spec has none."""

_CONDENSERS = "limbeck.synthesize.condense."


def company(given: Mapping[str, Mechanism], trainer: Trainer) -> list[tuple[str, Role, Mechanism]]:
    """Name, role and mechanism of what is added to ``given``, but for DP-SGD.

    given: the mechanisms of the spec, resolved. trainer: of the synthetic sets.
    """
    sizes = {one for mechanism in given.values() if (one := size(mechanism)) is not None}
    found: list[tuple[str, Role, Mechanism]] = [
        (f"random subset, {ipc} per class", "random-subset", Pipeline(RandomSubset(ipc), trainer))
        for ipc in sorted(sizes)
        if not any(is_subset(one, ipc) for one in given.values())
    ]
    full = Pipeline(None, trainer.for_many_records())
    if not any(undefended(one) for one in given.values()):
        found.append(("full data", "full-data", full))
    if not any(_synthesizes(one) and one.guarantee is not None for one in given.values()):
        private = Pipeline(DPMERF(epsilon=EPSILON), trainer)
        found.append((f"dp-merf at epsilon {EPSILON:g}", "dp-synthesizer", private))
    taken = set(given)
    return [(_free(name, taken), role, one) for name, role, one in found]


def dp_sgd(epsilons: Sequence[float]) -> list[tuple[float, Mechanism]]:
    """DP-SGD on the private data at each of these epsilons, with the settings of the next level."""
    return [
        (epsilon, Pipeline(None, DPSGD(level=_level(epsilon), epsilon=epsilon)))
        for epsilon in sorted(epsilons)
    ]


def reference(given: Mapping[str, tuple[Mechanism, Estimate]]) -> str:
    """The mechanism that DP-SGD is tuned to: the most accurate condenser.

    Where the spec has none, the most accurate mechanism that makes a synthetic set, or any.
    """
    for wanted in (_condenses, _synthesizes, lambda _: True):
        able = {name: accuracy.value for name, (one, accuracy) in given.items() if wanted(one)}
        if able:
            return max(able, key=lambda name: able[name])
    raise ValueError("no mechanism was given")


def matched(wanted: Estimate, tried: Sequence[Estimate]) -> int | None:
    """The nearest in value of those whose interval meets that of ``wanted``; None: none does."""
    near = [
        (abs(one.value - wanted.value), at) for at, one in enumerate(tried) if _overlap(one, wanted)
    ]
    return min(near)[1] if near else None


def size(one: Mechanism) -> int | None:
    """Synthetic records of each class, where that is a fixed number."""
    return getattr(one, "ipc", None)


def is_subset(one: Mechanism, ipc: int | None) -> bool:
    """Whether it releases a random subset of ``ipc`` private records of each class."""
    return (
        isinstance(one, Pipeline)
        and isinstance(one.synthesizer, RandomSubset)
        and one.synthesizer.ipc == ipc
    )


def undefended(one: Mechanism) -> bool:
    """Whether it is a network trained on the private data as they are."""
    return (
        isinstance(one, Pipeline)
        and one.synthesizer is None
        and not isinstance(one.trainer, DPSGD)
        and one.guarantee is None
    )


def _overlap(a: Estimate, b: Estimate) -> bool:
    known = all(map(math.isfinite, (a.low, a.high, b.low, b.high)))
    return known and a.low <= b.high and b.low <= a.high


def _level(epsilon: float) -> Literal["epsilon-1", "epsilon-3", "epsilon-10"]:
    if epsilon < 2:
        return "epsilon-1"
    return "epsilon-3" if epsilon < 6 else "epsilon-10"


def _synthesizes(one: Mechanism) -> bool:
    return not isinstance(one, Pipeline) or one.synthesizer is not None


def _condenses(one: Mechanism) -> bool:
    return isinstance(one, Pipeline) and type(one.synthesizer).__module__.startswith(_CONDENSERS)


def _free(name: str, taken: set[str]) -> str:
    """A name that no mechanism of the spec has."""
    while name in taken:
        name += " (company)"
    return name
