"""Attacks at the noisy-sum boundary: by somebody who sees the release itself and all other records.

What a private synthesizer publishes is post-processing of its noisy sums. So the strongest audit
of its guarantee looks at the sums: the records planted have statistics of the largest norm that is
allowed, at right angles to each other, and everything else is known. Then the release tells of
each record exactly what the claimed trade-off curve permits, and an audit can be tight.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float

from limbeck import coins as seeded
from limbeck.audit.inference.gdp_test import gdp_lower_bound, gdp_p_value, refutes
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.privacy.claim import Claim
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.records import Bound
from limbeck.types import Estimate

_KNOWN = 16
"""Records beside the planted ones; the attacker knows them all."""


def matched_filter(
    released: Float[np.ndarray, "runs d"],
    rest: Float[np.ndarray, " d"],
    statistics: Float[np.ndarray, "units d"],
) -> Float[np.ndarray, "runs units"]:
    """How much of each unit's statistic is in the release less what is known of it.

    <release - rest, statistic of the unit>, the most powerful score for Gaussian noise where the
    units' statistics are orthogonal (the Neyman-Pearson lemma). Higher means more likely a member.
    """
    found: np.ndarray = (released - rest) @ statistics.T
    return found


def find_seed(
    released: Float[np.ndarray, " d"],
    repeat: Callable[[int], Float[np.ndarray, " d"]],
    seeds: Sequence[int],
) -> tuple[int, Float[np.ndarray, " d"]]:
    """The seed that the noise came from, if it is one of ``seeds``, and the release without it.

    repeat: what the mechanism releases of the known records alone with this seed. With the right
    seed the noise cancels, and what remains is the sum of the unknown members' statistics: nearly
    nothing beside noise. Seed enumeration breaks every mechanism whose noise a seed determines
    that can be guessed, however much noise there is.
    """
    if not seeds:
        raise OptionError("no seeds to try: give at least one")
    left = {seed: released - repeat(seed) for seed in seeds}
    found = min(left, key=lambda seed: float(np.abs(left[seed]).sum()))
    return found, left[found]


Release = Callable[[LabeledDataset, int | None], Float[np.ndarray, " d"]]
"""A noisy sum of ``signed`` inputs of records, each of norm 1 at most; and the seed of its noise.

None as the seed is a real release, whose noise is the mechanism's own affair.
"""


def signed(inputs: Float[torch.Tensor, "n d"], side: torch.Tensor) -> Float[torch.Tensor, "n d"]:
    """The statistic of planted records: their inputs, or the opposite for those that stand in."""
    return inputs * (1 - 2 * side)[:, None]


def through_budget(claim: Claim) -> Release:
    """What limbeck releases at this claim: one sum, with all of a budget of its own."""

    def release(private: LabeledDataset, seed: int | None) -> Float[np.ndarray, " d"]:
        budget = claim.budget(private, insecure_seed=seed)
        found: np.ndarray = budget.release("boundary", signed, Bound.of(1.0), 1.0).values.numpy()
        return found

    return release


@dataclass(frozen=True)
class Boundary:
    """What an attack at the noisy-sum boundary made of a claim.

    attack: its name, of ``ATTACKS``. claimed: epsilon. bound: the measured lower bound on it, at
    95%. p_value: of the claimed mu-GDP curve. refuted: beyond the familywise 0.1% of an alarm.
    seeds: of the noise of each run that seed enumeration thinks it found.
    """

    attack: str
    claimed: float
    bound: Estimate
    p_value: float
    refuted: bool
    seeds: tuple[int, ...] = ()


def attack(
    claim: Claim,
    name: Literal["matched-filter", "seed-enumeration"] = "matched-filter",
    *,
    release: Release | None = None,
    units: int = 500,
    runs: int = 20,
    seeds: Sequence[int] = range(1000),
    seed: int = 0,
) -> Boundary:
    """Hold a claim against what an attack sees of ``units`` planted records in each of some runs.

    release: the mechanism, called with no seed for what is attacked; None: limbeck's own. Seed
    enumeration calls it with each of ``seeds``, too, on the known records alone.
    OptionError where the claim is none, or ``name`` is no attack.
    """
    if name not in ATTACKS:
        raise OptionError(f"no attack at the boundary is called {name!r}: {', '.join(ATTACKS)}")
    mechanism = release or through_budget(claim)
    planted = _Planted.of(claim, units, runs, seed)
    seen = np.stack([mechanism(records, None) for records in planted.runs()])
    found: list[int] = []
    if name == "seed-enumeration":
        known = planted.known()
        # The noise that a seed gives is the same for every run: made once.
        noise = {tried: mechanism(known, tried) for tried in seeds}
        each = [find_seed(one, noise.__getitem__, list(noise)) for one in seen]
        found, seen = [which for which, _ in each], np.stack([left for _, left in each])
    rest = planted.rest if name == "matched-filter" else np.zeros(units)
    scores = matched_filter(seen, rest, np.eye(units))
    assert claim.epsilon is not None, "checked when the records were planted"
    mu = mu_of(claim.epsilon, claim.delta)
    return Boundary(
        attack=name,
        claimed=claim.epsilon,
        bound=gdp_lower_bound(scores, planted.coins, delta=claim.delta, independent=True),
        p_value=gdp_p_value(scores, planted.coins, mu, independent=True),
        refuted=refutes(scores, planted.coins, mu, independent=True),
        seeds=tuple(found),
    )


ATTACKS = ("matched-filter", "seed-enumeration")
"""What ``attack`` knows: the most powerful test of honest noise, and the end of guessable noise."""


def observe(
    claim: Claim, *, units: int = 500, runs: int = 20, seed: int = 0, insecure: bool = False
) -> tuple[Float[np.ndarray, "runs units"], Bool[np.ndarray, "runs units"]]:
    """Matched-filter scores and fair coins of ``units`` records in each run of a claimed release.

    Every run is a budget of its own, spent on one sum, with noise from the system's entropy or,
    where ``insecure``, from the seed, for tests that must repeat. Each unit has its own coordinate,
    so trials are independent (see ``inference.gdp_test``); under "replace-one" a unit that is out
    has the opposite statistic in its place. OptionError where the claim is none.
    """
    planted, mechanism = _Planted.of(claim, units, runs, seed), through_budget(claim)
    released = [
        mechanism(records, seeded.derive(seed, "boundary noise", run) if insecure else None)
        for run, records in enumerate(planted.runs())
    ]
    return matched_filter(np.stack(released), planted.rest, np.eye(units)), planted.coins


@dataclass(frozen=True, eq=False)
class _Planted:
    """Known records, then the planted ones, then their stand-ins, and who is in each run.

    rest: the sum of the known records' statistics.
    """

    records: LabeledDataset
    coins: Bool[np.ndarray, "runs units"]
    rest: Float[np.ndarray, " units"]
    replaced: bool

    @classmethod
    def of(cls, claim: Claim, units: int, runs: int, seed: int) -> "_Planted":
        if claim.epsilon is None:
            raise OptionError("without noise there is no claim to audit: give an epsilon")
        coins = seeded.numpy_generator(seed, "boundary").random((runs, units)) < 0.5
        known = torch.rand(_KNOWN, units, generator=seeded.generator(seed, "known records"))
        against = torch.arange(_KNOWN + 2 * units) >= _KNOWN + units
        everyone = LabeledDataset(
            torch.cat([known / units, torch.eye(units), torch.eye(units)]),
            against.long(),
            ("for", "against"),
            name="planted records",
        )
        rest = (known / units).double().sum(0).numpy()
        return cls(everyone, coins, rest, claim.adjacency == "replace-one")

    def runs(self) -> Iterator[LabeledDataset]:
        """The records of each run."""
        for row in self.coins:
            member = np.concatenate([np.ones(_KNOWN, bool), row, ~row & self.replaced])
            yield self.records.select(torch.from_numpy(member))

    def known(self) -> LabeledDataset:
        """The records that the attacker knows to be in every run."""
        return self.records.select(torch.arange(len(self.records)) < _KNOWN)
